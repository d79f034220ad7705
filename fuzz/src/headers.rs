//! The parsers of headers: they take anything without a panic, and what they read is sound.
#![no_main]

use everlog::http::{MediaType, negotiate, parse_key, parse_tags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for strong in [true, false] {
        if let Some(tags) = parse_tags(text, strong) {
            assert!(!tags.any || tags.numbers.is_empty());
            assert!(tags.numbers.iter().all(|number| *number >= 0));
            // Each number stood there.
            assert!(tags.numbers.iter().all(|number| text.contains(&number.to_string())));
        }
    }
    if let Some(key) = parse_key(text) {
        assert!(!key.is_empty() && key.len() <= text.len());
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(parse_key(&quoted), Some(key));
    }
    if let Ok(value) = text.parse() {
        let headers = [("accept".parse().expect("a name"), value)].into_iter().collect();
        let _ = negotiate(&headers, &[MediaType::Json, MediaType::Ndjson]);
    }
});
