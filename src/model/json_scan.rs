//! Checks a JSON text (RFC 8259) in one pass, without recursion, and points at what is wrong.
//!
//! Stricter than the grammar where parsers disagree (RFC 7493, I-JSON): duplicate keys, lone
//! surrogates, numbers beyond 40 digits or a power of ±400 and deep nesting are refused. It builds
//! no values; what has passed is kept as text.

use std::{borrow::Cow, collections::HashSet};

use super::json::escape_pointer;

/// The most digits of a number, before and after the point together.
pub const NUMBER_DIGITS_MAX: usize = 40;
/// The largest exponent of a number, either way.
pub const NUMBER_EXPONENT_MAX: u32 = 400;
/// Objects with more keys than this are watched by a hash set instead of a list.
const KEYS_LISTED_MAX: usize = 16;

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("not UTF-8")]
    Utf8,
    #[error("not JSON: expected {0}")]
    Syntax(&'static str),
    #[error("nested deeper than {0} levels")]
    Depth(usize),
    #[error("the key stands twice in this object")]
    DuplicateKey,
    #[error("a number may have at most 40 digits; send more as a string")]
    NumberDigits,
    #[error("a number's exponent may be at most 400 either way; send others as a string")]
    NumberExponent,
    #[error("a lone surrogate is not a character: \\ud800 to \\udfff come in pairs")]
    LoneSurrogate,
    #[error("an integer here is at most 2^63 - 1 either way; send a larger one as a string")]
    IntegerRange,
    #[error("a number here is at most 1.7976931348623157e308 either way; send others as a string")]
    FloatRange,
    #[error("\\u0000 cannot be stored here")]
    Nul,
}

impl FaultKind {
    /// Whether the text is no JSON at all (rather than JSON that is refused).
    #[must_use]
    pub fn malformed(self) -> bool {
        matches!(self, Self::Utf8 | Self::Syntax(_))
    }
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Byte offset into the text.
    pub offset: usize,
    /// JSON Pointer (RFC 6901) of the value in which it was found.
    pub pointer: String,
}

/// Checks a whole text: one JSON value, white space around it, nested at most so deep.
pub fn check(text: &[u8], depth_max: usize) -> Result<&str, Fault> {
    run(text, depth_max, false)
}

/// The same for a text that becomes a [`super::document::Json`]: its numbers and characters too.
pub fn check_document(text: &str, depth_max: usize) -> Result<(), Fault> {
    run(text.as_bytes(), depth_max, true).map(|_| ())
}

fn run(text: &[u8], depth_max: usize, document: bool) -> Result<&str, Fault> {
    let (valid, utf8_end) = match std::str::from_utf8(text) {
        Ok(valid) => (valid, None),
        Err(error) => {
            let (valid, _) = text.split_at(error.valid_up_to());
            (std::str::from_utf8(valid).unwrap_or_default(), Some(error.valid_up_to()))
        }
    };
    let mut scanner = Scanner::new(valid, depth_max, document);
    match (scanner.run(), utf8_end) {
        (Ok(()), None) => Ok(valid),
        (Err(kind), None) => Err(scanner.fault(kind)),
        // What is wrong before the first bad byte counts; the end of the valid part does not.
        (Err(kind), Some(end)) if scanner.at < end => Err(scanner.fault(kind)),
        (_, Some(end)) => {
            scanner.at = end;
            Err(scanner.fault(FaultKind::Utf8))
        }
    }
}

