//! Conditions as requests state them, in headers and bodies, and as answers report them.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::only_objects,
    error::{Failed, Fault, Kind, Problem, fragment},
    links,
};
use crate::model::{
    At, Condition, Cursor, FailedCondition, Filter, INTEGER_MAX, Log, Matching, MetadataMatch,
    Scalar, Source, StreamKey, Tags, Test, condition::Since, limits::CONDITIONS_MAX,
    limits::FILTER_VALUES_MAX,
};

/// A stream of the log.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub(super) struct StreamInput {
    /// Its category.
    #[schema(min_length = 1, max_length = 255, example = "profiles")]
    category: String,
    /// Its name in the category.
    #[schema(min_length = 1, max_length = 255, example = "joe.bloggs")]
    stream: String,
}

/// A source of events: the log, a category or a stream of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = SourceInput)]
pub(super) struct SourceInput {
    /// The whole log.
    #[schema(nullable = false)]
    log: Option<bool>,
    /// A category, or the category of `stream`.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    category: Option<String>,
    /// A stream of `category`.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    stream: Option<String>,
}

/// Which events there must be none of.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = EventMatch)]
pub(super) struct MatchInput {
    /// Where to look; by default the stream that is written to.
    #[schema(nullable = false)]
    source: Option<SourceInput>,
    /// Any of these names; by default every name.
    #[schema(nullable = false, max_items = 100)]
    names: Option<Vec<String>>,
    /// Top-level members of the metadata that must equal these scalars.
    #[schema(nullable = false, required = false, value_type = Object)]
    metadata: Option<BTreeMap<String, Box<RawValue>>>,
    /// Only events with a larger sequence number.
    #[schema(nullable = false, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after: Option<i64>,
}

/// A condition: exactly one operator is set. Beside a set operator an empty list, null or false
/// counts as absent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = Condition, no_recursion)]
pub(super) struct ConditionInput {
    /// The stream's last position is this one.
    #[schema(nullable = false, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position_is: Option<i64>,
    /// The stream's last position is this one or a later one.
    #[schema(nullable = false, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position_at_least: Option<i64>,
    /// True: the stream has no event.
    #[schema(nullable = false)]
    stream_is_empty: Option<bool>,
    /// True: the stream has an event.
    #[schema(nullable = false)]
    stream_exists: Option<bool>,
    /// No event matches (a dynamic consistency boundary).
    #[schema(nullable = false)]
    no_event_matching: Option<MatchInput>,
    /// Each of these holds. None: holds.
    #[schema(nullable = false, no_recursion, max_items = 64)]
    all_of: Option<Vec<ConditionInput>>,
    /// One of these holds. None: fails.
    #[schema(nullable = false, no_recursion, max_items = 64)]
    any_of: Option<Vec<ConditionInput>>,
    /// This one does not hold.
    #[schema(nullable = false, no_recursion)]
    not: Option<Box<ConditionInput>>,
    /// The stream that the operator looks at, if it is another than the one written to.
    #[schema(nullable = false)]
    stream: Option<StreamInput>,
}

only_objects!(StreamInput, SourceInput, MatchInput, ConditionInput);

/// Makes conditions of what a request states, and collects what is wrong with it.
#[derive(Debug)]
pub(super) struct Conditions<'a> {
    log: &'a Log,
    pub list: Vec<Condition>,
    count: usize,
}

impl<'a> Conditions<'a> {
    #[must_use]
    pub(super) fn new(log: &'a Log) -> Self {
        Self { log, list: Vec::new(), count: 0 }
    }

