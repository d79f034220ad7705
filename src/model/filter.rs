//! Which events of a source a reader wants: by name, by metadata, by time.
//!
//! One function decides for every store, for scans, for `latest` and for `no_event_matching`.

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;

use super::{Event, EventName, Timestamp};

/// A scalar that a top-level member of the metadata must equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string of these characters.
    Text(String),
    /// The number, boolean or null with this JSON text.
    Literal(String),
    /// Either: a query parameter does not tell `5` from `"5"`.
    Any(String),
}

/// A top-level key of the metadata and the values it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataMatch {
    pub key: String,
    pub any_of: Vec<Scalar>,
}

/// A range of time, inclusive at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl TimeRange {
    fn holds(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time <= until)
    }
}

/// All that is given must hold; an empty filter holds every event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these names; none means every name.
    pub names: Vec<EventName>,
    pub metadata: Vec<MetadataMatch>,
    pub occurred: TimeRange,
    pub observed: TimeRange,
    pub recorded: TimeRange,
}

impl Filter {
    /// Whether every event passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the event passes.
    #[must_use]
    pub fn holds(&self, event: &Event) -> bool {
        (self.names.is_empty() || self.names.contains(&event.name))
            && self.occurred.holds(event.occurred_at)
            && self.observed.holds(event.observed_at)
            && self.recorded.holds(event.recorded_at)
            && (self.metadata.is_empty() || holds_metadata(&self.metadata, event.metadata.as_str()))
    }
}

fn holds_metadata(matches: &[MetadataMatch], metadata: &str) -> bool {
    let Ok(members) = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(metadata) else {
        return false;
    };
    matches.iter().all(|wanted| {
        members.get(wanted.key.as_str()).is_some_and(|value| {
            let text = serde_json::from_str::<String>(value.get()).ok();
            wanted.any_of.iter().any(|scalar| match (scalar, &text) {
                (Scalar::Text(wanted) | Scalar::Any(wanted), Some(text)) => wanted == text,
                (Scalar::Literal(wanted) | Scalar::Any(wanted), None) => wanted == value.get(),
                (Scalar::Text(_), None) | (Scalar::Literal(_), Some(_)) => false,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_matched_by_type_and_text() {
        let metadata = r#"{"s":"5","n":5,"e":5e0,"b":true,"z":null,"a":["5"],"o":{"s":"5"}}"#;
        let holds = |key: &str, scalar| {
            let wanted = MetadataMatch { key: key.to_owned(), any_of: vec![scalar] };
            holds_metadata(&[wanted], metadata)
        };
        let (text, literal) = (Scalar::Text("5".into()), Scalar::Literal("5".into()));
        let any = Scalar::Any("5".into());
        assert!(
            holds("s", text.clone()) && !holds("s", literal.clone()) && holds("s", any.clone())
        );
        assert!(!holds("n", text) && holds("n", literal.clone()) && holds("n", any.clone()));
        assert!(!holds("e", literal) && !holds("a", any.clone()) && !holds("o", any.clone()));
        assert!(holds("b", Scalar::Any("true".into())) && holds("z", Scalar::Any("null".into())));
        assert!(!holds("missing", Scalar::Any("null".into())));
        let wanted = MetadataMatch { key: "k".into(), any_of: vec![any] };
        assert!(!holds_metadata(&[wanted], "[]"));
    }
}
