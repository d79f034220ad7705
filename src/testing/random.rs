//! Random names, ids and JSON, so that no test depends on a value that it does not state.

use uuid::Uuid;

use crate::model::{CategoryName, EventName, LogName, RawJson, StreamKey, StreamName};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const ALPHANUMERICS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A random id.
#[expect(clippy::disallowed_methods, reason = "ids of tests are not the service's to mint")]
#[must_use]
pub fn id() -> Uuid {
    Uuid::new_v4()
}

/// A number from 0 up to and without `bound`.
#[must_use]
pub fn below(bound: usize) -> usize {
    let (high, _) = id().as_u64_pair();
    usize::try_from(high % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
}

fn text(alphabet: &[u8], length: usize) -> String {
    (0..length)
        .filter_map(|_| alphabet.get(below(alphabet.len())))
        .copied()
        .map(char::from)
        .collect()
}

/// So many lower-case letters, with hyphens inside.
#[must_use]
pub fn name(length: usize) -> String {
    let hyphened = |index: usize, letter| {
        let inner = index > 0 && index + 1 < length;
        if inner && index % 7 == 3 { '-' } else { letter }
    };
    text(LETTERS, length).chars().enumerate().map(|(index, c)| hyphened(index, c)).collect()
}

/// The name of a log.
#[must_use]
pub fn log() -> LogName {
    LogName::stored(name(12))
}

/// The name of a category, 10 characters.
#[must_use]
pub fn category() -> CategoryName {
    CategoryName::stored(name(10))
}

/// The name of an event, 15 characters.
#[must_use]
pub fn event_name() -> EventName {
    EventName::stored(name(15))
}

/// A stream of a random category; its name has 42 characters.
#[must_use]
pub fn stream() -> StreamKey {
    stream_of(&category())
}

/// A stream of this category.
#[must_use]
pub fn stream_of(category: &CategoryName) -> StreamKey {
    StreamKey { category: category.clone(), stream: StreamName::stored(name(42)) }
}

/// An object of 1 to 10 members: keys of 10 letters, values of 20 letters and digits.
#[must_use]
pub fn object() -> RawJson {
    let member = |_| format!("\"{}\":\"{}\"", text(LETTERS, 10), text(ALPHANUMERICS, 20));
    let members: Vec<String> = (0..=below(10)).map(member).collect();
    RawJson::checked(&format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_have_the_stated_form() {
        let stream = stream();
        assert_eq!((stream.category.as_str().len(), stream.stream.as_str().len()), (10, 42));
        assert_eq!(event_name().as_str().len(), 15);
        let name = name(42);
        assert!(name.contains('-') && !name.starts_with('-') && !name.ends_with('-'), "{name}");
        let members: std::collections::BTreeMap<String, String> =
            serde_json::from_str(object().as_str()).expect("an object of strings");
        assert!((1..=10).contains(&members.len()));
        assert!(members.iter().all(|(key, value)| key.len() == 10 && value.len() == 20));
        assert_ne!(object(), object());
    }
}
