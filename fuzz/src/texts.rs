//! Cursors, times and names: what is read is written the same and read the same again.
#![no_main]

use everlog::model::{Cursor, StreamName, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        let written = time.to_string();
        assert!(written.len() == 27 && written.ends_with('Z'), "{written}");
        assert_eq!(written.parse(), Ok(time));
    }
    if let Ok(name) = text.parse::<StreamName>() {
        assert_eq!(name.as_str(), text);
        assert!((1..=255).contains(&text.len()) && !text.chars().any(char::is_control));
    }
});
