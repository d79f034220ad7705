//! Declared indexes: what finds documents of a projection without reading all of them.
//!
//! An index holds rows of a key and an id. One of fields has one row a document: its key is the document's in the
//! order of these fields. One of a similarity has a row for each three-letter piece of a text.

use std::collections::HashSet;

use super::{
    ast::{By, Path, Sort},
    order,
    parse::{At, Fault, Reader},
    similarity::Trigrams,
};
use crate::model::{
    IndexName, Json, Projection,
    limits::{INDEX_FIELDS_MAX, INDEXES_MAX},
};

/// An index, as it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    pub name: IndexName,
    pub of: Of,
}

/// What an index is of.
#[derive(Debug, Clone, PartialEq)]
pub enum Of {
    /// Paths, in an order.
    Fields(Vec<Sort>),
    /// The text at a path.
    Similarity(Path),
}

/// A row of a document in an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub key: Vec<u8>,
    /// The pieces of the text; 0 in an index of fields.
    pub pieces: i64,
}

impl Of {
    /// The rows of a document.
    #[must_use]
    pub fn rows(&self, document: &Projection) -> Vec<Row> {
        match self {
            Self::Fields(fields) => {
                vec![Row { key: order::key(fields, document), pieces: 0 }]
            }
            Self::Similarity(path) => {
                let found = path.find(document);
                let text = found.as_deref().and_then(Json::as_str).unwrap_or_default();
                let trigrams = Trigrams::of(text);
                let pieces = i64::try_from(trigrams.len()).unwrap_or(i64::MAX);
                trigrams.keys().map(|key| Row { key: key.into_bytes(), pieces }).collect()
            }
        }
    }

    /// In the words in which it is declared, and kept by a store.
    #[must_use]
    pub fn definition(&self) -> Json {
        let object = |members: Vec<(&str, Json)>| {
            Json::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        let path = |path: &Path| Json::String(path.to_string());
        match self {
            Self::Similarity(of) => object(vec![("similarity", path(of))]),
            Self::Fields(fields) => {
                let field = |field: &Sort| match &field.by {
                    By::Path(of) => object(vec![
                        ("path", path(of)),
                        ("order", Json::String(field.order().to_owned())),
                    ]),
                    By::Similarity { .. } => Json::Null,
                };
                object(vec![("fields", Json::Array(fields.iter().map(field).collect()))])
            }
        }
    }
}

/// Reads what a projection's indexes are to be.
pub fn parse(declaration: &Json) -> Result<Vec<Index>, Vec<Fault>> {
    let mut reader = Reader::default();
    let indexes = reader.indexes(declaration);
    if reader.faults.is_empty() { Ok(indexes) } else { Err(reader.faults) }
}

/// An index that a store kept, by name and definition.
#[must_use]
pub fn stored(name: &str, definition: &str) -> Option<Index> {
    let of = Reader::default().of(&Json::stored(definition), &At::root(), &KNOWN[1..])?;
    Some(Index { name: IndexName::stored(name), of })
}

const KNOWN: [&str; 3] = ["name", "fields", "similarity"];

impl Reader {
    fn indexes(&mut self, declaration: &Json) -> Vec<Index> {
        let at = At::root();
        let Some(members) = self.members(declaration, &at, &["indexes"]) else { return Vec::new() };
        let Some((list, at)) = members.get("indexes") else {
            self.fault(&at.member("indexes"), "expected a list of indexes; an empty one for none");
            return Vec::new();
        };
        let mut names = HashSet::new();
        let indexes = self.elements(list, &at, INDEXES_MAX, "indexes");
        let mut read = Vec::new();
        for (index, at) in indexes {
            let (name, of) = (self.name(index, &at), self.of(index, &at, &KNOWN));
            if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
                self.fault(&at.member("name"), "stands in the list already");
            }
            if of.as_ref().is_some_and(|of| read.iter().any(|other: &Index| other.of == *of)) {
                self.fault(&at, "the same index stands in the list already");
            }
            read.extend(name.zip(of).map(|(name, of)| Index { name, of }));
        }
        read
    }

