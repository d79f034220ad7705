//! What a filter means: the one judge of whether a document matches.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::ast::{Filter, Path, Root, Text, Than};
use crate::model::{Json, Projection, Source, limits::MATCHED_TEXT_BYTES};

impl Path {
    /// What stands there in a document, if anything does.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Projection) -> Option<Cow<'a, Json>> {
        let root = match self.root {
            Root::State => Cow::Borrowed(&document.state),
            Root::Metadata => Cow::Borrowed(&document.metadata),
            Root::Source => Cow::Owned(source(&document.source)),
            Root::Id => text(&document.id),
            Root::Name => text(&document.name.known()),
            Root::Version => Cow::Owned(Json::Integer(document.version)),
            Root::SequenceNumber => {
                Cow::Owned(document.sequence_number.map_or(Json::Null, Json::Integer))
            }
            Root::CreatedAt => text(&document.created_at),
            Root::UpdatedAt => text(&document.updated_at),
        };
        match root {
            Cow::Borrowed(root) => self.below(root).map(Cow::Borrowed),
            Cow::Owned(root) => self.below(&root).cloned().map(Cow::Owned),
        }
    }

    fn below<'a>(&self, root: &'a Json) -> Option<&'a Json> {
        self.tokens.iter().try_fold(root, |value, token| value.get(token))
    }
}

fn text(value: &impl ToString) -> Cow<'static, Json> {
    Cow::Owned(Json::String(value.to_string()))
}

/// A source as it is answered.
#[must_use]
pub fn source(source: &Source) -> Json {
    let members = match source {
        Source::Log => vec![("log", Json::Bool(true))],
        Source::Category(category) => vec![("category", Json::String(category.to_string()))],
        Source::Stream(key) => vec![
            ("category", Json::String(key.category.to_string())),
            ("stream", Json::String(key.stream.to_string())),
        ],
    };
    Json::Object(
        members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>(),
    )
}

impl Filter {
    /// Whether it holds of a document.
    #[must_use]
    pub fn holds(&self, document: &Projection) -> bool {
        let at = |path: &Path, test: &dyn Fn(&Json) -> bool| {
            path.find(document).is_some_and(|value| test(&value))
        };
        // What is absent is null.
        let equals = |path: &Path, value: &Json| {
            path.find(document).map_or(value.is_null(), |found| *found == *value)
        };
        match self {
            Self::Eq { path, value } => equals(path, value),
            Self::Ne { path, value } => !equals(path, value),
            Self::Compare { path, than, value } => {
                at(path, &|found| found.compare(value).is_some_and(|order| than.holds(order)))
            }
            Self::In { path, values } => values.iter().any(|value| equals(path, value)),
            Self::Contains { path, value } => at(path, &|found| match found {
                Json::Array(elements) => elements.contains(value),
                _ => false,
            }),
            Self::JsonContains { path, value } => path
                .find(document)
                .map_or(value.is_null(), |found| apart(found.values(), || found.contains(value))),
            Self::HasKey { path, key } => at(path, &|found| match found {
                Json::Object(members) => members.contains_key(key),
                _ => false,
            }),
            Self::Exists { path } => path.find(document).is_some(),
            Self::Prefix { path, text } => at(path, &|found| text.begins(found)),
            Self::TextContains { path, text } => at(path, &|found| text.is_in(found)),
            Self::Matches { path, pattern } => at(path, &|found| {
                found.as_str().is_some_and(|text| {
                    let text = &text[..text.floor_char_boundary(MATCHED_TEXT_BYTES)];
                    apart(text.len(), || pattern.is_match(text))
                })
            }),
            Self::Similar { path, to, at_least } => {
                let score = |found: &Json| found.as_str().map_or(0.0, |text| to.score(text));
                path.find(document).map_or(0.0, |found| score(&found)) >= *at_least
            }
            Self::And(filters) => filters.iter().all(|filter| filter.holds(document)),
            Self::Or(filters) => filters.iter().any(|filter| filter.holds(document)),
            Self::Not(filter) => !filter.holds(document),
        }
    }
}

/// Characters, or values, of which more are judged apart.
const APART: usize = 1_024;

/// Does work that may take long, out of the way of the thread's other tasks.
fn apart<T>(size: usize, work: impl FnOnce() -> T) -> T {
    let several = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
    if size >= APART && Handle::try_current().is_ok_and(several) {
        return tokio::task::block_in_place(work);
    }
    work()
}

