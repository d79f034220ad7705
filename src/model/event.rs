//! Events: as a client writes them and as a store keeps them.

use uuid::Uuid;

use super::{EventName, RawJson, StreamKey, Timestamp};

/// Where the id of a new event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOrigin {
    /// The client stated it.
    Stated,
    /// Derived from an `Idempotency-Key`.
    Keyed,
    /// Made for this request: nothing can be stored under it.
    Minted,
}

/// An event that is to be published.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub id: Uuid,
    pub id_origin: IdOrigin,
    pub name: EventName,
    pub payload: RawJson,
    pub metadata: RawJson,
    /// Default: `observed_at`.
    pub occurred_at: Option<Timestamp>,
    /// Default: the moment of storing.
    pub observed_at: Option<Timestamp>,
}

/// An event that is stored. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: Uuid,
    pub name: EventName,
    pub payload: RawJson,
    pub metadata: RawJson,
    /// When it was true.
    pub occurred_at: Timestamp,
    /// When its source knew it.
    pub observed_at: Timestamp,
    /// When it was stored; never decreases within a lane.
    pub recorded_at: Timestamp,
    pub stream: StreamKey,
    /// 0-based number in its stream, without holes.
    pub position: i64,
    /// Number in its log, from 1; without holes within its lane.
    pub sequence_number: i64,
}

impl Event {
    /// The check digits of cursors that point at this event: the last 8 hex digits of its id
    /// (the first ones are a clock's in a UUIDv7, and shared by neighbours).
    #[must_use]
    pub fn check(&self) -> u32 {
        id_check(self.id)
    }

    /// Roughly the bytes that the event takes in a page.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const ENVELOPE: usize = 330;
        let names = self.stream.category.as_str().len() + self.stream.stream.as_str().len();
        let json = self.payload.as_str().len() + self.metadata.as_str().len();
        ENVELOPE + names + self.name.as_str().len() + json
    }

    /// Whether a new event states what this stored one holds. A time counts only if it is stated.
    #[must_use]
    pub fn has_content_of(&self, new: &NewEvent) -> bool {
        self.name == new.name
            && self.payload.same(&new.payload)
            && self.metadata.same(&new.metadata)
            && new.occurred_at.is_none_or(|time| time == self.occurred_at)
            && new.observed_at.is_none_or(|time| time == self.observed_at)
    }
}

/// See [`Event::check`].
#[must_use]
pub fn id_check(id: Uuid) -> u32 {
    let [.., a, b, c, d] = id.into_bytes();
    u32::from_be_bytes([a, b, c, d])
}
