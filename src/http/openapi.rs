//! The OpenAPI document: generated from the routes, with what they share.

use utoipa::{IntoParams, IntoResponses, OpenApi};

use super::{
    conditions::{MatchInput, SourceInput, StreamInput},
    error::{Failed, Fault, Report},
    query_input::{
        KeyInput, OperandInput, PathInput, PatternInput, SimilarInput, TextInput, ValuesInput,
    },
};

/// The parts of the document that no route brings.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Everlog",
        description = "The event store you can use with curl: conditional appends, ordered reads, tails and \
            queryable projections over HTTP/JSON.\n\nEvents are appended to *streams*, in *categories*, in *logs*. \
            *Projectors* reduce them to documents in *projections*. Every failure is `application/problem+json` (RFC 9457); its `code` is explained under \
            `/problems/{code}`.",
        license(name = "MIT", identifier = "MIT")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "publish", description = "Append events: to one stream, to several of a category, or anywhere in a log, in one \
            request that is stored whole or not at all. `If-Match` with the position you last read (or `If-None-Match: *` for a \
            new stream) makes it conditional: who lost a race gets 412, with what is true instead. Events have ids, so that a \
            request may be sent again, for ever."),
        (name = "read", description = "Read events of a stream, a category or a log, forwards or backwards, by pages with links \
            to the next one; filtered by name, metadata and times. `wait` holds a request until something new is there. A \
            single event is found by its position, by its id, or as the last one."),
        (name = "tail", description = "Follow a stream, a category, a log or a projection as server-sent events (WHATWG HTML, \
            section 9.2): what is there first, then what comes, each once and in order. A browser's `EventSource` resumes by \
            itself with `Last-Event-ID`; anyone else may send it, or `after`."),
        (name = "export", description = "All events of a source as NDJSON, one a line, in one answer of any length. What was \
            exported can be imported with the same ids, times and positions (`everlog import`)."),
        (name = "projections", description = "Documents derived from events: each has an id, a source, a state (any JSON) and a \
            version. They are made by projectors, or saved by your own code, conditionally if you like. `put_projection` \
            declares indexes, which are built in the background."),
        (name = "queries", description = "Find documents of a projection, or of all: 18 operators over any path of the document, \
            sorts by several fields or by similarity, pages by cursor both ways or by number, counts, and the parts of \
            documents that you select. What a query may cost is bounded, and said when it is exceeded."),
        (name = "projectors", description = "Reductions of events to documents, in JavaScript, which the server runs: define one \
            with a `PUT`, and its documents appear as a projection of the same name. Each event is applied exactly once. A \
            changed definition is built beside the one that answers and takes over once it has caught up. Faults name the event \
            and the line."),
        (name = "categories and streams", description = "What a log holds: its categories and their streams, with their last \
            positions. They exist as soon as they have an event; nothing creates them."),
        (name = "logs", description = "A log is an isolated, ordered set of events with settings of its own. The log `default` \
            is always there. Its ordering (by log, category or stream) is chosen when it is created, and stays."),
        (name = "keys", description = "Who may do what, where the service authenticates: send a key as `Authorization: Bearer \
            evl_…`. A key has scopes, each of which gives actions in logs and categories by patterns of their names; what no \
            scope gives is denied. The first key is made by `everlog key create`."),
        (name = "service", description = "The service itself: whether it is well, what it does, this document, and what each \
            problem means."),
    ),
    components(schemas(
        Report, Fault, Failed, MatchInput, SourceInput, StreamInput, OperandInput, ValuesInput,
        KeyInput, PathInput, TextInput, PatternInput, SimilarInput
    ))
)]
pub(super) struct Document;

/// What every operation may answer.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers, which error.rs makes")]
pub(super) enum ReadFailures {
    /// The request is refused; `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Client(Report),
    /// The service failed; `code` says how.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Server(Report),
}

