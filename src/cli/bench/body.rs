//! Bodies of publishes, written by hand.

use std::{fmt::Write, ops::Range};

use hyper::body::Bytes;

use crate::engine::ids;

/// The member of a payload by which a delivery is told from another.
const NUMBER: &[u8] = b"{\"bench_n\":";
/// The smallest payload: a number and an empty text.
pub(super) const PAYLOAD_BYTES_MIN: u32 = 48;
/// The largest, below what a server takes by default.
pub(super) const PAYLOAD_BYTES_MAX: u32 = 1_000_000;

/// How events look.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    payload_bytes: usize,
    padding: String,
    /// Whether each event states its id, so that it can be sent again.
    with_ids: bool,
}

impl Shape {
    pub(super) fn new(payload_bytes: u32, with_ids: bool) -> Self {
        let payload_bytes = usize::try_from(payload_bytes).unwrap_or(usize::MAX);
        let words = "the quick brown fox jumps over the lazy dog ";
        Self {
            payload_bytes,
            padding: words.chars().cycle().take(payload_bytes).collect(),
            with_ids,
        }
    }

    /// So many events, their numbers counting up from `first`.
    pub(super) fn body(&self, first: u64, events: u32) -> Bytes {
        let count = usize::try_from(events).unwrap_or_default();
        let mut body = String::with_capacity(count * (self.payload_bytes + 96) + 16);
        self.events(&mut body, first..first + u64::from(events));
        Bytes::from(body)
    }

    /// So many events for a category, in streams of so many each.
    pub(super) fn writes(&self, stream: &str, numbers: Range<u64>, stream_events: u64) -> Bytes {
        let mut body = "{\"writes\":[".to_owned();
        let mut n = numbers.start;
        while n < numbers.end {
            let index = n / stream_events;
            let end = ((index + 1) * stream_events).min(numbers.end);
            let comma = if n > numbers.start { "," } else { "" };
            // Writing to a string never fails; our names need no escapes.
            let _ = write!(body, "{comma}{{\"stream\":\"{stream}-{index}\",");
            let mut events = String::new();
            self.events(&mut events, n..end);
            body.push_str(events.trim_start_matches('{'));
            n = end;
        }
        body.push_str("]}");
        Bytes::from(body)
    }

    fn events(&self, body: &mut String, numbers: Range<u64>) {
        body.push_str("{\"events\":[");
        for n in numbers.clone() {
            if n > numbers.start {
                body.push(',');
            }
            self.event(body, n);
        }
        body.push_str("]}");
    }

    fn event(&self, body: &mut String, n: u64) {
        body.push('{');
        if self.with_ids {
            // Writing to a string never fails.
            let _ = write!(body, "\"id\":\"{}\",", ids::mint());
        }
        body.push_str("\"name\":\"bench-event\",\"payload\":");
        let start = body.len();
        let _ = write!(body, "{{\"bench_n\":{n},\"text\":\"");
        let left = self.payload_bytes.saturating_sub(body.len() - start + 2);
        body.push_str(self.padding.get(..left).unwrap_or_default());
        body.push_str("\"}}");
    }
}

/// The number in a line of JSON that holds one of these events.
pub(super) fn number(line: &[u8]) -> Option<u64> {
    let at = line.windows(NUMBER.len()).position(|window| window == NUMBER)?;
    let digits = line.get(at + NUMBER.len()..)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_numbers_come_back() {
        for (bytes, n) in [(48, u64::MAX - 5), (200, 0), (200, 12_345)] {
            let body = Shape::new(bytes, true).body(n, 2);
            let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let events = json["events"].as_array().expect("a list");
            assert_eq!(events.len(), 2);
            for event in events {
                let size = u32::try_from(event["payload"].to_string().len()).expect("small");
                assert_eq!(size, bytes);
                assert!(event["id"].is_string());
            }
            assert_eq!(number(&body), Some(n));
        }
    }

    #[test]
    fn writes_name_each_stream_once() {
        let body = Shape::new(60, false).writes("s", 15..40, 10);
        let json: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let writes = json["writes"].as_array().expect("a list");
        let told = writes.iter().map(|write| {
            let count = write["events"].as_array().map_or(0, Vec::len);
            (write["stream"].as_str().unwrap_or_default(), count)
        });
        assert_eq!(told.collect::<Vec<_>>(), [("s-1", 5), ("s-2", 10), ("s-3", 10)]);
    }
}