    /// `If-Match` and `If-None-Match`, about the source that the URL names.
    pub(super) fn headers(&mut self, headers: &HeaderMap, source: &Source) -> Result<(), Problem> {
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            let Some(tags) = tags(headers, &name)? else { continue };
            if !tags.numbers.is_empty() && self.log.lanes.single(source).is_none() {
                let detail = "this source spans several lanes without an order between them; only * \
                              can be asked of it, or a condition on one stream";
                return Err(Problem::invalid(vec![Fault::header(&name, detail)]));
            }
            let source = source.clone();
            let (at, test) = if name == header::IF_MATCH {
                ("If-Match", Test::IfMatch(source, tags))
            } else {
                ("If-None-Match", Test::IfNoneMatch(source, tags))
            };
            self.list.push(Condition { at: At::Header(at), test });
        }
        Ok(())
    }

    /// A condition of the body, about `stream` unless it names another.
    pub(super) fn body(
        &mut self,
        input: ConditionInput,
        pointer: &str,
        stream: Option<&StreamKey>,
    ) -> Result<(), Problem> {
        let condition = self.compile(input, pointer, stream).map_err(|fault| match fault {
            Refused::Fault(fault) => Problem::invalid(vec![fault]),
            Refused::TooMany => {
                let detail = format!("A publish takes at most {CONDITIONS_MAX} conditions; each all_of, any_of and not \
                     counts as one.");
                Problem::too_large("conditions", CONDITIONS_MAX, detail)
            }
        })?;
        self.list.push(condition);
        Ok(())
    }

    fn compile(
        &mut self,
        input: ConditionInput,
        pointer: &str,
        written: Option<&StreamKey>,
    ) -> Result<Condition, Refused> {
        self.count += 1;
        if self.count > CONDITIONS_MAX {
            return Err(Refused::TooMany);
        }
        let operator = input.operator(pointer)?;
        let named =
            input.stream.as_ref().map(|s| s.key(&format!("{pointer}/stream"))).transpose()?;
        let is_tree = matches!(operator, "all_of" | "any_of" | "not");
        if is_tree && named.is_some() {
            return Err(
                Fault::at(&format!("{pointer}/stream"), "goes with a leaf, not a tree").into()
            );
        }
        let target = || {
            named.as_ref().or(written).cloned().ok_or_else(|| {
                let detail = "name the `stream`: a condition on the whole publish has no other";
                Refused::from(Fault::at(pointer, detail))
            })
        };
        let place = format!("{pointer}/{operator}");
        let test = match operator {
            "position_is" => Test::PositionIs(target()?, number(input.position_is, &place)?),
            "position_at_least" => {
                Test::PositionAtLeast(target()?, number(input.position_at_least, &place)?)
            }
            "stream_is_empty" => Test::StreamIsEmpty(target()?),
            "stream_exists" => Test::StreamExists(target()?),
            "no_event_matching" => {
                let matching =
                    input.no_event_matching.ok_or_else(|| Fault::at(&place, "is missing"))?;
                Test::NoEventMatching(self.matching(matching, &place, named.is_some(), target)?)
            }
            "not" => {
                let child = input.not.ok_or_else(|| Fault::at(&place, "is missing"))?;
                Test::Not(Box::new(self.compile(*child, &place, written)?))
            }
            tree => {
                let children = if tree == "all_of" { input.all_of } else { input.any_of };
                let children = children.unwrap_or_default().into_iter().enumerate();
                let children = children
                    .map(|(i, child)| self.compile(child, &format!("{place}/{i}"), written))
                    .collect::<Result<_, _>>()?;
                if tree == "all_of" { Test::AllOf(children) } else { Test::AnyOf(children) }
            }
        };
        Ok(Condition { at: At::Body(pointer.to_owned()), test })
    }

    fn matching(
        &self,
        input: MatchInput,
        pointer: &str,
        stream_named: bool,
        target: impl Fn() -> Result<StreamKey, Refused>,
    ) -> Result<Matching, Refused> {
        let source = match input.source {
            Some(_) if stream_named => {
                let detail = "goes without `stream` beside the operator";
                return Err(Fault::at(&format!("{pointer}/source"), detail).into());
            }
            Some(source) => source.source(&format!("{pointer}/source"))?,
            None => Source::Stream(target()?),
        };
        let after =
            input.after.map(|n| number(Some(n), &format!("{pointer}/after"))).transpose()?;
        if after.is_some() && self.log.lanes.single(&source).is_none() {
            let detail = "this source spans several lanes: no number is a place in it";
            return Err(Fault::at(&format!("{pointer}/after"), detail).into());
        }
        let mut filter = Filter::default();
        let names = input.names.unwrap_or_default();
        if names.len() > FILTER_VALUES_MAX {
            let detail = format!("expected at most {FILTER_VALUES_MAX} names");
            return Err(Fault::at(&format!("{pointer}/names"), detail).into());
        }
        for (i, name) in names.into_iter().enumerate() {
            filter.names.push(name.try_into().map_err(|fault: crate::model::NameFault| {
                Fault::at(&format!("{pointer}/names/{i}"), fault.to_string())
            })?);
        }
        for (key, value) in input.metadata.unwrap_or_default() {
            // Numbers are compared by their text, so they may not pass through a float.
            let scalar = match value.get() {
                text if text.starts_with('"') => {
                    Scalar::Text(serde_json::from_str(text).unwrap_or_default())
                }
                text if text.starts_with(['[', '{']) => {
                    let mut place = format!("{pointer}/metadata/");
                    crate::model::json::escape_pointer(&key, &mut place);
                    return Err(Fault::at(&place, "expected a scalar").into());
                }
                text => Scalar::Literal(text.to_owned()),
            };
            filter.metadata.push(MetadataMatch { key, any_of: vec![scalar] });
        }
        Ok(Matching { source, after, filter })
    }
}

