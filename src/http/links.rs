//! URLs of this API, as path-absolute links, and how names are encoded in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::PREFIX;
use crate::model::{Log, Source, StreamKey};

/// Unreserved characters stay (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A fragment may hold more; JSON Pointers stay readable.
const FRAGMENT: &AsciiSet =
    &SEGMENT.remove(b'/').remove(b'$').remove(b'!').remove(b'*').remove(b'+').remove(b':');

/// One segment of a path, or a value of a query.
pub fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

/// A fragment.
pub(super) fn encode_fragment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, FRAGMENT)
}

/// A header's name as people write it: `if-match` → `If-Match`.
#[must_use]
pub(super) fn header_case(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    };
    match name {
        "etag" => "ETag".to_owned(),
        _ => name.split('-').map(word).collect::<Vec<_>>().join("-"),
    }
}

/// The path of a log.
#[must_use]
pub(super) fn log(log: &Log) -> String {
    path(log, &Source::Log)
}

/// The path of a stream.
#[must_use]
pub(super) fn stream(log: &Log, key: &StreamKey) -> String {
    path(log, &Source::Stream(key.clone()))
}

/// The path of a source.
#[must_use]
pub(super) fn path(log: &Log, source: &Source) -> String {
    let log = format!("{PREFIX}/logs/{}", encode(log.name.as_str()));
    match source {
        Source::Log => log,
        Source::Category(category) => format!("{log}/categories/{}", encode(category.as_str())),
        Source::Stream(StreamKey { category, stream }) => {
            let (category, stream) = (encode(category.as_str()), encode(stream.as_str()));
            format!("{log}/categories/{category}/streams/{stream}")
        }
    }
}

/// A path with a query, its parameters in alphabetical order so that one page has one URL.
#[must_use]
pub(super) fn with_query(path: &str, mut parameters: Vec<(String, String)>) -> String {
    parameters.sort();
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

/// A `Link` header (RFC 8288).
#[must_use]
pub(super) fn link_header(next: Option<&str>, previous: Option<&str>) -> Option<String> {
    let link = |url: Option<&str>, rel| url.map(|url| format!("<{url}>; rel=\"{rel}\""));
    let links: Vec<_> =
        [link(next, "next"), link(previous, "prev")].into_iter().flatten().collect();
    (!links.is_empty()).then(|| links.join(", "))
}
