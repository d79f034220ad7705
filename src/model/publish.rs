//! One publish: some events for one or many streams, all or nothing.

use uuid::Uuid;

use super::{Condition, Event, NewEvent, StreamKey};

/// The events for one stream.
#[derive(Debug, Clone)]
pub struct Write {
    pub stream: StreamKey,
    pub events: Vec<NewEvent>,
}

/// A publish that was parsed and is within the limits.
///
/// Invariant: at least one write, each with at least one event; no stream and no id twice.
#[derive(Debug, Clone)]
pub struct Publish {
    pub writes: Vec<Write>,
    /// In the order in which they are judged.
    pub conditions: Vec<Condition>,
    /// Whether each write is under a condition: some logs take no others.
    pub guarded: bool,
    /// The id that an `Idempotency-Key` would give to one event more: its presence means that the
    /// key was used with a longer request.
    pub next_keyed_id: Option<Uuid>,
}

impl Publish {
    /// Every new event, in request order.
    pub fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.writes.iter().flat_map(|write| &write.events)
    }
}

/// What was stored in one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteAck {
    pub stream: StreamKey,
    pub events: Vec<Event>,
}

/// The answer to a publish: what is stored, in request order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub writes: Vec<WriteAck>,
    /// Whether all of it had been stored by an earlier request.
    pub replayed: bool,
}

impl Ack {
    /// The request's last event.
    #[must_use]
    pub fn last(&self) -> Option<&Event> {
        self.writes.last().and_then(|write| write.events.last())
    }
}