    fn name(&mut self, index: &Json, at: &At) -> Option<IndexName> {
        let name = index.get("name").and_then(Json::as_str).map(str::parse);
        match name {
            Some(Ok(name)) => return Some(name),
            Some(Err(fault)) => self.fault(&at.member("name"), format!("{fault}")),
            None => self.fault(&at.member("name"), "expected a name"),
        }
        None
    }

    fn of(&mut self, index: &Json, at: &At, known: &[&str]) -> Option<Of> {
        let members = self.members(index, at, known)?;
        match (members.get("fields"), members.get("similarity")) {
            (Some((fields, at)), None) => self.fields(fields, &at).map(Of::Fields),
            (None, Some((path, at))) => self.path(Some(path), &at).map(Of::Similarity),
            _ => {
                self.fault(at, "expected either `fields` or `similarity`");
                None
            }
        }
    }

    fn fields(&mut self, fields: &Json, at: &At) -> Option<Vec<Sort>> {
        let elements: Vec<_> = self.elements(fields, at, INDEX_FIELDS_MAX, "fields").collect();
        if elements.is_empty() && *fields == Json::Array(Vec::new()) {
            self.fault(at, format!("expected 1 to {INDEX_FIELDS_MAX} fields"));
        }
        let mut read: Vec<Sort> = Vec::new();
        for (field, at) in &elements {
            if field.get("similarity").is_some() {
                self.fault(&at.member("similarity"), "no such member; expected `path`, `order`");
                continue;
            }
            let Some(field) = self.field(field, at) else { continue };
            if read.iter().any(|before| before.by == field.by) {
                self.fault(&at.member("path"), "stands in the index already");
            }
            read.push(field);
        }
        (read.len() == elements.len() && !read.is_empty()).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_read_as_it_was_written() {
        let text = r#"{"indexes":[
            {"name":"a","fields":[{"path":"/state/a~1b/-1","order":"desc"},{"path":"/id"}]},
            {"name":"b","similarity":"/state/name"}]}"#;
        for index in parse(&Json::stored(text)).expect("it is a declaration") {
            let again = stored(index.name.as_str(), &index.of.definition().to_string());
            assert_eq!(again, Some(index));
        }
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let index = |text: &str| format!("{{\"indexes\":[{text}]}}");
        let field = r#"{"path":"/id"}"#;
        for (text, pointer, said) in [
            ("{}".to_owned(), "/indexes", "a list of indexes"),
            (r#"{"index":[],"indexes":[]}"#.to_owned(), "/index", "no such member"),
            (index(r#"{"fields":[{"path":"/id"}]}"#), "/indexes/0/name", "expected a name"),
            (index(r#"{"name":"","similarity":"/id"}"#), "/indexes/0/name", "empty"),
            (index(r#"{"name":"a"}"#), "/indexes/0", "either"),
            (index(r#"{"name":"a","fields":[]}"#), "/indexes/0/fields", "1 to 4"),
            (
                index(&format!(r#"{{"name":"a","fields":[{field},{field}]}}"#)),
                "/indexes/0/fields/1/path",
                "already",
            ),
            (
                index(&format!(r#"{{"name":"a","fields":[{}]}}"#, [field; 5].join(","))),
                "/indexes/0/fields",
                "at most 4",
            ),
            (
                index(r#"{"name":"a","fields":[{"similarity":{"path":"/id","to":"a"}}]}"#),
                "/indexes/0/fields/0/similarity",
                "`path`",
            ),
            (index(r#"{"name":"a","similarity":"name"}"#), "/indexes/0/similarity", "begins with"),
            (
                index(r#"{"name":"a","similarity":"/id"},{"name":"a","similarity":"/name"}"#),
                "/indexes/1/name",
                "already",
            ),
            (
                index(r#"{"name":"a","similarity":"/id"},{"name":"b","similarity":"/id"}"#),
                "/indexes/1",
                "same index",
            ),
        ] {
            let faults = parse(&Json::stored(&text)).expect_err("it is refused");
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert_eq!(faults[0].pointer, pointer, "{text}");
            assert!(faults[0].detail.contains(said), "{text}: {faults:?}");
        }
    }
}