impl Than {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
        }
    }
}

/// A text in lower case, each character by itself: what a text holds, it holds in lower case too.
#[must_use]
pub fn lowered(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Text {
    fn begins(&self, found: &Json) -> bool {
        self.judge(found, |found, text| found.starts_with(text))
    }

    fn is_in(&self, found: &Json) -> bool {
        self.judge(found, |found, text| found.contains(text))
    }

    fn judge(&self, found: &Json, test: impl Fn(&str, &str) -> bool) -> bool {
        found.as_str().is_some_and(|found| {
            apart(found.len(), || match self.ignore_case {
                true => test(&lowered(found), &self.text),
                false => test(found, &self.text),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{CategoryName, Timestamp},
        query::parse::parse_filter,
    };

    /// Documents whose state has a value of each kind at `a`, and one that lacks it.
    fn documents() -> Vec<Projection> {
        let values = [
            "null",
            "5",
            "10",
            "5.0",
            "\"a\"",
            "\"abc\"",
            "\"5\"",
            "true",
            "false",
            "0",
            "[\"a\",\"b\"]",
            "[1,2]",
            "{\"k\":\"v\",\"a\":1}",
            "[]",
            "{}",
        ];
        let states = values.iter().map(|value| format!("{{\"a\":{value}}}"));
        states.chain(["{}".to_owned()]).map(|state| document(&state)).collect()
    }

    fn document(state: &str) -> Projection {
        let at = Timestamp::of_stored(1_700_000_000_000_000);
        Projection {
            name: "totals".parse().expect("a name"),
            id: "1".parse().expect("an id"),
            source: Source::Category(CategoryName::stored("c")),
            state: Json::stored(state),
            metadata: Json::Null,
            version: 3,
            sequence_number: None,
            created_at: at,
            updated_at: at,
        }
    }

    /// The states of which a filter holds, as they were written.
    fn holding(filter: &str) -> String {
        let filter = parse_filter(&Json::stored(filter)).expect("it is a filter");
        let documents = documents();
        let holding = documents.iter().filter(|document| filter.holds(document));
        let at =
            |document: &Projection| document.state.get("a").map_or("-".into(), Json::to_string);
        holding.map(at).collect::<Vec<_>>().join(" ")
    }

    /// seed-semantics: the truth table of operators, with the rule that is ours.
    #[test]
    fn each_operator_keeps_its_rule() {
        let all = "null 5 10 5 \"a\" \"abc\" \"5\" true false 0 [\"a\",\"b\"] [1,2] \
                   {\"a\":1,\"k\":\"v\"} [] {} -";
        let value = |operator: &str, value: &str| {
            holding(&format!(r#"{{"{operator}":{{"path":"/state/a","value":{value}}}}}"#))
        };
        assert_eq!(value("eq", "5"), "5 5");
        assert_eq!(value("eq", "true"), "true");
        assert_eq!(value("eq", "\"5\""), "\"5\"");
        assert_eq!(value("eq", "null"), "null -");
        assert_eq!(value("eq", "[1,2.0]"), "[1,2]");
        assert_eq!(value("eq", "{\"a\":1,\"k\":\"v\"}"), "{\"a\":1,\"k\":\"v\"}");
        assert_eq!(value("eq", "[]"), "[]");
        assert_eq!(value("ne", "null"), all.trim_start_matches("null ").trim_end_matches(" -"));
        assert_eq!(value("ne", "5"), all.replacen(" 5", "", 1).replacen(" 5", "", 1));
        assert_eq!(value("gt", "5"), "10");
        assert_eq!(value("ge", "5"), "5 10 5");
        assert_eq!(value("lt", "5"), "0");
        assert_eq!(value("le", "5.5"), "5 5 0");
        assert_eq!(value("gt", "\"a\""), "\"abc\"");
        assert_eq!(value("le", "\"a\""), "\"a\" \"5\"");
        assert_eq!(value("contains", "\"a\""), "[\"a\",\"b\"]");
        assert_eq!(value("contains", "2"), "[1,2]");
        assert_eq!(value("json_contains", "[2]"), "[1,2]");
        assert_eq!(value("json_contains", "{\"k\":\"v\"}"), "{\"a\":1,\"k\":\"v\"}");
        assert_eq!(value("json_contains", "{}"), "{\"a\":1,\"k\":\"v\"} {}");
        assert_eq!(value("prefix", "\"a\""), "\"a\" \"abc\"");
        assert_eq!(value("text_contains", "\"b\""), "\"abc\"");
        assert_eq!(
            holding(r#"{"in":{"path":"/state/a","values":[5,"a",null]}}"#),
            "null 5 5 \"a\" -"
        );
        assert_eq!(holding(r#"{"in":{"path":"/state/a","values":[]}}"#), "");
        assert_eq!(
            holding(r#"{"has_key":{"path":"/state/a","key":"k"}}"#),
            "{\"a\":1,\"k\":\"v\"}"
        );
        assert_eq!(holding(r#"{"exists":{"path":"/state/a"}}"#), all.trim_end_matches(" -"));
        assert_eq!(holding(r#"{"not":{"exists":{"path":"/state/a"}}}"#), "-");
        assert_eq!(holding(r#"{"matches":{"path":"/state/a","pattern":"b"}}"#), "\"abc\"");
        assert_eq!(holding(r#"{"matches":{"path":"/state/a","pattern":"^[0-9]$"}}"#), "\"5\"");
        assert_eq!(holding(r#"{"and":[]}"#), all);
        assert_eq!(holding(r#"{"or":[]}"#), "");
        let not = holding(r#"{"not":{"matches":{"path":"/state/a","pattern":"."}}}"#);
        assert_eq!(
            not,
            "null 5 10 5 true false 0 [\"a\",\"b\"] [1,2] {\"a\":1,\"k\":\"v\"} [] {} -"
        );
        let similar = |at_least: &str| {
            holding(&format!(
                r#"{{"similar":{{"path":"/state/a","to":"abc","at_least":{at_least}}}}}"#
            ))
        };
        assert_eq!(similar("0"), all);
        assert_eq!(similar("0.2"), "\"a\" \"abc\"");
    }

    #[test]
    fn paths_lead_to_members_and_elements() {
        let document = document(r#"{"list":[1,{"x":2}],"a/b~c":3,"0":4,"":5}"#);
        for (path, found) in [
            ("/state/list/0", Some("1")),
            ("/state/list/-1/x", Some("2")),
            ("/state/list/2", None),
            ("/state/a~1b~0c", Some("3")),
            ("/state/0", Some("4")),
            ("/state/", Some("5")),
            ("/state/list/0/deeper", None),
            ("/version", Some("3")),
            ("/sequence_number", Some("null")),
            ("/source/category", Some("\"c\"")),
            ("/source/stream", None),
            ("/created_at", Some("\"2023-11-14T22:13:20.000000Z\"")),
            ("/metadata", Some("null")),
            ("/metadata/x", None),
        ] {
            let read = crate::query::path::read_path(path).expect("a path");
            let text = read.find(&document).map(|value| value.to_string());
            assert_eq!(text.as_deref(), found, "{path}");
        }
    }

    #[test]
    fn a_time_is_compared_as_a_time() {
        let holds = |operator: &str, time: &str| {
            let text = format!(r#"{{"{operator}":{{"path":"/created_at","value":"{time}"}}}}"#);
            let filter = parse_filter(&Json::stored(&text)).expect("it is a filter");
            filter.holds(&document("{}"))
        };
        assert!(holds("eq", "2023-11-14T23:13:20+01:00"));
        assert!(holds("gt", "2023-11-14T22:13:19.9Z"));
        assert!(!holds("lt", "2023-11-14T22:13:20Z"));
    }

    #[test]
    fn case_is_ignored_where_that_is_asked_for() {
        let holds = |operator: &str, text: &str, ignore: bool| {
            let state = if text.contains('Σ') { "\"ΒΑΣΗ\"" } else { "\"GRÖßE\"" };
            let filter = format!(
                r#"{{"{operator}":{{"path":"/state","value":"{text}","ignore_case":{ignore}}}}}"#
            );
            let filter = parse_filter(&Json::stored(&filter)).expect("it is a filter");
            filter.holds(&document(state))
        };
        assert!(holds("prefix", "größ", true) && !holds("prefix", "größ", false));
        assert!(!holds("text_contains", "ÖSS", true), "it is not folded");
        assert!(holds("text_contains", "ΑΣ", true) && holds("text_contains", "ΑΣ", false));
        assert!(holds("text_contains", "ÖßE", true));
    }
}
