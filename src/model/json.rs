//! JSON that is kept as it was sent, and the comparison of two such texts.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;

/// One JSON value as text on one line, checked by [`super::json_scan::check`].
///
/// Invariant: valid JSON without white space around it and without CR or LF (in valid JSON these
/// stand between tokens alone; each became one space).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// A text that the scanner has passed.
    #[must_use]
    pub fn checked(text: &str) -> Self {
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        if text.bytes().any(|byte| byte == b'\n' || byte == b'\r') {
            Self(text.replace(['\n', '\r'], " ").into())
        } else {
            Self(text.into())
        }
    }

    /// A text that a store kept: it was checked before it was written.
    #[must_use]
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// JSON's null.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared and not copied.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Whether two values are equal as JSON: members in any order, numbers by their text.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0 == other.0 || same(&self.0, &other.0)
    }
}

impl AsRef<str> for RawJson {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Depth is bounded by the scanner, so recursion is too.
fn same(left: &str, right: &str) -> bool {
    type Object<'a> = BTreeMap<String, &'a RawValue>;
    fn both<'a, T: serde::Deserialize<'a>>(left: &'a str, right: &'a str) -> Option<(T, T)> {
        Some((serde_json::from_str(left).ok()?, serde_json::from_str(right).ok()?))
    }
    let (left, right) = (left.trim(), right.trim());
    if left.as_bytes().first() != right.as_bytes().first() {
        return false;
    }
    match left.as_bytes().first() {
        Some(b'{') => both::<Object<'_>>(left, right).is_some_and(|(l, r)| {
            l.len() == r.len()
                && l.iter().zip(&r).all(|(l, r)| l.0 == r.0 && same(l.1.get(), r.1.get()))
        }),
        Some(b'[') => both::<Vec<&RawValue>>(left, right).is_some_and(|(l, r)| {
            l.len() == r.len() && l.iter().zip(&r).all(|(l, r)| same(l.get(), r.get()))
        }),
        Some(b'"') => both::<String>(left, right).is_some_and(|(l, r)| l == r),
        _ => left == right,
    }
}

/// Appends one reference token of a JSON Pointer (RFC 6901 §3).
pub fn escape_pointer(token: &str, pointer: &mut String) {
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_but_for_line_breaks_and_outer_space() {
        let text = RawJson::checked(" {\"a\" :\r\n 1e2}\t");
        assert_eq!(text.as_str(), "{\"a\" :   1e2}");
    }

    #[test]
    fn values_are_the_same_whatever_their_order_and_spelling() {
        let same = |l: &str, r: &str| RawJson::checked(l).same(&RawJson::checked(r));
        assert!(same(r#"{"a":[1, 2],"b":"x"}"#, r#"{ "b":"\u0078", "a":[1,2] }"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1.0}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#));
        assert!(!same(r#"{"a":null}"#, r#"{"b":null}"#));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("[]", "{}"));
        assert!(!same("\"1\"", "1"));
    }
}
