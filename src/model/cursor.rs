//! Cursors: places in a source, as text that a client keeps.
//!
//! Invariant: a cursor that we hand out carries check digits of the event it points at, so that a
//! history that was lost in a fail-over is noticed instead of read over.

use super::INTEGER_MAX;

/// A place in one lane (or, of a stream, a position): everything up to number `n`, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub n: i64,
    /// [`super::Event::check`] of event n; `None` in a bare number, and where nothing was read yet.
    pub check: Option<u32>,
}

/// A cursor as text holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// `17` or `17-8f3a02bc`: a position of a stream, else a sequence number.
    Number(Place),
    /// Opaque: a place in each lane, for sources that span several.
    Vector(Vec<Place>),
}

/// Why a text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorFault {
    #[error("expected a number from 0 to 9007199254740991, or a cursor from an earlier answer")]
    Shape,
    #[error("expected a number from 0 to 9007199254740991")]
    Range,
}

const VECTOR_PREFIX: char = 'v';
/// Bytes of one place in a vector, as hex digits: 8 of n, 4 of check, 1 that says if it counts.
const PLACE_DIGITS: usize = 16 + 8 + 1;

impl std::str::FromStr for Cursor {
    type Err = CursorFault;

    fn from_str(text: &str) -> Result<Self, CursorFault> {
        if let Some(digits) = text.strip_prefix(VECTOR_PREFIX) {
            return vector(digits).ok_or(CursorFault::Shape);
        }
        let (number, check) = match text.split_once('-') {
            Some((number, check)) if !number.is_empty() => (number, Some(check)),
            _ => (text, None),
        };
        if number.strip_prefix('-').unwrap_or(number).bytes().any(|b| !b.is_ascii_digit()) {
            return Err(CursorFault::Shape);
        }
        let n: i64 = number.parse().map_err(|_| match number {
            "" | "-" => CursorFault::Shape,
            _ => CursorFault::Range,
        })?;
        if !(0..=INTEGER_MAX).contains(&n) {
            return Err(CursorFault::Range);
        }
        let check = match check {
            None => None,
            Some(digits) => Some(hex(digits, 8).ok_or(CursorFault::Shape)?),
        };
        Ok(Self::Number(Place { n, check: check.and_then(|check| u32::try_from(check).ok()) }))
    }
}

/// Lower-case hex of a fixed width.
fn hex(digits: &str, width: usize) -> Option<u64> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.len() == width && digits.bytes().all(lower) {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn vector(digits: &str) -> Option<Cursor> {
    if digits.is_empty() || !digits.is_ascii() || !digits.len().is_multiple_of(PLACE_DIGITS) {
        return None;
    }
    let place = |start: usize| {
        let text = digits.get(start..start + PLACE_DIGITS)?;
        let n = i64::try_from(hex(text.get(..16)?, 16)?).ok().filter(|n| *n <= INTEGER_MAX)?;
        let check = u32::try_from(hex(text.get(16..24)?, 8)?).ok()?;
        match text.get(24..)? {
            "1" => Some(Place { n, check: Some(check) }),
            "0" => Some(Place { n, check: None }),
            _ => None,
        }
    };
    (0..digits.len()).step_by(PLACE_DIGITS).map(place).collect::<Option<_>>().map(Cursor::Vector)
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(Place { n, check: Some(check) }) => write!(f, "{n}-{check:08x}"),
            Self::Number(Place { n, check: None }) => write!(f, "{n}"),
            Self::Vector(places) => {
                write!(f, "{VECTOR_PREFIX}")?;
                places.iter().try_for_each(|place| {
                    let known = u8::from(place.check.is_some());
                    write!(f, "{:016x}{:08x}{known}", place.n, place.check.unwrap_or(0))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        let place = |n, check| Place { n, check };
        for cursor in [
            Cursor::Number(place(0, None)),
            Cursor::Number(place(17, Some(0x8f3a_02bc))),
            Cursor::Number(place(INTEGER_MAX, Some(0))),
            Cursor::Vector(vec![
                place(0, None),
                place(5, Some(1)),
                place(INTEGER_MAX, Some(u32::MAX)),
            ]),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        use CursorFault::{Range, Shape};
        for (text, fault) in [
            ("", Shape),
            ("-", Shape),
            ("x", Shape),
            ("1-", Shape),
            ("1-8F3A02BC", Shape),
            ("1-8f3a", Shape),
            ("+1", Shape),
            ("1.0", Shape),
            (" 1", Shape),
            ("v", Shape),
            ("v00", Shape),
            ("vé", Shape),
            ("-1", Range),
            ("9007199254740992", Range),
            ("99999999999999999999", Range),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(fault), "{text}");
        }
    }
}