/// What a publish may answer.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers, which error.rs makes")]
pub(super) enum PublishFailures {
    /// `log-not-found`.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Report),
    /// `write-condition-failed` (a condition of the body) or `event-id-conflict`.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Report),
    /// `write-condition-failed` (a condition of a header).
    #[response(status = 412, content_type = "application/problem+json")]
    PreconditionFailed(Report),
    /// `condition-required`.
    #[response(status = 428, content_type = "application/problem+json")]
    PreconditionRequired(Report),
    /// The request is refused; `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Client(Report),
    /// The service failed; `code` says how. 503 `outcome-unknown`: send the same again.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Server(Report),
}

/// What a change of projections may answer.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers, which error.rs makes")]
pub(super) enum SaveFailures {
    /// `log-not-found` or `entry-not-found`.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Report),
    /// `entry-condition-failed`: `If-Match` or `If-None-Match` is false.
    #[response(status = 412, content_type = "application/problem+json")]
    PreconditionFailed(Report),
    /// The request is refused; `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Client(Report),
    /// The service failed; `code` says how.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Server(Report),
}

/// A projection in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct ProjectionPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The projection, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    projection: String,
}

/// A projector in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct ProjectorPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The projector, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    projector: String,
}

/// What a stream is reduced by, and as of when.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct StreamStateQuery {
    /// The projector.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    projector: String,
    /// Only events up to this position.
    #[param(
        nullable = false,
        required = false,
        minimum = 0,
        maximum = 9_007_199_254_740_991_i64,
        example = 4
    )]
    until_position: Option<i64>,
    /// Only events that were true until then (RFC 3339), inclusive.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    occurred_until: Option<String>,
    /// Only events that their source knew until then, inclusive.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    observed_until: Option<String>,
    /// Only events that were stored until then, inclusive.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    recorded_until: Option<String>,
}

/// A revision of a projector in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct RevisionPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The projector, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    projector: String,
    /// The number of the revision.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    revision: i64,
}

/// An entry in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct EntryPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The projection, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    projection: String,
    /// The entry's id, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "joe.bloggs")]
    id: String,
}

/// The headers of a save or delete.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers, which conditions.rs reads")]
pub(super) struct SaveHeaders {
    /// `"3"`: the entry has version 3; a list: any of them; `*`: there is such an entry.
    #[param(rename = "If-Match", nullable = false, required = false, example = "\"3\"")]
    if_match: Option<String>,
    /// `*`: there is no such entry; `"3"`: it does not have version 3.
    #[param(rename = "If-None-Match", nullable = false, required = false, example = "*")]
    if_none_match: Option<String>,
}

/// Where a tail of a projection begins, and what it is of.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct ProjectionTailQuery {
    /// Only what changed after: the id of a frame; `now` for what is yet to come; by default all entries.
    /// `Last-Event-ID` wins over it.
    #[param(nullable = false, required = false, example = "now")]
    after: Option<String>,
    /// A query of which the filter says which entries are followed, and `select` what is told of each.
    #[param(
        nullable = false,
        required = false,
        example = r#"{"filter":{"gt":{"path":"/state/total","value":100}}}"#
    )]
    query: Option<String>,
}

/// Which event the answer must hold.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct ReachedQuery {
    /// Answer when the projection, or the entry that is asked for, holds this event: the largest `sequence_number` of
    /// its entries as they were saved last; else 503 `projection-behind`.
    #[param(
        nullable = false,
        required = false,
        minimum = 0,
        maximum = 9_007_199_254_740_991_i64,
        example = 4711
    )]
    min_sequence_number: Option<i64>,
    /// Wait for that so many seconds.
    #[param(nullable = false, required = false, minimum = 0, maximum = 60, example = 5)]
    wait: Option<i64>,
}

