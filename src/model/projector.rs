//! A projector: a definition, in revisions, that reduces the events of a source to documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    cursor::Cursor,
    lane::Lanes,
    name::{ProjectionName, ProjectorName},
    time::Timestamp,
};

/// How a definition was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An ES module whose default export it is.
    Module,
    /// A JSON object, with functions as strings.
    Parts,
    /// A projector of the program that the store is part of: code in Rust.
    Native,
}

/// What a revision is to those who read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is built beside the one that answers.
    Building,
    /// Its documents are the projection.
    Active,
    /// It was active before.
    Former,
    /// Its projector is gone, and its documents are the projection yet.
    Retained,
    /// It is being removed.
    Dropped,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* }) => {
        impl $name {
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// What a store kept.
            #[must_use]
            pub fn stored(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words!(Form { Module = "module", Parts = "parts", Native = "native" });
words!(Standing {
    Building = "building",
    Active = "active",
    Former = "former",
    Retained = "retained",
    Dropped = "dropped"
});

/// A definition, and what a worker said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub form: Form,
    /// As it was sent.
    pub text: String,
    /// What it says, as JSON.
    pub description: String,
}

/// A revision of a projector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Never used again.
    pub id: i64,
    pub projector: ProjectorName,
    /// From 1, within the projector.
    pub number: i64,
    pub definition: Definition,
    pub created_at: Timestamp,
    pub standing: Standing,
    /// Why it does not run; nothing if it does.
    pub halt: Option<String>,
    pub progress: Progress,
}

impl Revision {
    /// The name under which its documents are kept: a projector's, that no client can write.
    #[must_use]
    pub fn documents(&self) -> ProjectionName {
        ProjectionName::stored(format!("{}{FED}{}", self.projector, self.id))
    }

    /// That of the entries that wait, by their ids.
    #[must_use]
    pub fn parked(&self) -> ProjectionName {
        ProjectionName::stored(format!("{}{FED}parked", self.documents()))
    }

    /// That of what was made of streams on demand.
    #[must_use]
    pub fn snapshots(&self) -> ProjectionName {
        ProjectionName::stored(format!("{}{FED}snapshots", self.documents()))
    }

    /// All names under which it keeps something.
    #[must_use]
    pub fn names(&self) -> [ProjectionName; 3] {
        [self.snapshots(), self.parked(), self.documents()]
    }
}

/// Between the name of a projector and the id of a revision: a character that no name has.
const FED: char = '\u{1}';

impl ProjectionName {
    /// The name that clients know.
    #[must_use]
    pub fn known(&self) -> &str {
        self.as_str().split(FED).next().unwrap_or_default()
    }

    /// Whether its documents are a projector's.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.as_str().contains(FED)
    }
}

/// How far a revision is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The cursor past what was applied or passed over; empty before the first.
    #[serde(skip)]
    pub cursor: String,
    /// What the revision is to do, and has not done: a line of JSON each.
    #[serde(skip)]
    pub orders: String,
    /// The last event of those.
    pub sequence_number: i64,
    /// When that was recorded.
    #[serde(with = "micros")]
    pub recorded_at: Option<Timestamp>,
    /// How many were applied.
    pub events: i64,
    /// How many had no handler, by name.
    pub ignored: BTreeMap<String, i64>,
    /// Those that somebody decided to pass over.
    pub skipped: Vec<Skipped>,
    /// What waits until somebody decides.
    pub parked: Parked,
    /// Events a second, in the last seconds that there were any.
    pub rate: i64,
}

impl Progress {
    /// Whether an event was passed. Of several lanes each has its own place; a source of one lane has no event of another.
    #[must_use]
    pub fn has_passed(&self, lanes: Lanes, number: i64) -> bool {
        let (lane, n) = lanes.split(number);
        match self.cursor.parse() {
            Ok(Cursor::Vector(places)) => {
                let place = usize::try_from(lane).ok().and_then(|lane| places.get(lane));
                place.is_some_and(|place| place.n >= n)
            }
            Ok(Cursor::Number(_)) if lanes.count > 1 => {
                let (own, reached) = lanes.split(self.sequence_number);
                own != lane || reached >= n
            }
            _ => self.sequence_number >= number,
        }
    }

    /// Whether all that another one has passed was passed.
    #[must_use]
    pub fn reaches(&self, lanes: Lanes, other: &Self) -> bool {
        match (self.cursor.parse(), other.cursor.parse()) {
            (Ok(Cursor::Vector(own)), Ok(Cursor::Vector(other))) => {
                own.iter().zip(&other).all(|(own, other)| own.n >= other.n)
            }
            _ => self.has_passed(lanes, other.sequence_number),
        }
    }
}

/// An event that is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub event: Uuid,
    pub sequence_number: i64,
    /// The entry that it was not applied to; nothing: any.
    pub id: Option<String>,
    /// When that was decided.
    #[serde(with = "micros")]
    pub at: Option<Timestamp>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parked {
    /// Entries.
    pub ids: i64,
    /// Events of those.
    pub events: i64,
}

/// A time as microseconds.
mod micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Timestamp;

    #[expect(clippy::ref_option, reason = "serde gives it so")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::micros).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(Timestamp::of_stored))
    }
}