/// A container that is open.
enum Frame<'a> {
    Array {
        index: usize,
    },
    /// Its key is that of the value being read; none while a key is.
    Object {
        keys_from: usize,
        key: Option<Cow<'a, str>>,
        seen: Option<HashSet<Cow<'a, str>>>,
    },
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_max: usize,
    document: bool,
    frames: Vec<Frame<'a>>,
    /// The keys of all open objects that are still listed, innermost last.
    keys: Vec<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, depth_max: usize, document: bool) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth_max,
            document,
            frames: Vec::new(),
            keys: Vec::new(),
        }
    }

    fn fault(&self, kind: FaultKind) -> Fault {
        let mut pointer = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Array { index } => pointer.push_str(&format!("/{index}")),
                Frame::Object { key: Some(key), .. } => {
                    pointer.push('/');
                    escape_pointer(key, &mut pointer);
                }
                Frame::Object { key: None, .. } => {}
            }
        }
        Fault { kind, offset: self.at, pointer }
    }

    fn run(&mut self) -> Result<(), FaultKind> {
        loop {
            self.skip_space();
            let mut closed = self.value()?;
            // A value is complete: go on in its container, or close it and be complete in turn.
            while closed {
                self.skip_space();
                let next = self.peek();
                match self.frames.last_mut() {
                    None if next.is_none() => return Ok(()),
                    None => return Err(FaultKind::Syntax("the end of the text")),
                    Some(Frame::Array { index }) => match next {
                        Some(b',') => {
                            *index += 1;
                            self.at += 1;
                            closed = false;
                        }
                        Some(b']') => self.close(),
                        _ => return Err(FaultKind::Syntax("`,` or `]`")),
                    },
                    Some(Frame::Object { .. }) => match next {
                        Some(b',') => {
                            self.at += 1;
                            self.skip_space();
                            self.key()?;
                            closed = false;
                        }
                        Some(b'}') => self.close(),
                        _ => return Err(FaultKind::Syntax("`,` or `}`")),
                    },
                }
            }
        }
    }

    /// Reads a scalar (then the value is complete) or opens a container (then it may not be).
    fn value(&mut self) -> Result<bool, FaultKind> {
        match self.peek() {
            Some(b'{') => {
                self.open()?;
                let keys_from = self.keys.len();
                self.frames.push(Frame::Object { keys_from, key: None, seen: None });
                self.skip_space();
                if self.peek() == Some(b'}') {
                    self.close();
                    return Ok(true);
                }
                self.key().map(|()| false)
            }
            Some(b'[') => {
                self.open()?;
                self.skip_space();
                self.frames.push(Frame::Array { index: 0 });
                let empty = self.peek() == Some(b']');
                if empty {
                    self.close();
                }
                Ok(empty)
            }
            Some(b'"') => self.string().map(|_| true),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| true),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(FaultKind::Syntax("a value")),
        }
    }

    fn open(&mut self) -> Result<(), FaultKind> {
        if self.frames.len() >= self.depth_max {
            return Err(FaultKind::Depth(self.depth_max));
        }
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        if let Some(Frame::Object { keys_from, .. }) = self.frames.pop() {
            self.keys.truncate(keys_from);
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Result<(), FaultKind> {
        if let Some(Frame::Object { key, .. }) = self.frames.last_mut() {
            *key = None;
        }
        if self.peek() != Some(b'"') {
            return Err(FaultKind::Syntax("a key in quotes"));
        }
        let from = self.at;
        let escaped = self.string()?;
        let inner = &self.text[from + 1..self.at - 1];
        let name = if escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) };
        let Some(Frame::Object { keys_from, key, seen }) = self.frames.last_mut() else {
            return Err(FaultKind::Syntax("a value"));
        };
        *key = Some(name.clone());
        let twice = if let Some(seen) = seen {
            !seen.insert(name)
        } else {
            let listed = &self.keys[*keys_from..];
            let twice = listed.contains(&name);
            if listed.len() == KEYS_LISTED_MAX {
                let mut set: HashSet<_> = self.keys.drain(*keys_from..).collect();
                set.insert(name);
                *seen = Some(set);
            } else {
                self.keys.push(name);
            }
            twice
        };
        if twice {
            self.at = from;
            return Err(FaultKind::DuplicateKey);
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(FaultKind::Syntax("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a string; says whether it holds escapes.
    fn string(&mut self) -> Result<bool, FaultKind> {
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return Err(FaultKind::Syntax("control characters escaped")),
                Some(_) => self.at += 1,
                None => return Err(FaultKind::Syntax("`\"` at the end of a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), FaultKind> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let first = self.hex(self.at + 2)?;
                let width = match first {
                    0xd800..=0xdbff => {
                        if self.bytes.get(self.at + 6..self.at + 8) != Some(b"\\u") {
                            return Err(FaultKind::LoneSurrogate);
                        }
                        if !(0xdc00..=0xdfff).contains(&self.hex(self.at + 8)?) {
                            return Err(FaultKind::LoneSurrogate);
                        }
                        12
                    }
                    0xdc00..=0xdfff => return Err(FaultKind::LoneSurrogate),
                    0 if self.document => return Err(FaultKind::Nul),
                    _ => 6,
                };
                self.at += width;
            }
            _ => {
                return Err(FaultKind::Syntax(
                    "an escape: one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX",
                ));
            }
        }
        Ok(())
    }

    fn hex(&self, from: usize) -> Result<u32, FaultKind> {
        let digits = self.bytes.get(from..from + 4).unwrap_or_default();
        let fold = |value: u32, digit: &u8| char::from(*digit).to_digit(16).map(|d| value * 16 + d);
        let value = digits.iter().try_fold(0, fold);
        value.filter(|_| digits.len() == 4).ok_or(FaultKind::Syntax("four hex digits after \\u"))
    }

    fn number(&mut self) -> Result<(), FaultKind> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let mut digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(FaultKind::Syntax("no zero before the digits of a number"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits += self.digits()?;
        }
        let mut integer = !self.text[from..self.at].contains('.');
        if digits > NUMBER_DIGITS_MAX {
            self.at = from;
            return Err(FaultKind::NumberDigits);
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            let exponent_from = self.at;
            self.digits()?;
            let exponent = self.text[exponent_from..self.at].trim_start_matches('0');
            if exponent.len() > 3 || exponent.parse().unwrap_or(0) > NUMBER_EXPONENT_MAX {
                self.at = from;
                return Err(FaultKind::NumberExponent);
            }
        }
        let number = &self.text[from..self.at];
        let kind = match (self.document, integer) {
            (true, true) if number.parse().is_ok_and(|n: i64| n != i64::MIN) => return Ok(()),
            (true, false) if number.parse().is_ok_and(f64::is_finite) => return Ok(()),
            (false, _) => return Ok(()),
            (true, true) => FaultKind::IntegerRange,
            (true, false) => FaultKind::FloatRange,
        };
        self.at = from;
        Err(kind)
    }

    fn digits(&mut self) -> Result<usize, FaultKind> {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(FaultKind::Syntax("a digit")) } else { Ok(count) }
    }

    fn word(&mut self, word: &'static str) -> Result<bool, FaultKind> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(FaultKind::Syntax("a value"));
        }
        self.at += word.len();
        Ok(true)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}

/// The characters of a string that was scanned.
fn unescape(inner: &str) -> String {
    serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_else(|_| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<(FaultKind, usize, String)> {
        check(text.as_bytes(), 64).err().map(|f| (f.kind, f.offset, f.pointer))
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        use FaultKind::{DuplicateKey, LoneSurrogate, NumberDigits, NumberExponent, Syntax};
        let at = |kind, offset, pointer: &str| Some((kind, offset, pointer.to_owned()));
        assert_eq!(fault(r#"{"a":[1,{"b":}]}"#), at(Syntax("a value"), 13, "/a/1/b"));
        assert_eq!(fault(r#"{"a":1,"\u0061":2}"#), at(DuplicateKey, 7, "/a"));
        assert_eq!(fault(r#"{"a/b":["\ud800"]}"#), at(LoneSurrogate, 9, "/a~1b/0"));
        assert_eq!(fault(r#"["\ud83d\ud83d"]"#), at(LoneSurrogate, 2, "/0"));
        assert_eq!(fault(r#"["\ud83d\ude00"]"#), None);
        assert_eq!(fault(&"1".repeat(41)), at(NumberDigits, 0, ""));
        assert_eq!(fault(&"1".repeat(40)), None);
        assert_eq!(fault("[1e401]"), at(NumberExponent, 1, "/0"));
        assert_eq!(fault("[1e-0000400]"), None);
        assert_eq!(fault("[1] 2"), at(Syntax("the end of the text"), 4, ""));
        assert_eq!(fault(""), at(Syntax("a value"), 0, ""));
        assert_eq!(fault("[01]"), at(Syntax("no zero before the digits of a number"), 3, "/0"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_pointed_at() {
        let found = check(b"{\"a\":[\"x\xff\"]}", 64).unwrap_err();
        assert_eq!(
            (found.kind, found.offset, found.pointer.as_str()),
            (FaultKind::Utf8, 8, "/a/0")
        );
    }

    #[test]
    fn the_depth_is_bounded_without_recursion() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert_eq!(fault(&nested(64)), None);
        assert_eq!(fault(&nested(65)).unwrap().0, FaultKind::Depth(64));
        assert_eq!(fault(&nested(1_000_000)).unwrap().0, FaultKind::Depth(64));
    }

    #[test]
    fn duplicates_are_found_in_large_objects_too() {
        for size in [1, 15, 16, 17, 18, 100] {
            let keys = |last: &str| {
                let all: Vec<_> = (0..size).map(|i| format!("\"k{i}\":{{\"k0\":1}}")).collect();
                format!("{{{},\"{last}\":1}}", all.join(","))
            };
            assert_eq!(fault(&keys("other")), None);
            assert_eq!(fault(&keys("k0")).unwrap().0, FaultKind::DuplicateKey);
        }
    }
}