/// Which entries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which projection_query.rs reads")]
pub(super) struct EntriesQuery {
    /// A query, as `search` takes it; without it all entries are found.
    #[param(nullable = false, required = false, example = r#"{"page":{"limit":5}}"#)]
    query: Option<String>,
    /// Locate the one entry that is derived from this category, or from `stream` in it.
    #[param(
        nullable = false,
        required = false,
        min_length = 1,
        max_length = 255,
        example = "profiles"
    )]
    category: Option<String>,
    /// A stream of `category`.
    #[param(
        nullable = false,
        required = false,
        min_length = 1,
        max_length = 255,
        example = "joe.bloggs"
    )]
    stream: Option<String>,
}

/// A log in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct LogPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
}

/// A key in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which keys.rs reads")]
pub(super) struct KeyPath {
    /// The key's id.
    #[param(min_length = 12, max_length = 12, example = "4bqZJ0v1YwKd")]
    key_id: String,
}

/// A category in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct CategoryPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The category, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    category: String,
}

/// A stream in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct StreamPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The category, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    category: String,
    /// The stream, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "joe.bloggs")]
    stream: String,
}

/// An event in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct EventPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The event's id.
    #[param(example = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71")]
    event_id: String,
}

/// A position in a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes parameters, which extract.rs reads")]
pub(super) struct PositionPath {
    /// The log.
    #[param(min_length = 1, max_length = 255, example = "default")]
    log: String,
    /// The category, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "profiles")]
    category: String,
    /// The stream, as one percent-encoded segment.
    #[param(min_length = 1, max_length = 255, example = "joe.bloggs")]
    stream: String,
    /// The event's position.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    position: i64,
}

/// The headers of a publish.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers, which conditions.rs and publish.rs read")]
pub(super) struct PublishHeaders {
    /// `"4"`: the last position (of a log or category: sequence number) is 4; a list: any of them;
    /// `*`: there is an event.
    #[param(rename = "If-Match", nullable = false, required = false, example = "\"4\"")]
    if_match: Option<String>,
    /// `*`: there is no event yet.
    #[param(rename = "If-None-Match", nullable = false, required = false, example = "*")]
    if_none_match: Option<String>,
    /// Gives ids to events that have none, so that the request can be sent again; at most 255 bytes.
    #[param(
        rename = "Idempotency-Key",
        nullable = false,
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = r#"^([!#-~]([ !#-~]*[!#-~])?|"([ !#-\[\]-~]|\\["\\])+")$"#,
        example = "order-4711"
    )]
    idempotency_key: Option<String>,
    /// `return=representation`: answer with the events' other members too.
    #[param(
        rename = "Prefer",
        nullable = false,
        required = false,
        example = "return=representation"
    )]
    prefer: Option<String>,
}

/// Which events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct FilterQuery {
    /// Only events of this name; repeat it for any of several. Besides, `metadata.<key>=<value>`
    /// asks for a top-level member of the metadata.
    #[param(nullable = false, required = false, style = Form, explode, max_items = 100, example = json!(["profile-created"]))]
    name: Option<Vec<String>>,
    /// True at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    occurred_from: Option<String>,
    /// True at this time or earlier (inclusive): as of.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    occurred_until: Option<String>,
    /// Known to its source at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    observed_from: Option<String>,
    /// Known to its source at this time or earlier (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    observed_until: Option<String>,
    /// Stored at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    recorded_from: Option<String>,
    /// Stored at this time or earlier (inclusive): as at.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    recorded_until: Option<String>,
}

