//! What a store may leave out: documents of which a filter does not hold, told from the members that it looks at.

use std::{collections::BTreeMap, sync::Arc};

use super::ast::{Filter, Path, Root};
use crate::model::{Json, Projection};

/// A filter, and what it looks at.
#[derive(Debug, Clone)]
pub struct Sieve {
    filter: Arc<Filter>,
    state: Wanted,
    metadata: Wanted,
    /// Whether it looks at the source.
    pub source: bool,
}

/// Which members of a value are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    All,
    Members(Vec<String>),
}

impl Sieve {
    /// That of a filter, if it leaves anything out.
    #[must_use]
    pub fn of(filter: &Filter) -> Option<Self> {
        let mut paths = Vec::new();
        filter.paths(&mut paths);
        if paths.is_empty() {
            return None;
        }
        let wanted = |root: Root| {
            let tokens = || paths.iter().filter(|path| path.root == root).map(|path| &path.tokens);
            if tokens().any(Vec::is_empty) {
                return Wanted::All;
            }
            Wanted::Members(tokens().filter_map(|tokens| tokens.first().cloned()).collect())
        };
        Some(Self {
            filter: Arc::new(filter.clone()),
            state: wanted(Root::State),
            metadata: wanted(Root::Metadata),
            source: paths.iter().any(|path| path.root == Root::Source),
        })
    }

    /// Whether the filter holds of a document that has, in place of its state and metadata, these texts.
    #[must_use]
    pub fn passes(&self, document: &mut Projection, state: &str, metadata: &str) -> bool {
        document.state = self.state.read(state);
        document.metadata = self.metadata.read(metadata);
        self.filter.holds(document)
    }
}

impl Sieve {
    /// An object of which the state of each document that passes has every member, in the sense of `json_contains`; if
    /// the filter says so much.
    #[must_use]
    pub fn held(&self) -> Option<Json> {
        let mut held = None;
        hold(&self.filter, &mut held);
        held
    }
}

/// Adds to an object what a filter wants to stand in a state.
fn hold(filter: &Filter, held: &mut Option<Json>) {
    match filter {
        Filter::And(filters) => filters.iter().for_each(|filter| hold(filter, held)),
        Filter::Eq {
            path,
            value: value @ (Json::Bool(_) | Json::Integer(_) | Json::Float(_) | Json::String(_)),
        } if path.root == Root::State && !path.tokens.is_empty() => {
            // An index would be a member of an object as well as an element of an array.
            let is_index = |token: &String| token.bytes().all(|b| b == b'-' || b.is_ascii_digit());
            if path.tokens.iter().any(is_index) {
                return;
            }
            let mut place = held.get_or_insert(Json::Object(BTreeMap::new()));
            for token in &path.tokens {
                let Json::Object(members) = place else { return };
                place =
                    members.entry(token.clone()).or_insert_with(|| Json::Object(BTreeMap::new()));
            }
            if matches!(place, Json::Object(members) if members.is_empty()) {
                *place = value.clone();
            }
        }
        _ => {}
    }
}

impl Wanted {
    fn read(&self, text: &str) -> Json {
        match self {
            Self::All => Json::stored(text),
            Self::Members(members) if members.is_empty() => Json::Null,
            Self::Members(members) => Json::skimmed(text, members),
        }
    }
}

impl Filter {
    /// The paths that it looks at.
    fn paths<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            Self::Eq { path, .. }
            | Self::Ne { path, .. }
            | Self::Compare { path, .. }
            | Self::In { path, .. }
            | Self::Contains { path, .. }
            | Self::JsonContains { path, .. }
            | Self::HasKey { path, .. }
            | Self::Exists { path }
            | Self::Prefix { path, .. }
            | Self::TextContains { path, .. }
            | Self::Matches { path, .. }
            | Self::Similar { path, .. } => paths.push(path),
            Self::And(filters) | Self::Or(filters) => {
                filters.iter().for_each(|filter| filter.paths(paths));
            }
            Self::Not(filter) => filter.paths(paths),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse::parse_filter;

    fn held(filter: &str) -> Option<String> {
        let filter = parse_filter(&Json::stored(filter)).expect("it is a filter");
        Sieve::of(&filter)?.held().map(|held| held.to_string())
    }

    #[test]
    fn what_all_have_is_told() {
        let eq = |path: &str, value: &str| {
            format!("{{\"eq\":{{\"path\":\"{path}\",\"value\":{value}}}}}")
        };
        let and = |filters: &[String]| format!("{{\"and\":[{}]}}", filters.join(","));
        let one = |path: &str, value: &str| held(&eq(path, value));
        assert_eq!(one("/state/a/b", "1").as_deref(), Some(r#"{"a":{"b":1}}"#));
        let both = and(&[eq("/state/a/b", "1"), eq("/state/a/c", "\"x\""), eq("/id", "\"1\"")]);
        assert_eq!(held(&both).as_deref(), Some(r#"{"a":{"b":1,"c":"x"}}"#));
        // Two values for one place: nothing passes, whatever is told.
        let twice = and(&[eq("/state/a", "1"), eq("/state/a", "2"), eq("/state/a/b", "3")]);
        assert_eq!(held(&twice).as_deref(), Some(r#"{"a":1}"#));
        for (path, value) in [
            ("/state/a", "null"),
            ("/state/a", "[1]"),
            ("/state/0", "1"),
            ("/state", "1"),
            ("/metadata/a", "1"),
        ] {
            assert_eq!(one(path, value), None, "{path} {value}");
        }
        assert_eq!(held(&format!("{{\"not\":{}}}", eq("/state/a", "1"))), None);
        assert_eq!(held(&format!("{{\"or\":[{}]}}", eq("/state/a", "1"))), None);
    }
}
