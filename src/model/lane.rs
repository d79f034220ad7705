//! Lanes: the ordering domains of a log.
//!
//! Invariant: with one lane the sequence number of the n-th event is n; with K lanes it is
//! `n * K + lane`. Either way it is unique in the log and rises within a lane.

use super::{CategoryName, Source, StreamKey};

/// The number of a lane within its log, from 0.
pub type Lane = i64;

/// What a log promises an order over. Chosen when the log is created, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// One lane: a total order of the log.
    Log,
    /// A lane per hash of the category.
    Category,
    /// A lane per hash of category and stream.
    Stream,
}

impl Ordering {
    /// The word used in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Category => "category",
            Self::Stream => "stream",
        }
    }
}

impl std::str::FromStr for Ordering {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Log, Self::Category, Self::Stream].into_iter().find(|o| o.as_str() == text).ok_or(())
    }
}

/// The lanes of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    pub ordering: Ordering,
    pub count: i64,
}

/// The version of the hash, stored with each log so that a change of it can never move a stream.
pub const HASH_VERSION: i64 = 1;

/// FNV-1a, 64 bits (RFC 9923), over the parts with a NUL between (names cannot hold one).
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Lanes {
    fn of_hash(self, parts: &[&str]) -> Lane {
        // Fold the high half in: FNV's low bits alone are its weakest.
        let h = hash(parts);
        let folded = (h >> 32) ^ (h & 0xffff_ffff);
        i64::try_from(folded).map_or(0, |folded| folded % self.count)
    }

    fn of_category(self, category: &CategoryName) -> Option<Lane> {
        match self.ordering {
            _ if self.count == 1 => Some(0),
            Ordering::Log => Some(0),
            Ordering::Category => Some(self.of_hash(&[category.as_str()])),
            Ordering::Stream => None,
        }
    }

    /// The lane of a stream.
    #[must_use]
    pub fn of_stream(self, key: &StreamKey) -> Lane {
        self.of_category(&key.category)
            .unwrap_or_else(|| self.of_hash(&[key.category.as_str(), key.stream.as_str()]))
    }

    /// The one lane that holds all of a source, if there is such a one.
    #[must_use]
    pub fn single(self, source: &Source) -> Option<Lane> {
        match source {
            Source::Log => (self.count == 1).then_some(0),
            Source::Category(category) => self.of_category(category),
            Source::Stream(key) => Some(self.of_stream(key)),
        }
    }

    /// The lanes that a source spans, in ascending order.
    #[must_use]
    pub fn of(self, source: &Source) -> Vec<Lane> {
        self.single(source).map_or_else(|| (0..self.count).collect(), |lane| vec![lane])
    }

    /// The public sequence number of the n-th event of a lane.
    #[must_use]
    pub fn number(self, lane: Lane, n: i64) -> i64 {
        if self.count == 1 { n } else { n * self.count + lane }
    }

    /// A public sequence number as lane and number within the lane.
    #[must_use]
    pub fn split(self, number: i64) -> (Lane, i64) {
        if self.count == 1 { (0, number) } else { (number % self.count, number / self.count) }
    }

    /// The largest n of the lane whose public number is at most `number`.
    #[must_use]
    pub fn at_most(self, lane: Lane, number: i64) -> i64 {
        if self.count == 1 { number } else { (number - lane).div_euclid(self.count).max(0) }
    }

    /// The smallest n of the lane whose public number is at least `number`.
    #[must_use]
    pub fn at_least(self, lane: Lane, number: i64) -> i64 {
        if number == i64::MAX { number } else { self.at_most(lane, number.saturating_sub(1)) + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_split_into_what_they_were_made_of() {
        let lanes = Lanes { ordering: Ordering::Stream, count: 8 };
        for n in 1..50 {
            for lane in 0..8 {
                let number = lanes.number(lane, n);
                assert_eq!(lanes.split(number), (lane, n));
                assert_eq!(lanes.at_most(lane, number), n);
                assert_eq!(lanes.at_most(lane, number - 1), n - 1);
                assert_eq!(lanes.at_least(lane, number), n);
                assert_eq!(lanes.at_least(lane, number + 1), n + 1);
            }
        }
    }

    /// The hash may never change: it decides where a stream's events are.
    #[test]
    fn the_hash_is_what_it_was() {
        assert_eq!(hash(&["profiles"]), 0x5321_6ef3_b288_b405);
        assert_eq!(hash(&["profiles", "joe.bloggs"]), 0xb833_2901_a393_58d9);
    }
}
