//! The port: what Everlog asks of a store, in terms of the model.
//!
//! A store supplies a consistent [`View`] and, for appends, a critical [`Section`]; the meaning of
//! a scan ([`scan`]) and of a publish ([`append`]) is written once, above them. The conformance
//! suite (`testing::conformance`) is the other half of this contract.
//!
//! Invariant: whoever opens a section on a lane sees all that was committed to the lane before.

pub mod append;
pub mod catalogue;
pub mod find;
pub mod heads;
pub mod indexes;
pub mod keys;
pub mod memory;
pub mod open;
pub mod postgres;
pub mod projections;
pub mod projectors;
pub mod scan;
mod sql;
pub mod sqlite;
pub mod turn;
pub mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use self::{keys::Keys, projections::Projections, projectors::Projectors};
use crate::model::{
    Ack, CategoryName, Direction, Event, FailedCondition, Lane, Lanes, Log, LogName, LogSettings,
    Publish, Source, StreamKey, StreamName, Timestamp,
};

/// The cause of a failure, for the log and never for a client.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How a store fails. Each says whether something may have been written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Out of reach, overloaded or too slow. Promised: nothing was written.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Cause),
    /// The statement was sent and its answer never came.
    #[error("the outcome of the write is not known: {0}")]
    OutcomeUnknown(#[source] Cause),
    /// No space left. Nothing was written.
    #[error("the store is full: {0}")]
    Full(#[source] Cause),
    /// The store refuses what was to be written and would refuse it again. Nothing was written.
    #[error("the store refuses what it was given: {0}")]
    Refused(#[source] Cause),
    /// What the store holds, or answered, is not what we wrote. Treat as unknown.
    #[error("the store is not as it should be: {0}")]
    Broken(#[source] Cause),
}

impl StorageError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::OutcomeUnknown(_) | Self::Full(_))
    }

    /// Whether something may have been written.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_) | Self::Broken(_))
    }

    /// The same failure, for another of those who share it.
    #[must_use]
    pub fn shared(&self) -> Self {
        match self {
            Self::Unavailable(cause) => Self::Unavailable(cause.to_string().into()),
            Self::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause.to_string().into()),
            Self::Full(cause) => Self::Full(cause.to_string().into()),
            Self::Refused(cause) => Self::Refused(cause.to_string().into()),
            Self::Broken(cause) => Self::Broken(cause.to_string().into()),
        }
    }

    /// The store holds what it should not.
    pub fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into().into())
    }
}

/// Why a publish was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    ConditionFailed {
        failed: Vec<FailedCondition>,
        /// Last position of the first stream written to.
        position: Option<i64>,
    },
    /// The id is stored with other content, in another stream, or only some of the ids are.
    IdConflict(Uuid),
    /// The `Idempotency-Key` was used with another request.
    KeyReused,
    /// The log takes conditional publishes only.
    ConditionRequired,
    /// A `no_event_matching` would have to examine too many events.
    ConditionTooBroad { pointer: String },
}

/// The answer to one publish of a batch.
pub type Outcome = Result<Ack, Refusal>;

/// Why a batch was not appended, or not for certain.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AppendError {
    #[source]
    pub error: StorageError,
    /// What was decided, if its commit was sent and not answered.
    pub in_doubt: Vec<Outcome>,
}

impl From<StorageError> for AppendError {
    fn from(error: StorageError) -> Self {
        Self { error, in_doubt: Vec::new() }
    }
}

impl From<AppendError> for StorageError {
    fn from(failed: AppendError) -> Self {
        failed.error
    }
}

/// Why a log was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum PutLogError {
    /// It exists with another ordering or other lanes.
    #[error("the log exists with other lanes")]
    OtherLanes(Box<Log>),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A page of a listing by name, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub prefix: String,
    /// Only names after this one.
    pub after: Option<String>,
    pub limit: usize,
}

impl Listing {
    /// Whether a name belongs to what is listed.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        name.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// A part of one lane of a source, in order. Both bounds are exclusive. The numbers are positions
/// of a stream, else n of the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub source: Source,
    pub lane: Lane,
    pub after: i64,
    pub before: i64,
    pub direction: Direction,
    pub limit: usize,
    /// Rows end early with the one that brings their bytes ([`Event::bytes`]) to so many.
    pub bytes: usize,
}

impl Span {
    /// Whether these rows are all that the span holds.
    #[must_use]
    pub fn is_exhausted_by(&self, rows: &[Event]) -> bool {
        rows.len() < self.limit && rows.iter().map(Event::bytes).sum::<usize>() < self.bytes
    }
}

