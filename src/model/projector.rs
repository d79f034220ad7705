//! A projector: a definition, in revisions, that reduces the events of a source to documents.

use super::{
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

words!(Form { Module = "module", Parts = "parts" });
words!(Standing {
    Building = "building",
    Active = "active",
    Former = "former",
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The cursor past what was applied or passed over; empty before the first.
    pub cursor: String,
    /// The last event of those.
    pub sequence_number: i64,
    /// When that was recorded.
    pub recorded_at: Option<Timestamp>,
    /// How many were applied.
    pub events: i64,
    /// How many had no handler: a JSON object, by name.
    pub ignored: String,
}