enum Refused {
    Fault(Fault),
    TooMany,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl ConditionInput {
    /// The one operator that is set.
    fn operator(&self, pointer: &str) -> Result<&'static str, Fault> {
        let trees = [("all_of", &self.all_of), ("any_of", &self.any_of)];
        let mut set: Vec<&str> = [
            ("position_is", self.position_is.is_some()),
            ("position_at_least", self.position_at_least.is_some()),
            ("stream_is_empty", self.stream_is_empty == Some(true)),
            ("stream_exists", self.stream_exists == Some(true)),
            ("no_event_matching", self.no_event_matching.is_some()),
            ("not", self.not.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();
        let filled = trees.iter().filter(|(_, list)| list.as_ref().is_some_and(|l| !l.is_empty()));
        set.extend(filled.map(|(name, _)| name));
        if set.is_empty() {
            set.extend(trees.iter().filter(|(_, list)| list.is_some()).map(|(name, _)| name));
        }
        match set.as_slice() {
            ["position_is"] => Ok("position_is"),
            ["position_at_least"] => Ok("position_at_least"),
            ["stream_is_empty"] => Ok("stream_is_empty"),
            ["stream_exists"] => Ok("stream_exists"),
            ["no_event_matching"] => Ok("no_event_matching"),
            ["not"] => Ok("not"),
            ["all_of"] => Ok("all_of"),
            ["any_of"] => Ok("any_of"),
            [] => Err(Fault::at(
                pointer,
                "expected one operator: position_is, position_at_least, stream_is_empty, \
                 stream_exists, no_event_matching, all_of, any_of or not",
            )),
            several => {
                let detail = format!("expected one operator, found {}", several.join(" and "));
                Err(Fault::at(pointer, detail))
            }
        }
    }
}

impl StreamInput {
    /// The stream, if both names are names.
    pub(super) fn key(&self, pointer: &str) -> Result<StreamKey, Fault> {
        let fault = |name: &str, fault: crate::model::NameFault| {
            Fault::at(&format!("{pointer}/{name}"), fault.to_string())
        };
        Ok(StreamKey {
            category: self.category.parse().map_err(|error| fault("category", error))?,
            stream: self.stream.parse().map_err(|error| fault("stream", error))?,
        })
    }
}

impl SourceInput {
    /// The source, if it is one.
    pub(super) fn source(self, pointer: &str) -> Result<Source, Fault> {
        match (self.log.unwrap_or(false), self.category, self.stream) {
            (true, None, None) => Ok(Source::Log),
            (false, Some(category), Some(stream)) => {
                StreamInput { category, stream }.key(pointer).map(Source::Stream)
            }
            (false, Some(category), None) => {
                category.parse().map(Source::Category).map_err(|fault: crate::model::NameFault| {
                    Fault::at(&format!("{pointer}/category"), fault.to_string())
                })
            }
            _ => Err(Fault::at(
                pointer,
                "expected {\"log\": true}, {\"category\": …} or {\"category\": …, \"stream\": …}",
            )),
        }
    }
}

fn number(number: Option<i64>, pointer: &str) -> Result<i64, Fault> {
    number
        .filter(|n| (0..=INTEGER_MAX).contains(n))
        .ok_or_else(|| Fault::at(pointer, "expected a whole number from 0 to 9007199254740991"))
}

/// The entity tags of a header (RFC 9110 §8.8.3); a number without quotes is taken too.
pub(super) fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    if values.is_empty() {
        return Ok(None);
    }
    let unreadable = || {
        let detail = "expected *, an entity tag in double quotes such as \"4\", or a list of them";
        Problem::malformed(Fault::header(name, detail))
    };
    let texts = values.iter().map(|value| value.to_str().map_err(|_| unreadable()));
    let text = texts.collect::<Result<Vec<_>, _>>()?.join(",");
    parse_tags(&text, *name == header::IF_MATCH).map(Some).ok_or_else(unreadable)
}

/// Reads `*` or a list of tags. Where they compare strongly, a weak one never matches.
#[must_use]
pub fn parse_tags(text: &str, strong: bool) -> Option<Tags> {
    let mut tags = Tags { any: false, numbers: Vec::new(), others: Vec::new(), weak: false };
    let mut rest = text.trim();
    if rest == "*" {
        tags.any = true;
        return Some(tags);
    }
    let mut found = false;
    while !rest.is_empty() {
        if let Some(more) = rest.strip_prefix(',') {
            rest = more.trim_start();
            continue;
        }
        let (weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
        let (opaque, more) = match tag.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None if weak => return None,
            None => {
                let (number, more) = tag.split_at(tag.find(',').unwrap_or(tag.len()));
                let number = number.trim_end();
                if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                (number, more)
            }
        };
        // etagc: no spaces, quotes or controls; after the tag the list goes on or ends.
        if opaque.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        rest = more.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        found = true;
        // Tags are compared by their characters: "04" is none of ours.
        let number = opaque.parse::<i64>().ok().filter(|n| *n >= 0 && n.to_string() == opaque);
        match number {
            _ if weak && strong => {
                tags.weak = true;
                tags.others.push(format!("W/\"{opaque}\""));
            }
            Some(number) => tags.numbers.push(number),
            None => tags.others.push(opaque.to_owned()),
        }
    }
    found.then_some(tags)
}

/// The answer to a publish whose conditions do not hold. `position` is that of the one stream.
pub(super) fn failed(
    log: &Log,
    failed: &[FailedCondition],
    position: Option<Option<i64>>,
) -> Problem {
    let by_header = failed.iter().any(|condition| matches!(condition.at, At::Header(_)));
    let kind = if by_header { Kind::ConditionFailed } else { Kind::ConditionConflict };
    let reports: Vec<_> = failed.iter().map(|condition| report(log, condition)).collect();
    let first = failed.first().map_or_else(String::new, describe);
    let detail = match failed.len() {
        0 | 1 => first,
        more => format!("{first} {more} conditions do not hold; see failed."),
    };
    let mut problem = Problem::new(kind, detail);
    problem.body.events_since = match position {
        Some(_) => reports.iter().find_map(|report| report.events_since.clone()),
        None => None,
    };
    problem.body.actual_position = position;
    problem.body.failed = reports;
    let tag = match position {
        Some(position) => position,
        None => failed.iter().find(|c| matches!(c.at, At::Header(_))).and_then(|c| c.actual),
    };
    if let Some(number) = tag {
        problem.header(header::ETAG, &format!("\"{number}\""));
    }
    problem
}

fn describe(failed: &FailedCondition) -> String {
    let about = match &failed.source {
        Some(Source::Stream(key)) => format!("stream `{}`", key.stream),
        Some(Source::Category(category)) => format!("category `{category}`"),
        Some(Source::Log) => "the log".to_owned(),
        None => "the tree".to_owned(),
    };
    let actual = match (failed.condition, failed.actual) {
        ("no_event_matching", Some(n)) => format!("the event with sequence number {n} matches"),
        (_, Some(n)) => format!("{about} is at {n}"),
        (_, None) => format!("{about} is empty"),
    };
    let weak = if failed.weak {
        " A weak entity tag was received: If-Match compares strongly, so it never matches."
    } else {
        ""
    };
    format!("{} expected {}, but {actual}.{weak}", failed.condition, failed.expected)
}

fn report(log: &Log, failed: &FailedCondition) -> Failed {
    let (header, pointer) = match &failed.at {
        At::Header(name) => (Some((*name).to_owned()), None),
        At::Body(pointer) => (None, Some(fragment(pointer))),
    };
    let (category, stream) = match &failed.source {
        Some(Source::Stream(key)) => (Some(key.category.to_string()), Some(key.stream.to_string())),
        Some(Source::Category(category)) => (Some(category.to_string()), None),
        Some(Source::Log) | None => (None, None),
    };
    Failed {
        condition: failed.condition.to_owned(),
        header,
        pointer,
        category,
        stream,
        expected: failed.expected.clone(),
        actual: failed.actual,
        events_since: failed
            .since
            .and_then(|since| events_since(log, failed.source.as_ref()?, since)),
    }
}

fn events_since(log: &Log, source: &Source, since: Since) -> Option<String> {
    let path = format!("{}/events", links::path(log, source));
    let (parameter, number) = match since {
        Since::Start => return Some(links::with_query(&path, vec![limit()])),
        Since::Position(n) => ("after", n),
        Since::SequenceNumber(n) => ("after_sequence_number", n),
    };
    // Of a source of many lanes no number is a place.
    log.lanes.single(source)?;
    let place = crate::model::Place { n: number, check: None };
    let pair = (parameter.to_owned(), Cursor::Number(place).to_string());
    Some(links::with_query(&path, vec![pair, limit()]))
}

fn limit() -> (String, String) {
    ("limit".to_owned(), crate::model::limits::PAGE_EVENTS_DEFAULT.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_read() {
        let read = |text: &str| parse_tags(text, true).map(|t| (t.any, t.numbers, t.weak));
        assert_eq!(read("*"), Some((true, vec![], false)));
        assert_eq!(read("\"4\""), Some((false, vec![4], false)));
        assert_eq!(read("4"), Some((false, vec![4], false)));
        assert_eq!(read("\"3\" , \"x\",5"), Some((false, vec![3, 5], false)));
        assert_eq!(read("W/\"4\""), Some((false, vec![], true)));
        assert_eq!(read("\"a,b\""), Some((false, vec![], false)));
        assert_eq!(read("\"99999999999999999999\""), Some((false, vec![], false)));
        for text in
            ["", ",", "-1", "any", "\"4", "4\"", "W/4", "\"4\"\"5\"", "\"a b\"", "*,\"4\"", "4 5"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(parse_tags("W/\"4\"", false).map(|t| t.numbers), Some(vec![4]));
    }
}
