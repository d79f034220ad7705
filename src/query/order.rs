//! The order of documents, as bytes: of two keys the smaller one comes first.
//!
//! A key is one part for each field of the sort, then the name and the id. A part begins with its type and
//! is no prefix of another; of a descending field each byte is turned over. Hence the order of keys is the
//! order of documents, in Rust as in any database that compares bytes, and a range of values is a range
//! of keys.

use super::ast::{By, Sort};
use crate::model::{Json, Projection, limits::SORT_TEXT_BYTES};

/// The key of a document in an order.
#[must_use]
pub fn key(sort: &[Sort], document: &Projection) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    for field in sort {
        let from = key.len();
        match &field.by {
            By::Path(path) => match path.find(document) {
                Some(value) => part(&mut key, &value),
                None => part(&mut key, &Json::Null),
            },
            By::Similarity { .. } => number(&mut key, field.score(document), 0),
        }
        if field.descending {
            key.iter_mut().skip(from).for_each(|byte| *byte = !*byte);
        }
    }
    for tie in [document.name.known(), document.id.as_str()] {
        key.extend_from_slice(tie.as_bytes());
        key.push(0);
    }
    key
}

impl Sort {
    /// How alike a document is to what the field names; 0 of other fields.
    #[must_use]
    pub fn score(&self, document: &Projection) -> f64 {
        let By::Similarity { path, to } = &self.by else { return 0.0 };
        let found = path.find(document);
        found.as_deref().and_then(Json::as_str).map_or(0.0, |text| to.score(text))
    }
}

/// Appends the part of a value.
pub fn part(key: &mut Vec<u8>, value: &Json) {
    match value {
        Json::Null => key.push(1),
        Json::Bool(value) => key.extend_from_slice(&[2, u8::from(*value)]),
        Json::Integer(value) => {
            let (floor, rest) = floored(*value);
            number(key, floor, rest);
        }
        Json::Float(value) => number(key, *value, 0),
        Json::String(text) => {
            key.push(4);
            // No text holds NUL.
            key.extend(text.bytes().take(SORT_TEXT_BYTES));
            key.push(0);
        }
        Json::Array(_) => key.push(5),
        Json::Object(_) => key.push(6),
    }
}

/// What a key is made of: the part of each field of its order, and the name and the id.
#[must_use]
pub fn parts<'a>(sort: &[Sort], key: &'a [u8]) -> Option<(Vec<&'a [u8]>, &'a [u8])> {
    let mut rest = key;
    let mut parts = Vec::with_capacity(sort.len());
    for field in sort {
        let turned = |byte: u8| if field.descending { !byte } else { byte };
        let length = match turned(*rest.first()?) {
            2 => 2,
            3 => NUMBER_BYTES,
            4 => rest.iter().position(|byte| turned(*byte) == 0)? + 1,
            1 | 5 | 6 => 1,
            _ => return None,
        };
        let (part, after) = rest.split_at_checked(length)?;
        parts.push(part);
        rest = after;
    }
    Some((parts, rest))
}

/// The float of a number's part.
#[must_use]
pub fn float(part: &[u8], descending: bool) -> Option<f64> {
    let bytes: [u8; 8] = part.get(1..9)?.try_into().ok()?;
    let turned = u64::from_be_bytes(bytes);
    let turned = if descending { !turned } else { turned };
    let negative = turned >> 63 == 0;
    Some(f64::from_bits(if negative { !turned } else { turned & !(1 << 63) }))
}

/// A type, a float and what an integer has above it.
const NUMBER_BYTES: usize = 11;

/// A float, and what an integer has above it.
fn number(key: &mut Vec<u8>, value: f64, rest: u16) {
    let bits = value.to_bits();
    // Turned so that bytes are in the order of values.
    let turned = if value.is_sign_negative() { !bits } else { bits | (1 << 63) };
    key.push(3);
    key.extend_from_slice(&turned.to_be_bytes());
    key.extend_from_slice(&rest.to_be_bytes());
}

/// The largest float that is at most an integer, and what is left: below 2^63, less than 2^11.
fn floored(integer: i64) -> (f64, u16) {
    // Clearing the bits that a float has no room for rounds towards negative infinity.
    let width = 64 - integer.unsigned_abs().leading_zeros();
    let spare = width.saturating_sub(53);
    let floor = (integer >> spare) << spare;
    let rest = u16::try_from(integer - floor).unwrap_or(u16::MAX);
    // Exact: what is left has at most 53 bits.
    (format!("{floor}").parse().unwrap_or(f64::NAN), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        let mut key = Vec::new();
        part(&mut key, &Json::stored(text));
        key
    }

    #[test]
    fn keys_are_in_the_order_of_values() {
        let ascending = [
            "null",
            "false",
            "true",
            "-1.7976931348623157e308",
            "-9.3e18",
            "-9223372036854775807",
            "-9223372036854775806",
            "-9223372036854774784",
            "-9007199254740994",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1",
            "-5e-324",
            "0",
            "5e-324",
            "0.1",
            "1",
            "1.5",
            "2",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "9007199254740994",
            "9223372036854775806",
            "9223372036854775807",
            "9.3e18",
            "1e300",
            "\"\"",
            "\"Z\"",
            "\"a\"",
            "\"a\\u0001\"",
            "\"aa\"",
            "\"b\"",
            "\"é\"",
            "\"日\"",
            "\"😀\"",
            "[]",
            "{}",
        ];
        for pair in ascending.windows(2) {
            assert!(bytes(pair[0]) < bytes(pair[1]), "{pair:?}");
        }
        assert_eq!(bytes("[1]"), bytes("[2]"));
    }
}
