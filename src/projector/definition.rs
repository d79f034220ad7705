//! What a definition says: which events it reduces, and by which rules.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    model::{CategoryName, Event, NameFault, Source, StreamKey},
    worker::frames::{Allowance, Description},
};

/// CPU time after which a worker answers as far as it came.
const BATCH_MICROS: u64 = 1_000_000;
/// What is kept of `console.log` where somebody sees it.
const CONSOLE_LINES: usize = 100;
const CONSOLE_BYTES: usize = 16 << 10;
/// Categories of one source.
const CATEGORIES_MAX: usize = 100;

/// What is wrong with a definition, and the JSON Pointer of where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub pointer: String,
    pub detail: String,
}

/// The rules of a projector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What is followed.
    pub source: Source,
    /// Of a source of several: these.
    pub categories: Option<BTreeSet<CategoryName>>,
    handlers: BTreeSet<String>,
    any: bool,
    /// Whether the definition gives the ids; else they are the names of streams.
    pub has_id: bool,
    pub missing_handler: MissingHandler,
    pub on_error: OnError,
    pub activate: Activate,
    pub allowance: Allowance,
    /// Events that a worker is given at once.
    pub batch_events: usize,
}

/// What an event is to a projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// It is applied.
    Applied,
    /// It has no handler.
    Ignored,
    /// It is of another source.
    Elsewhere,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    source: PlainSource,
    #[serde(default)]
    missing_handler: MissingHandler,
    #[serde(default)]
    on_error: OnError,
    #[serde(default)]
    activate: Activate,
    #[serde(default)]
    limits: PlainLimits,
    #[serde(default)]
    language: Language,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainSource {
    log: Option<bool>,
    category: Option<String>,
    categories: Option<Vec<String>>,
    stream: Option<String>,
}

/// What becomes of an event that has no handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingHandler {
    /// It is counted, and passed over.
    #[default]
    Ignore,
    /// It fails.
    Fail,
}

/// What an event that fails stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The projector.
    #[default]
    Halt,
    /// The entry that it was applied to: that waits, with what follows; others go on.
    Park,
}

/// When a changed definition takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activate {
    /// By itself, once it has caught up.
    #[default]
    WhenCaughtUp,
    /// When it is told to.
    Manual,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Language {
    #[default]
    Javascript,
}

/// Each limit, by default and at most.
const LIMITS: [(&str, u64, u64); 8] = [
    ("load_ms", 250, 1_000),
    ("call_ms", 50, 250),
    ("heap_bytes", 64 << 20, 256 << 20),
    ("stack_bytes", 256 << 10, 512 << 10),
    ("state_bytes", 1 << 20, 16 << 20),
    ("metadata_bytes", 64 << 10, 256 << 10),
    ("ids", 16, 256),
    ("batch_events", 500, 5_000),
];

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PlainLimits {
    load_ms: Option<u64>,
    call_ms: Option<u64>,
    heap_bytes: Option<u64>,
    stack_bytes: Option<u64>,
    state_bytes: Option<u64>,
    metadata_bytes: Option<u64>,
    ids: Option<u64>,
    batch_events: Option<u64>,
}

/// What a definition is loaded with before it has said what it needs.
#[must_use]
pub fn usual() -> Allowance {
    allowance(&LIMITS.map(|(_, usual, _)| usual))
}

fn allowance(limits: &[u64; 8]) -> Allowance {
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    let [load, call, heap, stack, state, metadata, ids, _] = *limits;
    Allowance {
        load_micros: load * 1_000,
        call_micros: call * 1_000,
        batch_micros: BATCH_MICROS,
        heap_bytes: size(heap),
        stack_bytes: size(stack),
        state_bytes: size(state),
        metadata_bytes: size(metadata),
        ids: size(ids),
        console_lines: CONSOLE_LINES,
        console_bytes: CONSOLE_BYTES,
    }
}

impl Rules {
    /// Reads what a worker said of a definition.
    pub fn read(description: &Description) -> Result<Self, Fault> {
        let mut reader = serde_json::Deserializer::from_str(&description.plain);
        let plain: Plain = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let pointer = match path.as_str() {
                "." => String::new(),
                path => format!("/{}", path.replace(['.', '['], "/").replace(']', "")),
            };
            let detail = error.inner().to_string();
            let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
            Fault { pointer, detail }
        })?;
        let Language::Javascript = plain.language;
        let (source, categories) = plain.source.read()?;
        let limits = plain.limits.read()?;
        Ok(Self {
            source,
            categories,
            handlers: description.handlers.iter().cloned().collect(),
            any: description.any,
            has_id: description.has_id,
            missing_handler: plain.missing_handler,
            on_error: plain.on_error,
            activate: plain.activate,
            allowance: allowance(&limits),
            batch_events: usize::try_from(limits[7]).unwrap_or(usize::MAX),
        })
    }

    /// What an event is to the projector.
    #[must_use]
    pub fn concern(&self, event: &Event) -> Concern {
        let category = &event.stream.category;
        if self.categories.as_ref().is_some_and(|of| !of.contains(category)) {
            return Concern::Elsewhere;
        }
        if self.any
            || self.handlers.contains(event.name.as_str())
            // To fail.
            || self.missing_handler == MissingHandler::Fail
        {
            Concern::Applied
        } else {
            Concern::Ignored
        }
    }
}

