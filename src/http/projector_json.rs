//! Projectors as JSON: what a definition looks like in the OpenAPI document, and what is told of one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{engine::runner::halt::Halt, model::Skipped};

/// A definition as JSON: its functions are JavaScript, as strings. As `text/javascript` it is an ES module whose
/// default export has the same members.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectorInput, examples(json!({
    "source": {"category": "orders"}, "id": "(event) => event.occurred_at.slice(0, 10)",
    "initial_state": {"orders": 0},
    "handlers": {"order-placed": "(state) => ({ orders: state.orders + 1 })"}
})))]
#[expect(dead_code, reason = "describes what a worker and projector::definition read")]
pub(super) struct ProjectorInput {
    /// What is read.
    source: ProjectorSource,
    /// By the names of events: functions of `(state, event)` that give the new state, change the one they have, or give
    /// null to delete the entry. `*` takes events that have none of their own.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    handlers: std::collections::HashMap<String, String>,
    /// What an entry begins with: any JSON, or a function; `{}` by default.
    #[schema(value_type = serde_json::Value, required = false)]
    initial_state: Option<Box<RawValue>>,
    /// Likewise of its metadata.
    #[schema(value_type = serde_json::Value, required = false)]
    initial_metadata: Option<Box<RawValue>>,
    /// A function of `(event)` that gives the id of its entry, several, or null for none; by default the event's stream.
    #[schema(nullable = false)]
    id: Option<String>,
    /// A function of `(state, metadata, event)` that gives the new metadata, called after the handler.
    #[schema(nullable = false)]
    update_metadata: Option<String>,
    /// What becomes of an event without a handler: `ignore` (default) or `fail`.
    #[schema(nullable = false, pattern = "^(ignore|fail)$", example = "ignore")]
    missing_handler: Option<String>,
    /// What an event that fails stops: the projector (`halt`, default), or its entry, which waits with all that follows
    /// while others go on (`park`).
    #[schema(nullable = false, pattern = "^(halt|park)$", example = "halt")]
    on_error: Option<String>,
    /// When a changed definition takes over: `when_caught_up` (default) or `manual`.
    #[schema(nullable = false, pattern = "^(when_caught_up|manual)$", example = "when_caught_up")]
    activate: Option<String>,
    /// What the code may use.
    #[schema(nullable = false)]
    limits: Option<ProjectorLimits>,
    /// `javascript`.
    #[schema(nullable = false, pattern = "^javascript$", example = "javascript")]
    language: Option<String>,
}

/// A source of a projector: the whole log, a category, several, or a stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what projector::definition reads")]
pub(super) struct ProjectorSource {
    /// The whole log.
    #[schema(nullable = false)]
    log: Option<bool>,
    /// A category, or the category of `stream`.
    #[schema(nullable = false)]
    category: Option<String>,
    /// Several categories.
    #[schema(nullable = false, min_items = 1, max_items = 100)]
    categories: Option<Vec<String>>,
    /// A stream of `category`.
    #[schema(nullable = false)]
    stream: Option<String>,
}

/// What the code of a projector may use.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what projector::definition reads")]
pub(super) struct ProjectorLimits {
    /// CPU time of loading the definition, in milliseconds; 250 by default.
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    load_ms: Option<i64>,
    /// CPU time of one call, in milliseconds; 50 by default.
    #[schema(nullable = false, minimum = 1, maximum = 250)]
    call_ms: Option<i64>,
    /// Memory of the engine; 64 MiB by default.
    #[schema(nullable = false, minimum = 1, maximum = 268_435_456)]
    heap_bytes: Option<i64>,
    /// Stack of the engine; 256 KiB by default.
    #[schema(nullable = false, minimum = 1, maximum = 524_288)]
    stack_bytes: Option<i64>,
    /// The state of one entry, as JSON; 1 MiB by default.
    #[schema(nullable = false, minimum = 1, maximum = 16_777_216)]
    state_bytes: Option<i64>,
    /// The metadata of one entry; 64 KiB by default.
    #[schema(nullable = false, minimum = 1, maximum = 262_144)]
    metadata_bytes: Option<i64>,
    /// Ids of one event; 16 by default.
    #[schema(nullable = false, minimum = 1, maximum = 256)]
    ids: Option<i64>,
    /// Events that are applied at once; 500 by default.
    #[schema(nullable = false, minimum = 1, maximum = 5_000)]
    batch_events: Option<i64>,
}

/// A projector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projector)]
pub(super) struct ProjectorOutput {
    /// Its name, which is that of the projection that it feeds.
    pub(super) projector: String,
    /// The number of the revision that answers.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) revision: i64,
    /// What that does: `building` (it has not caught up yet), `live`, `faulted` or `paused`.
    #[schema(example = "live")]
    pub(super) status: String,
    /// All revisions that are kept, by their numbers: the one that answers, and one before it or being built beside it.
    pub(super) revisions: Vec<RevisionOutput>,
}

