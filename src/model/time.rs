//! Instants: RFC 3339 in, UTC microseconds kept, RFC 3339 with six digits and `Z` out.

use chrono::{DateTime, Datelike, Timelike, Utc};

/// An instant in microseconds since 1970-01-01T00:00:00Z, within the years 0000–9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    #[error("expected an RFC 3339 date-time such as 2026-11-23T09:00:00.123456Z")]
    Shape,
    #[error("a time needs an offset: end it with `Z` or `+01:00`")]
    NoOffset,
    #[error("expected an existing date and time from 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z")]
    Range,
}

/// Tells the time. The only way in which anything below the engine learns it.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

/// 0000-01-01T00:00:00Z
const MICROS_MIN: i64 = -62_167_219_200_000_000;
/// 9999-12-31T23:59:59.999999Z
const MICROS_MAX: i64 = 253_402_300_799_999_999;

impl From<DateTime<Utc>> for Timestamp {
    /// An instant that a store kept or a clock told.
    fn from(instant: DateTime<Utc>) -> Self {
        Self::of_stored(instant.timestamp_micros())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        Self::from_timestamp_micros(time.0).unwrap_or_default()
    }
}

impl Timestamp {
    /// The instant so many microseconds after the epoch.
    pub fn from_micros(micros: i64) -> Result<Self, TimeFault> {
        if (MICROS_MIN..=MICROS_MAX).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TimeFault::Range)
        }
    }

    /// An instant that a store kept.
    #[must_use]
    pub fn of_stored(micros: i64) -> Self {
        Self(micros.clamp(MICROS_MIN, MICROS_MAX))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// How long after another it is; nothing if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// The earliest instant there is.
    pub const MIN: Self = Self(MICROS_MIN);
}

impl std::str::FromStr for Timestamp {
    type Err = TimeFault;

    fn from_str(text: &str) -> Result<Self, TimeFault> {
        shape(text.as_bytes())?;
        let instant = DateTime::parse_from_rfc3339(text).map_err(|_| TimeFault::Range)?;
        // A leap second ends a day of UTC (RFC 3339 §5.7); it is kept as the first of the next day.
        let is_leap = instant.timestamp_subsec_nanos() >= 1_000_000_000;
        if is_leap && (instant.timestamp() + 1) % 86_400 != 0 {
            return Err(TimeFault::Range);
        }
        // Finer digits are cut, also before the epoch: rounded towards the past.
        Self::from_micros(instant.timestamp_micros())
    }
}

/// The form of RFC 3339, so that a missing offset is told from any other fault.
fn shape(text: &[u8]) -> Result<(), TimeFault> {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    if text.len() < FORM.len() {
        return Err(TimeFault::Shape);
    }
    let (date, mut rest) = text.split_at(FORM.len());
    let fits = |form: &[u8], text: &[u8]| {
        form.len() == text.len()
            && form.iter().zip(text).all(|(f, t)| match f {
                b'd' => t.is_ascii_digit(),
                b'T' => matches!(t, b'T' | b't'),
                b'+' => matches!(t, b'+' | b'-'),
                other => other == t,
            })
    };
    if !fits(FORM, date) {
        return Err(TimeFault::Shape);
    }
    if let [b'.', digits @ ..] = rest {
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(TimeFault::Shape);
        }
        rest = &digits[count..];
    }
    match rest {
        [] => Err(TimeFault::NoOffset),
        [b'Z' | b'z'] => Ok(()),
        offset if fits(b"+dd:dd", offset) => Ok(()),
        _ => Err(TimeFault::Shape),
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let instant = DateTime::<Utc>::from_timestamp_micros(self.0).ok_or(std::fmt::Error)?;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let mut put = |range: std::ops::Range<usize>, mut number: u32| {
            for digit in text[range].iter_mut().rev() {
                *digit += (number % 10) as u8;
                number /= 10;
            }
        };
        put(0..4, instant.year().unsigned_abs());
        put(5..7, instant.month());
        put(8..10, instant.day());
        put(11..13, instant.hour());
        put(14..16, instant.minute());
        put(17..19, instant.second());
        put(20..26, instant.timestamp_subsec_micros());
        f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, TimeFault> {
        text.parse::<Timestamp>().map(|t| t.to_string())
    }

    #[test]
    fn instants_come_back_in_utc_with_six_digits() {
        for (text, expected) in [
            ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00.000000Z"),
            ("2026-11-23T09:00:00.1234567+02:00", "2026-11-23T07:00:00.123456Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
            ("2026-11-23T09:00:00.12345678901234567890Z", "2026-11-23T09:00:00.123456Z"),
            ("2000-02-29t12:30:00z", "2000-02-29T12:30:00.000000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
            ("2017-01-01T00:59:60.5+01:00", "2017-01-01T00:00:00.500000Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_not_an_instant_says_why() {
        assert_eq!(shown("2026-11-23T09:00:00"), Err(TimeFault::NoOffset));
        assert_eq!(shown("2026-11-23"), Err(TimeFault::Shape));
        assert_eq!(shown("2026-11-23 09:00:00Z"), Err(TimeFault::Shape));
        assert_eq!(shown("2026-11-23T09:00:00+02"), Err(TimeFault::Shape));
        assert_eq!(shown("2026-11-23T09:00:00Z[Europe/Berlin]"), Err(TimeFault::Shape));
        assert_eq!(shown("2026-02-30T09:00:00Z"), Err(TimeFault::Range));
        assert_eq!(shown("2026-02-20T09:00:60Z"), Err(TimeFault::Range));
        assert_eq!(shown("9999-12-31T23:59:59-01:00"), Err(TimeFault::Range));
    }
}