fn named<T: FromStr<Err = NameFault>>(text: &str, pointer: &str) -> Result<T, Fault> {
    text.parse().map_err(|fault: NameFault| Fault {
        pointer: pointer.to_owned(),
        detail: fault.to_string(),
    })
}

impl PlainSource {
    fn read(self) -> Result<(Source, Option<BTreeSet<CategoryName>>), Fault> {
        let category = |text: &str| named::<CategoryName>(text, "/source/category");
        match (self.log, self.category, self.categories, self.stream) {
            (Some(true), None, None, None) => Ok((Source::Log, None)),
            (None, Some(name), None, None) => Ok((Source::Category(category(&name)?), None)),
            (None, Some(name), None, Some(stream)) => {
                let (category, stream) = (category(&name)?, named(&stream, "/source/stream")?);
                Ok((Source::Stream(StreamKey { category, stream }), None))
            }
            (None, None, Some(names), None)
                if !names.is_empty() && names.len() <= CATEGORIES_MAX =>
            {
                let names = names
                    .iter()
                    .enumerate()
                    .map(|(index, name)| named(name, &format!("/source/categories/{index}")));
                Ok((Source::Log, Some(names.collect::<Result<_, _>>()?)))
            }
            _ => {
                let detail = format!(
                    "expected {{\"log\": true}}, {{\"category\"}}, {{\"category\", \"stream\"}} or {{\"categories\"}} (1 to {CATEGORIES_MAX})"
                );
                Err(Fault { pointer: "/source".to_owned(), detail })
            }
        }
    }
}

impl PlainLimits {
    fn read(&self) -> Result<[u64; 8], Fault> {
        let given = [
            self.load_ms,
            self.call_ms,
            self.heap_bytes,
            self.stack_bytes,
            self.state_bytes,
            self.metadata_bytes,
            self.ids,
            self.batch_events,
        ];
        let mut limits = LIMITS.map(|(_, usual, _)| usual);
        for ((limit, given), (name, _, most)) in limits.iter_mut().zip(given).zip(LIMITS) {
            let Some(given) = given else { continue };
            if given < 1 || given > most {
                let pointer = format!("/limits/{name}");
                return Err(Fault {
                    pointer,
                    detail: format!("expected an integer from 1 to {most}"),
                });
            }
            *limit = given;
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(plain: &str) -> Result<Rules, (String, String)> {
        let handlers = vec!["a".to_owned()];
        let description =
            Description { plain: plain.to_owned(), handlers, ..Description::default() };
        Rules::read(&description).map_err(|fault| (fault.pointer, fault.detail))
    }

    #[test]
    fn a_definition_says_what_it_reads() {
        let rules = read(r#"{"source":{"category":"c"}}"#).expect("it is one");
        assert_eq!(rules.source, Source::Category(CategoryName::stored("c")));
        assert_eq!((rules.activate, rules.batch_events), (Activate::WhenCaughtUp, 500));
        assert_eq!(rules.missing_handler, MissingHandler::Ignore);
        assert_eq!(rules.allowance, usual());
        let several = r#"{"source":{"categories":["a","b"]},"missing_handler":"fail","activate":"manual","limits":{"call_ms":250,"batch_events":7}}"#;
        let rules = read(several).expect("it is one");
        assert_eq!((rules.source, rules.categories.map(|of| of.len())), (Source::Log, Some(2)));
        assert_eq!((rules.activate, rules.batch_events), (Activate::Manual, 7));
        assert_eq!(rules.missing_handler, MissingHandler::Fail);
        assert_eq!(rules.allowance.call_micros, 250_000);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        for (plain, pointer, detail) in [
            ("{}", "", "missing field `source`"),
            (r#"{"source":{}}"#, "/source", "expected {\"log\": true}"),
            (r#"{"source":{"log":false}}"#, "/source", "expected"),
            (r#"{"source":{"category":"c","log":true}}"#, "/source", "expected"),
            (r#"{"source":{"category":"$c"}}"#, "/source/category", "reserved"),
            (r#"{"source":{"categories":["a",""]}}"#, "/source/categories/1", "empty"),
            (r#"{"source":{"categories":[]}}"#, "/source", "1 to 100"),
            (r#"{"source":{"stream":"s"}}"#, "/source", "expected"),
            (r#"{"source":{"category":5}}"#, "/source/category", "invalid type: integer"),
            (r#"{"source":{"log":true},"on_error":"skip"}"#, "/on_error", "unknown variant"),
            (r#"{"source":{"log":true},"limits":{"call_ms":251}}"#, "/limits/call_ms", "1 to 250"),
            (r#"{"source":{"log":true},"limits":{"call_ms":0}}"#, "/limits/call_ms", "1 to 250"),
            (r#"{"source":{"log":true},"limits":{"calls":1}}"#, "/limits/calls", "unknown field"),
            (r#"{"source":{"log":true},"language":"jq"}"#, "/language", "unknown variant"),
        ] {
            let (at, told) = read(plain).expect_err(plain);
            assert!(at == pointer && told.contains(detail), "{plain}: {at} {told}");
        }
    }
}