/// A revision of a projector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectorRevision)]
pub(super) struct RevisionOutput {
    /// Its number.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) revision: i64,
    /// `active` (it answers), `building` (beside it), `former` (it was active) or `retained` (it answers until the new
    /// projector of the name has caught up).
    #[schema(example = "active")]
    pub(super) standing: String,
    /// `building` (it has not caught up yet), `live`, `faulted`, `paused`, or `idle` of a former one.
    #[schema(example = "live")]
    pub(super) status: String,
    /// The cursor past all that was applied or passed over; null before the first event.
    #[schema(required)]
    pub(super) checkpoint: Option<String>,
    /// The last event of that; 0 before the first.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) sequence_number: i64,
    /// How many events were applied, or wait.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) events: i64,
    /// How far it is behind its source.
    pub(super) lag: LagOutput,
    /// Events that it passed in a second, when there were any; 0 while that is not known.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) rate: i64,
    /// How long it will take to catch up at that rate; null if it has, or if that is not known.
    #[schema(required, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) remaining_seconds: Option<i64>,
    /// Events that had no handler, by their names; beyond 100 names, `*`.
    pub(super) ignored: Vec<IgnoredOutput>,
    /// Events that somebody decided to skip; at most 1,000.
    pub(super) skipped: Vec<SkippedOutput>,
    /// Entries that wait for a decision (`on_error: park`).
    pub(super) parked: ParkedOutput,
    /// Why it is faulted; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) fault: Option<FaultOutput>,
    /// What keeps it from going on for now, if this server knows: it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) error: Option<String>,
    /// When it was defined.
    #[schema(format = DateTime)]
    pub(super) created_at: String,
    /// The media type in which it was defined; `native` if a program does that this service is part of, and then the
    /// definition is the version.
    #[schema(example = "text/javascript")]
    pub(super) media_type: String,
    /// The definition: a module as a string, else the JSON that was sent. A tail leaves it out.
    #[schema(value_type = serde_json::Value, required = false)]
    pub(super) definition: Box<RawValue>,
}

/// Events of one name that had no handler.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IgnoredEvents)]
pub(super) struct IgnoredOutput {
    /// What happened.
    pub(super) name: String,
    /// How many there were.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) events: i64,
}

/// An event that was skipped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SkippedEvent)]
pub(super) struct SkippedOutput {
    /// The event's id.
    event_id: String,
    /// Its number in the log.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// The entry that it was not applied to; null: any.
    #[schema(required)]
    id: Option<String>,
    /// When that was done.
    #[schema(required, format = DateTime)]
    skipped_at: Option<String>,
}

impl From<&Skipped> for SkippedOutput {
    fn from(skipped: &Skipped) -> Self {
        Self {
            event_id: skipped.event.to_string(),
            sequence_number: skipped.sequence_number,
            id: skipped.id.clone(),
            skipped_at: skipped.at.map(|at| at.to_string()),
        }
    }
}

/// Entries that wait, each with an event that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedEntries)]
pub(super) struct ParkedOutput {
    /// How many entries wait; beyond 1,000 the projector halts.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) ids: i64,
    /// How many events wait with them; beyond 10,000 the projector halts.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) events: i64,
    /// The entries, by their ids; the first 100.
    pub(super) entries: Vec<ParkedEntryOutput>,
}

/// An entry that waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedEntry)]
pub(super) struct ParkedEntryOutput {
    /// Its id.
    pub(super) id: String,
    /// How many events it waits with.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) events: i64,
    /// Why the first of them could not be applied.
    pub(super) fault: FaultOutput,
}

impl From<(&String, &i64)> for IgnoredOutput {
    fn from((name, events): (&String, &i64)) -> Self {
        Self { name: name.clone(), events: *events }
    }
}

/// How far a revision is behind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectorLag)]
pub(super) struct LagOutput {
    /// Events that it has not passed, at most: in the lanes of its source those of others count too.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) events: i64,
    /// How long ago the last one it passed was stored, in seconds; 0 if it has caught up.
    #[schema(minimum = 0)]
    pub(super) seconds: f64,
}

/// What stopped a projector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectorFault)]
pub(super) struct FaultOutput {
    /// The event's id.
    pub(super) event_id: String,
    /// What happened.
    pub(super) event_name: String,
    /// The category of its stream.
    pub(super) category: String,
    /// Its stream.
    pub(super) stream: String,
    /// Its position in the stream.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub(super) position: i64,
    /// Its number in the log.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) sequence_number: i64,
    /// What went wrong.
    pub(super) message: String,
    /// Where in the code, innermost first.
    pub(super) stack: String,
    /// The line of the definition, from 1; null if it is not known.
    #[schema(required, minimum = 1, maximum = 4_294_967_295_i64)]
    pub(super) line: Option<u32>,
    /// The column.
    #[schema(required, minimum = 1, maximum = 4_294_967_295_i64)]
    pub(super) column: Option<u32>,
    /// The line's text.
    #[schema(required)]
    pub(super) excerpt: Option<String>,
}

/// The projectors of a log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectorList)]
pub(super) struct ProjectorsOutput {
    /// By name.
    pub(super) projectors: Vec<ProjectorOutput>,
}

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedProjector)]
pub(super) struct DeletedOutput {
    /// The projector.
    pub(super) projector: String,
}

impl From<Halt> for FaultOutput {
    fn from(halt: Halt) -> Self {
        let Halt { event, message, stack, line, column, excerpt } = halt;
        Self {
            event_id: event.id.to_string(),
            event_name: event.name,
            category: event.category,
            stream: event.stream,
            position: event.position,
            sequence_number: event.sequence_number,
            message,
            stack,
            line,
            column,
            excerpt,
        }
    }
}
