//! What part of a source is read, and the page that comes back.

use super::{Cursor, Event, Filter};

/// Which way a scan goes through its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Forwards,
    Backwards,
}

/// A scan of a source. Both bounds are exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub after: Option<Cursor>,
    pub before: Option<Cursor>,
    /// Only events with a larger sequence number; on a stream, where `after` is a position.
    pub after_sequence_number: Option<i64>,
    pub direction: Direction,
    pub limit: usize,
    pub filter: Filter,
}

impl Scan {
    /// From the first event on, so many.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self {
            after: None,
            before: None,
            after_sequence_number: None,
            direction: Direction::Forwards,
            limit,
            filter: Filter::default(),
        }
    }
}

/// What a scan found, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub events: Vec<Event>,
    /// Past everything examined: goes into `after` of the next scan (backwards: into `before`).
    pub cursor: Option<Cursor>,
    /// The last event of the source.
    pub high_water: Option<Cursor>,
    /// Nothing further existed in this direction.
    pub at_end: bool,
}
