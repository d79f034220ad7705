//! A projection: one document, derived from a source; and what is asked to be done to some.

use super::{
    condition::Tags,
    document::Json,
    name::{EntryId, ProjectionName},
    source::Source,
    time::Timestamp,
};

/// A document, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    pub name: ProjectionName,
    pub id: EntryId,
    /// What it is derived from, as its first save said.
    pub source: Source,
    pub state: Json,
    pub metadata: Json,
    /// Counts its saves, also across a delete.
    pub version: i64,
    /// The last event that it holds, if whoever saved it said so.
    pub sequence_number: Option<i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A document to be saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Save {
    pub id: EntryId,
    pub source: Source,
    pub state: Json,
    pub metadata: Json,
    pub sequence_number: Option<i64>,
    pub guard: Guard,
}

/// What is done to one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Save(Save),
    Delete { id: EntryId, guard: Guard },
}

/// Changes of one name, all or nothing. An id stands in it once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edit {
    pub changes: Vec<Change>,
    /// Bytes of the states and metadata, as they were sent.
    pub bytes: usize,
}

/// What must hold of a document's version for a change to be done (RFC 9110 §13.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guard {
    pub if_match: Option<Tags>,
    pub if_none_match: Option<Tags>,
}

/// The header that was false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    IfMatch,
    IfNoneMatch,
}

impl Change {
    #[must_use]
    pub fn id(&self) -> &EntryId {
        match self {
            Self::Save(save) => &save.id,
            Self::Delete { id, .. } => id,
        }
    }

    #[must_use]
    pub fn guard(&self) -> &Guard {
        match self {
            Self::Save(save) => &save.guard,
            Self::Delete { guard, .. } => guard,
        }
    }
}

impl Guard {
    /// Whether its `If-Match` has a weak tag, which never matches.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.if_match.as_ref().is_some_and(|tags| tags.weak)
    }

    /// The header that is false of a document with this version; of none without.
    #[must_use]
    pub fn broken(&self, version: Option<i64>) -> Option<Broken> {
        let among = |tags: &Tags| {
            version.is_some_and(|version| tags.any || tags.numbers.contains(&version))
        };
        if self.if_match.as_ref().is_some_and(|tags| !among(tags)) {
            return Some(Broken::IfMatch);
        }
        self.if_none_match.as_ref().is_some_and(among).then_some(Broken::IfNoneMatch)
    }
}