/// Which part of a source.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct ScanQuery {
    /// Only what stands after: a position of a stream, else a sequence number, or a cursor from an
    /// earlier answer.
    #[param(nullable = false, required = false, example = "0")]
    after: Option<String>,
    /// Only what stands before, likewise.
    #[param(nullable = false, required = false, example = "9")]
    before: Option<String>,
    /// Only larger sequence numbers, on streams too. Goes without `after`.
    #[param(
        nullable = false,
        required = false,
        minimum = 0,
        maximum = 9_007_199_254_740_991_i64,
        example = 0
    )]
    after_sequence_number: Option<i64>,
    /// `forwards` (default) or `backwards`.
    #[param(
        nullable = false,
        required = false,
        pattern = "^(forwards|backwards)$",
        example = "backwards"
    )]
    direction: Option<String>,
    /// At most so many events; 100 by default, lowered to 1,000.
    #[param(
        nullable = false,
        required = false,
        minimum = 1,
        maximum = 9_007_199_254_740_991_i64,
        example = 100
    )]
    limit: Option<i64>,
    /// Wait so many seconds for an event, if there is none.
    #[param(nullable = false, required = false, minimum = 0, maximum = 60, example = 5)]
    wait: Option<i64>,
    /// Only events of this name; repeat it for any of several. Besides, `metadata.<key>=<value>`
    /// asks for a top-level member of the metadata.
    #[param(nullable = false, required = false, style = Form, explode, max_items = 100, example = json!(["profile-created"]))]
    name: Option<Vec<String>>,
    /// True at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    occurred_from: Option<String>,
    /// True at this time or earlier (inclusive): as of.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    occurred_until: Option<String>,
    /// Known to its source at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    observed_from: Option<String>,
    /// Known to its source at this time or earlier (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    observed_until: Option<String>,
    /// Stored at this time or later (inclusive).
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-23T09:00:00Z")]
    recorded_from: Option<String>,
    /// Stored at this time or earlier (inclusive): as at.
    #[param(nullable = false, required = false, format = DateTime, example = "2026-11-30T00:00:00Z")]
    recorded_until: Option<String>,
}

/// Which part of a source to export.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct ExportQuery {
    /// Only what stands after: a position of a stream, else a sequence number, or a cursor from an
    /// earlier answer.
    #[param(nullable = false, required = false, example = "0")]
    after: Option<String>,
    /// Only larger sequence numbers, on streams too. Goes without `after`.
    #[param(
        nullable = false,
        required = false,
        minimum = 0,
        maximum = 9_007_199_254_740_991_i64,
        example = 0
    )]
    after_sequence_number: Option<i64>,
    /// Only events of this name; repeat it for any of several.
    #[param(nullable = false, required = false, style = Form, explode, max_items = 100, example = json!(["profile-created"]))]
    name: Option<Vec<String>>,
}

/// Where a tail begins and what it passes on.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct TailQuery {
    /// Only what stands after: a position of a stream, else a sequence number, or a cursor from an
    /// earlier answer; `now` for what is yet to come. `Last-Event-ID` wins over it.
    #[param(nullable = false, required = false, example = "now")]
    after: Option<String>,
    /// Only larger sequence numbers, on streams too. Goes without `after`.
    #[param(
        nullable = false,
        required = false,
        minimum = 0,
        maximum = 9_007_199_254_740_991_i64,
        example = 0
    )]
    after_sequence_number: Option<i64>,
    /// Only events of this name; repeat it for any of several. The filters of pages are taken too.
    #[param(nullable = false, required = false, style = Form, explode, max_items = 100, example = json!(["profile-created"]))]
    name: Option<Vec<String>>,
}

/// Which names.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct ListingQuery {
    /// Only names that begin so.
    #[param(nullable = false, required = false, example = "a")]
    prefix: Option<String>,
    /// Only names after this one, in byte order.
    #[param(nullable = false, required = false, example = "bob")]
    cursor: Option<String>,
    /// At most so many; 100 by default, lowered to 1,000.
    #[param(
        nullable = false,
        required = false,
        minimum = 1,
        maximum = 9_007_199_254_740_991_i64,
        example = 100
    )]
    limit: Option<i64>,
}

/// Whether to count.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters, which query.rs reads")]
pub(super) struct CountQuery {
    /// Count the events too, which takes time.
    #[param(nullable = false, required = false, example = true)]
    count: Option<bool>,
}