/// The last event of a lane of a source, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// n of the lane.
    pub n: i64,
    pub position: i64,
    pub id: Uuid,
    pub recorded_at: Timestamp,
}

/// Where a lane ends: its last event. An id is never used again, so another history has another end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// n of the lane.
    pub n: i64,
    pub id: Uuid,
}

impl End {
    /// That of a lane without an event.
    pub const EMPTY: Self = Self { n: 0, id: Uuid::nil() };

    /// That after this event.
    #[must_use]
    pub fn at(lanes: Lanes, event: &Event) -> Self {
        Self { n: lanes.split(event.sequence_number).1, id: event.id }
    }
}

impl From<Option<Tip>> for End {
    fn from(tip: Option<Tip>) -> Self {
        tip.map_or(Self::EMPTY, |tip| Self { n: tip.n, id: tip.id })
    }
}

/// One log as of one moment: all answers of a view are of the same moment.
#[async_trait]
pub trait View: Send {
    /// The events of a span.
    async fn rows(&mut self, span: &Span) -> Result<Vec<Event>, StorageError>;
    /// The last event of a source in a lane.
    async fn tip(&mut self, source: &Source, lane: Lane) -> Result<Option<Tip>, StorageError>;
    /// The last position of each of these streams that has one.
    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError>;
    /// The events that have these ids, in any order.
    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError>;
    /// The categories of the log.
    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError>;
    /// The streams of a category.
    async fn streams(
        &mut self,
        category: &CategoryName,
        listing: &Listing,
    ) -> Result<Vec<StreamName>, StorageError>;
    /// How many events a category has.
    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError>;
    /// Gives the view back to its store.
    async fn close(self: Box<Self>);
}

/// A view with some lanes locked, in which events can be written.
#[async_trait]
pub trait Section: View {
    /// Stages new events, which come with their numbers. The store's unique indexes judge them.
    async fn insert(&mut self, events: &[Event]) -> Result<(), StorageError>;
}

/// The logs of a store.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Creates a log or changes what may change; says whether it is new. `fresh` is what a new log
    /// would be.
    async fn put_log(&self, settings: &LogSettings, fresh: Log)
    -> Result<(Log, bool), PutLogError>;
    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError>;
    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError>;
}

/// What a store knows of some streams and ids at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The last position of each stream that has one.
    pub positions: Vec<(StreamKey, i64)>,
    /// The events that have one of the ids.
    pub events: Vec<Event>,
}

/// The events of a store.
#[async_trait]
pub trait Events: Send + Sync {
    /// Opens a view.
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError>;
    /// Looks up streams and ids, without a lock and as cheaply as can be. Each answer may be of a
    /// moment of its own.
    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError>;
    /// The end of each of these lanes, which are named by the log's id.
    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError>;
    /// Decides and writes a batch in one critical section (see [`append::decide`]): an outcome for
    /// each publish, in order. An error is an error of them all. One attempt.
    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError>;
    /// Writes decided events of one lane, if it still ends so and none of their positions and ids is
    /// taken; else nothing, and says false. One attempt, in one step.
    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError>;
}

/// Connections of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: &'static str,
    pub used: usize,
    pub max: usize,
}

/// How much of a store is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// On disk; nothing of a store that is not there.
    pub bytes: Option<i64>,
    pub pools: Vec<Pool>,
}

/// The store as a whole.
#[async_trait]
pub trait Health: Send + Sync {
    /// Whether the store answers now.
    async fn ready(&self) -> Result<(), StorageError>;
    /// What and where it is, and how durable an acknowledged event is. No secrets.
    fn description(&self) -> String;
    /// How much of it is in use.
    async fn usage(&self) -> Result<Usage, StorageError>;
    /// Whether it still is what it was when the process is started again.
    fn outlives_process(&self) -> bool;
    /// Ends all connections.
    async fn close(&self);
}

/// A store, as everything above the port holds it.
#[derive(Clone)]
pub struct Storage {
    pub logs: Arc<dyn Logs>,
    pub events: Arc<dyn Events>,
    pub projections: Arc<dyn Projections>,
    pub projectors: Arc<dyn Projectors>,
    pub keys: Arc<dyn Keys>,
    pub health: Arc<dyn Health>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Storage({})", self.health.description())
    }
}

impl Storage {
    /// A store that is all of it.
    pub fn new<S: Logs + Events + Projections + Projectors + Keys + Health + 'static>(
        store: Arc<S>,
    ) -> Self {
        let (logs, events) = (store.clone(), store.clone());
        let (projections, projectors) = (store.clone(), store.clone());
        Self { logs, events, projections, projectors, keys: store.clone(), health: store }
    }
}
