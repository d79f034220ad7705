//! A query that was understood.

use regex::Regex;

use super::similarity::Trigrams;
use crate::model::Json;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    pub filter: Filter,
    pub sort: Vec<Sort>,
    pub paging: Paging,
    /// Whether all that match are counted.
    pub count: bool,
    /// What is answered of each; nothing: all of it.
    pub select: Vec<Path>,
    /// Whether it is told how it was answered.
    pub explain: bool,
    /// Filter and sort in one text, for cursors to know their query by.
    pub identity: String,
}

/// A member of a document, or of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub root: Root,
    pub tokens: Vec<String>,
}

/// The members of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Id,
    Name,
    Version,
    SequenceNumber,
    CreatedAt,
    UpdatedAt,
    Source,
    State,
    Metadata,
}

impl Root {
    /// All of them, by the token that names them.
    pub const ALL: [(&'static str, Self); 9] = [
        ("id", Self::Id),
        ("name", Self::Name),
        ("version", Self::Version),
        ("sequence_number", Self::SequenceNumber),
        ("created_at", Self::CreatedAt),
        ("updated_at", Self::UpdatedAt),
        ("source", Self::Source),
        ("state", Self::State),
        ("metadata", Self::Metadata),
    ];

    /// Whether something stands below it.
    #[must_use]
    pub fn is_deep(self) -> bool {
        matches!(self, Self::Source | Self::State | Self::Metadata)
    }

    /// Whether it is a time.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(self, Self::CreatedAt | Self::UpdatedAt)
    }
}

/// What must hold of a document.
#[derive(Debug, Clone)]
pub enum Filter {
    Eq { path: Path, value: Json },
    Ne { path: Path, value: Json },
    Compare { path: Path, than: Than, value: Json },
    In { path: Path, values: Vec<Json> },
    Contains { path: Path, value: Json },
    JsonContains { path: Path, value: Json },
    HasKey { path: Path, key: String },
    Exists { path: Path },
    Prefix { path: Path, text: Text },
    TextContains { path: Path, text: Text },
    Matches { path: Path, pattern: Regex },
    Similar { path: Path, to: Trigrams, at_least: f64 },
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}

impl Filter {
    /// What holds of every document.
    #[must_use]
    pub fn all() -> Self {
        Self::And(Vec::new())
    }
}

/// How a value stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Than {
    Greater,
    AtLeast,
    Less,
    AtMost,
}

/// A text that is looked for; in lower case if its case is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub ignore_case: bool,
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    pub by: By,
    pub descending: bool,
}

impl Sort {
    /// The word for its direction.
    #[must_use]
    pub fn order(&self) -> &'static str {
        if self.descending { "desc" } else { "asc" }
    }
}

/// What is ordered by.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    Path(Path),
    Similarity { path: Path, to: Trigrams },
}

/// Which of those that match are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    First { limit: usize },
    After { limit: usize, cursor: String },
    Before { limit: usize, cursor: String },
    Numbered { number: usize, size: usize },
}
