//! Immutable builders: each `with_…` gives a new value, and what is not stated is random.

use uuid::Uuid;

use super::random;
use crate::model::{
    At, Condition, EventName, IdOrigin, NewEvent, Publish, RawJson, StreamKey, Test, Timestamp,
    Write,
};

/// Builds an event that is to be published. Its times are left to the store unless stated.
#[derive(Debug, Clone)]
pub struct NewEventBuilder(NewEvent);

impl Default for NewEventBuilder {
    fn default() -> Self {
        Self(NewEvent {
            id: random::id(),
            id_origin: IdOrigin::Stated,
            name: random::event_name(),
            payload: random::object(),
            metadata: random::object(),
            occurred_at: None,
            observed_at: None,
        })
    }
}

impl NewEventBuilder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self(NewEvent { id, ..self.0 })
    }

    /// As if the id were derived from an `Idempotency-Key`.
    #[must_use]
    pub fn with_keyed_id(self, id: Uuid) -> Self {
        Self(NewEvent { id, id_origin: IdOrigin::Keyed, ..self.0 })
    }

    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        Self(NewEvent { name: EventName::stored(name), ..self.0 })
    }

    #[must_use]
    pub fn with_payload(self, json: &str) -> Self {
        Self(NewEvent { payload: RawJson::checked(json), ..self.0 })
    }

    #[must_use]
    pub fn with_metadata(self, json: &str) -> Self {
        Self(NewEvent { metadata: RawJson::checked(json), ..self.0 })
    }

    #[must_use]
    pub fn with_occurred_at(self, time: Timestamp) -> Self {
        Self(NewEvent { occurred_at: Some(time), ..self.0 })
    }

    #[must_use]
    pub fn with_observed_at(self, time: Timestamp) -> Self {
        Self(NewEvent { observed_at: Some(time), ..self.0 })
    }

    #[must_use]
    pub fn build(self) -> NewEvent {
        self.0
    }
}

/// Builds the events for one stream.
#[derive(Debug, Clone)]
pub struct WriteBuilder(Write);

impl WriteBuilder {
    /// No events yet for this stream.
    #[must_use]
    pub fn to(stream: &StreamKey) -> Self {
        Self(Write { stream: stream.clone(), events: Vec::new() })
    }

    #[must_use]
    pub fn with_event(mut self, event: NewEvent) -> Self {
        self.0.events.push(event);
        self
    }

    /// So many random events more.
    #[must_use]
    pub fn with_random_events(mut self, count: usize) -> Self {
        self.0.events.extend((0..count).map(|_| NewEventBuilder::new().build()));
        self
    }

    /// The write; one random event if none was stated.
    #[must_use]
    pub fn build(self) -> Write {
        if self.0.events.is_empty() { self.with_random_events(1).0 } else { self.0 }
    }
}

/// Builds a publish.
#[derive(Debug, Clone)]
pub struct PublishBuilder(Publish);

impl PublishBuilder {
    /// No writes yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Publish {
            writes: Vec::new(),
            conditions: Vec::new(),
            guarded: true,
            next_keyed_id: None,
        })
    }

    /// So many random events to a stream.
    #[must_use]
    pub fn random(stream: &StreamKey, count: usize) -> Self {
        Self::new().with_write(WriteBuilder::to(stream).with_random_events(count).build())
    }

    /// One event to a stream.
    #[must_use]
    pub fn of(stream: &StreamKey, event: NewEvent) -> Self {
        Self::new().with_write(WriteBuilder::to(stream).with_event(event).build())
    }

    #[must_use]
    pub fn with_write(mut self, write: Write) -> Self {
        self.0.writes.push(write);
        self
    }

    /// One condition more, which stands at `/conditions/{index}` of the body.
    #[must_use]
    pub fn with_condition(mut self, test: Test) -> Self {
        let at = At::Body(format!("/conditions/{}", self.0.conditions.len()));
        self.0.conditions.push(Condition { at, test });
        self
    }

    #[must_use]
    pub fn with_next_keyed_id(self, id: Uuid) -> Self {
        Self(Publish { next_keyed_id: Some(id), ..self.0 })
    }

    /// The publish; one random event to a random stream if no write was stated.
    #[must_use]
    pub fn build(self) -> Publish {
        if self.0.writes.is_empty() {
            return self.with_write(WriteBuilder::to(&random::stream()).build()).0;
        }
        self.0
    }
}

impl Default for PublishBuilder {
    fn default() -> Self {
        Self::new()
    }
}
