//! Reads filters that look at one path.

use regex::RegexBuilder;

use super::{
    ast::{Filter, Path, Text, Than},
    eval::lowered,
    parse::{At, Members, OPERATORS, Reader},
    similarity::Trigrams,
};
use crate::model::{
    Json, Timestamp,
    limits::{
        PATTERN_BYTES_MAX, QUERY_PARTS_MAX, QUERY_PATTERNS_MAX, QUERY_TEXT_BYTES_MAX,
        QUERY_VALUES_MAX,
    },
};

impl Reader {
    pub(super) fn leaf(&mut self, operator: &str, operand: &Json, at: &At) -> Option<Filter> {
        let (_, known) = OPERATORS.iter().find(|(name, _)| *name == operator)?;
        let members = self.members(operand, at, known)?;
        let path = self.path(members.object.get("path"), &at.member("path"))?;
        let value = || members.object.get("value").cloned().unwrap_or_default();
        let value_at = at.member("value");
        Some(match operator {
            "eq" => Filter::Eq { value: self.operand(&path, value(), &value_at)?, path },
            "ne" => Filter::Ne { value: self.operand(&path, value(), &value_at)?, path },
            "gt" => self.comparison(path, Than::Greater, value(), &value_at)?,
            "ge" => self.comparison(path, Than::AtLeast, value(), &value_at)?,
            "lt" => self.comparison(path, Than::Less, value(), &value_at)?,
            "le" => self.comparison(path, Than::AtMost, value(), &value_at)?,
            "in" => {
                let values = members.object.get("values").unwrap_or(&Json::Null);
                let values =
                    self.elements(values, &at.member("values"), QUERY_VALUES_MAX, "values");
                let values: Option<Vec<Json>> =
                    values.map(|(value, at)| self.operand(&path, value.clone(), &at)).collect();
                Filter::In { path, values: values? }
            }
            "contains" => Filter::Contains { path, value: value() },
            "json_contains" => Filter::JsonContains { path, value: self.part(value(), &value_at)? },
            "has_key" => Filter::HasKey { path, key: self.text(&members, "key")? },
            "exists" => Filter::Exists { path },
            "prefix" => Filter::Prefix { path, text: self.searched(&members)? },
            "text_contains" => Filter::TextContains { path, text: self.searched(&members)? },
            "matches" => self.matches(path, &members)?,
            _ => self.similar(path, &members)?,
        })
    }

    /// A value that a path is compared with: a time in the one way in which times are written.
    fn operand(&mut self, path: &Path, value: Json, at: &At) -> Option<Json> {
        match value {
            Json::String(text) if path.root.is_time() => match text.parse::<Timestamp>() {
                Ok(time) => Some(Json::String(time.to_string())),
                Err(fault) => {
                    self.fault(at, fault.to_string());
                    None
                }
            },
            value => Some(value),
        }
    }

    fn comparison(&mut self, path: Path, than: Than, value: Json, at: &At) -> Option<Filter> {
        match self.operand(&path, value, at)? {
            value @ (Json::Integer(_) | Json::Float(_) | Json::String(_)) => {
                Some(Filter::Compare { path, than, value })
            }
            _ => {
                self.fault(at, "expected a number or a string: other values have no order");
                None
            }
        }
    }

    pub(super) fn text(&mut self, members: &Members<'_>, name: &str) -> Option<String> {
        let found = members.object.get(name);
        let text = found.and_then(Json::as_str).filter(|text| text.len() <= QUERY_TEXT_BYTES_MAX);
        if text.is_none() {
            let detail = format!("expected a string of at most {QUERY_TEXT_BYTES_MAX} bytes");
            self.fault(&members.at.member(name), detail);
        }
        text.map(str::to_owned)
    }

    fn searched(&mut self, members: &Members<'_>) -> Option<Text> {
        let ignore_case = self.flag(members, "ignore_case");
        let text = self.text(members, "value")?;
        let text = if ignore_case { lowered(&text) } else { text };
        Some(Text { text, ignore_case })
    }

    /// What `json_contains` looks for.
    fn part(&mut self, value: Json, at: &At) -> Option<Json> {
        self.parts += value.values();
        if self.parts > QUERY_PARTS_MAX {
            let most = format!("a query looks for at most {QUERY_PARTS_MAX} values");
            self.fault(at, format!("{most} with `json_contains`, nested ones counted"));
            return None;
        }
        Some(value)
    }

    fn matches(&mut self, path: Path, members: &Members<'_>) -> Option<Filter> {
        let pattern = self.text(members, "pattern")?;
        self.patterns += 1;
        if self.patterns > QUERY_PATTERNS_MAX {
            let detail =
                format!("a query has at most {QUERY_PATTERNS_MAX} patterns; `|` joins several");
            self.fault(&members.at, detail);
            return None;
        }
        let mut builder = RegexBuilder::new(&pattern);
        builder.size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        match builder.build() {
            Ok(pattern) => Some(Filter::Matches { path, pattern }),
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let detail = format!("not a pattern (syntax of the Rust regex crate): {why}");
                self.fault(&members.at.member("pattern"), detail);
                None
            }
        }
    }

    fn similar(&mut self, path: Path, members: &Members<'_>) -> Option<Filter> {
        let to = self.text(members, "to")?;
        let at_least = match members.object.get("at_least") {
            Some(Json::Integer(0)) => Some(0.0),
            Some(Json::Integer(1)) => Some(1.0),
            Some(Json::Float(value)) if (0.0..=1.0).contains(value) => Some(*value),
            _ => {
                self.fault(&members.at.member("at_least"), "expected a number from 0 to 1");
                None
            }
        };
        Some(Filter::Similar { path, to: Trigrams::of(&to), at_least: at_least? })
    }
}
