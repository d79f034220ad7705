//! What is read, followed or judged: a log, a category or a stream.

use super::name::{CategoryName, StreamName};

/// A stream's full name within its log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    pub category: CategoryName,
    pub stream: StreamName,
}

/// A source of events within a log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    Log,
    Category(CategoryName),
    Stream(StreamKey),
}

impl Source {
    /// Whether an event of this stream belongs to the source.
    #[must_use]
    pub fn holds(&self, stream: &StreamKey) -> bool {
        match self {
            Self::Log => true,
            Self::Category(category) => *category == stream.category,
            Self::Stream(key) => key == stream,
        }
    }
}
