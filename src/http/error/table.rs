//! The table of problems: status, code, title, and what to do about it.

use axum::http::StatusCode;

/// What went wrong, as a client may tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MalformedRequest,
    Unauthenticated,
    Forbidden,
    HostNotAllowed,
    RouteNotFound,
    LogNotFound,
    CategoryNotFound,
    StreamNotFound,
    EventNotFound,
    EntryNotFound,
    ProjectorNotFound,
    KeyNotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    LogSettingsConflict,
    /// A condition in the body failed.
    ConditionConflict,
    EventIdConflict,
    EntryAmbiguous,
    ProjectionFed,
    ProjectionOccupied,
    NothingWaits,
    ProjectorFaulted,
    HistoryDiverged,
    /// A condition in a header failed.
    ConditionFailed,
    EntryConditionFailed,
    TooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    CursorRequired,
    ConditionTooBroad,
    QueryTooBroad,
    IdempotencyKeyReused,
    ConditionRequired,
    QuotaExceeded,
    Internal,
    Unavailable,
    OutcomeUnknown,
    ProjectionBehind,
    StorageFull,
}

/// One line of the table of problems.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub status: StatusCode,
    pub code: &'static str,
    pub title: &'static str,
    /// What a client does about it, served at `/problems/{code}`.
    pub advice: &'static str,
}

const fn row(
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    advice: &'static str,
) -> Row {
    Row { status, code, title, advice }
}

impl Kind {
    /// Every problem there is.
    pub const ALL: [Self; 40] = [
        Self::MalformedRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::HostNotAllowed,
        Self::RouteNotFound,
        Self::LogNotFound,
        Self::CategoryNotFound,
        Self::StreamNotFound,
        Self::EventNotFound,
        Self::EntryNotFound,
        Self::ProjectorNotFound,
        Self::KeyNotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::RequestTimeout,
        Self::LogSettingsConflict,
        Self::ConditionConflict,
        Self::EventIdConflict,
        Self::EntryAmbiguous,
        Self::ProjectionFed,
        Self::ProjectionOccupied,
        Self::NothingWaits,
        Self::ProjectorFaulted,
        Self::HistoryDiverged,
        Self::ConditionFailed,
        Self::EntryConditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidRequest,
        Self::CursorRequired,
        Self::ConditionTooBroad,
        Self::QueryTooBroad,
        Self::IdempotencyKeyReused,
        Self::ConditionRequired,
        Self::QuotaExceeded,
        Self::Internal,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::ProjectionBehind,
        Self::StorageFull,
    ];

    /// The table.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table is read more easily than three")]
    pub fn row(self) -> Row {
        const CONDITION: &str = "A precondition of the publish did not hold, and nothing was written. \
            `failed` names each one with what was expected and what is; `events_since` is where the \
            events stand that you did not know of. Read them, decide again, publish again.";
        match self {
            Self::MalformedRequest => row(
                StatusCode::BAD_REQUEST,
                "malformed-request",
                "The request cannot be read",
                "The body is not JSON or not UTF-8, or a header or parameter cannot be read. \
                 `errors` points at the place. Mend the request; sending it again will not help.",
            ),
            Self::Unauthenticated => row(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Who asks is not known",
                "Send a key: `Authorization: Bearer evl_…`. One is made by `everlog key create`, or by an administrator with \
                 `POST /v1/keys`. Keys expire and are revoked; `detail` says what is wrong with this one.",
            ),
            Self::Forbidden => row(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The key does not give this",
                "The key is good, and none of its scopes gives this action here; `detail` names both. What is about a whole \
                 log needs a scope over all its categories. Ask an administrator for another key.",
            ),
            Self::HostNotAllowed => row(
                StatusCode::FORBIDDEN,
                "host-not-allowed",
                "The Host is not served here",
                "Without authentication only `localhost` and loopback addresses are served, so that \
                 a web page cannot reach this server under a name of its own (DNS rebinding).",
            ),
            Self::RouteNotFound => row(
                StatusCode::NOT_FOUND,
                "route-not-found",
                "There is no such resource",
                "The path is none of this API. `/` lists the entrances, `/openapi.json` all paths. A \
                 slash inside a name must be sent as %2F.",
            ),
            Self::LogNotFound => row(
                StatusCode::NOT_FOUND,
                "log-not-found",
                "There is no such log",
                "Logs are created explicitly: `PUT /v1/logs/{log}`. The log `default` always exists.",
            ),
            Self::CategoryNotFound => row(
                StatusCode::NOT_FOUND,
                "category-not-found",
                "The category has no events",
                "A category exists as soon as one of its streams has an event.",
            ),
            Self::StreamNotFound => row(
                StatusCode::NOT_FOUND,
                "stream-not-found",
                "The stream has no events",
                "A stream exists as soon as it has an event. To wait for its first one, read it \
                 with `wait`.",
            ),
            Self::EventNotFound => row(
                StatusCode::NOT_FOUND,
                "event-not-found",
                "There is no such event",
                "No event has this id or position, or none passes the filters of `latest`.",
            ),
            Self::ProjectorNotFound => row(
                StatusCode::NOT_FOUND,
                "projector-not-found",
                "The projector, or its revision, does not exist",
                "Define a projector with PUT; its revisions are listed with it.",
            ),
            Self::KeyNotFound => row(
                StatusCode::NOT_FOUND,
                "key-not-found",
                "There is no such key",
                "No key has this id, or it is one of logs that you do not administer. `GET /v1/keys` lists yours.",
            ),
            Self::EntryNotFound => row(
                StatusCode::NOT_FOUND,
                "entry-not-found",
                "There is no such entry",
                "The projection has no entry with this id, or none that is derived from this source.",
            ),
            Self::MethodNotAllowed => row(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The resource does not have this method",
                "The `Allow` header lists the methods that it has.",
            ),
            Self::NotAcceptable => row(
                StatusCode::NOT_ACCEPTABLE,
                "not-acceptable",
                "Nothing that is acceptable can be sent",
                "Ask for `application/json`, or for `application/x-ndjson` where events are read, or \
                 send no `Accept` header.",
            ),
            Self::RequestTimeout => row(
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request took too long to arrive",
                "The body did not arrive in time. Nothing was written; send it again.",
            ),
            Self::LogSettingsConflict => row(
                StatusCode::CONFLICT,
                "log-settings-conflict",
                "The log has another ordering or other lanes",
                "Ordering and lanes are chosen when a log is created and never change. Make a new \
                 log, or leave them out of the request.",
            ),
            Self::ConditionConflict => {
                row(StatusCode::CONFLICT, "write-condition-failed", CONDITION_TITLE, CONDITION)
            }
            Self::EventIdConflict => row(
                StatusCode::CONFLICT,
                "event-id-conflict",
                "An event id is taken by another event",
                "The id in `event_id` is stored with other content or in another stream, or only \
                 some ids of the request are stored. Nothing was written. A retry must send the same \
                 events; new events need new ids.",
            ),
            Self::EntryAmbiguous => row(
                StatusCode::CONFLICT,
                "entry-ambiguous",
                "Several entries are derived from this source",
                "To locate an entry there must be one. Search for them instead.",
            ),
            Self::ProjectionFed => row(
                StatusCode::CONFLICT,
                "projection-fed",
                "A projector feeds this projection",
                "Its entries are what the projector makes of events; nobody else writes them. Change the projector, or \
                 delete it.",
            ),
            Self::ProjectionOccupied => row(
                StatusCode::CONFLICT,
                "projection-occupied",
                "The projection of this name has entries that were saved",
                "A projector feeds the projection of its own name, and this one has entries of clients. Drop it first, or \
                 choose another name.",
            ),
            Self::NothingWaits => row(
                StatusCode::CONFLICT,
                "nothing-waits",
                "There is nothing to retry or to skip",
                "A projector waits if it is faulted, and a parked entry does; this one is neither. Its status tells what \
                 waits.",
            ),
            Self::ProjectorFaulted => row(
                StatusCode::CONFLICT,
                "projector-faulted",
                "An event could not be applied",
                "`errors` names it, with the line of the definition. Mend the definition, or ask for the state before \
                 that event.",
            ),
            Self::HistoryDiverged => row(
                StatusCode::GONE,
                "history-diverged",
                "The event that the cursor points at is gone",
                "The database lost its last events (a fail-over to a replica that had not received \
                 them) after you read them. `high_water` is the present end. Reconcile what you \
                 derived from the lost events, then go on from a place before them.",
            ),
            Self::ConditionFailed => row(
                StatusCode::PRECONDITION_FAILED,
                "write-condition-failed",
                CONDITION_TITLE,
                CONDITION,
            ),
            Self::EntryConditionFailed => row(
                StatusCode::PRECONDITION_FAILED,
                "entry-condition-failed",
                "A condition on the entry's version does not hold",
                "Somebody else saved or deleted it, and nothing was written. `actual_version` is its \
                 version now, null if it is gone. Read it, decide again, save again.",
            ),
            Self::TooLarge => row(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The request is over a limit",
                "`limit` names the limit and `maximum` its value. Send less at once.",
            ),
            Self::UnsupportedMediaType => row(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is of a type that is not read here",
                "Send JSON with `Content-Type: application/json`; `curl --json` does.",
            ),
            Self::InvalidRequest => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid-request",
                "The request was read and is refused",
                "`errors` points at each value that is refused and says what was expected. Mend the \
                 request; sending it again will not help.",
            ),
            Self::CursorRequired => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "cursor-required",
                "A number is no place in a source of many lanes",
                "There is no order across the lanes of this log, so no single number says what was \
                 read. Use the cursors that pages give: `page.after`, or the `next` link.",
            ),
            Self::ConditionTooBroad => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "condition-too-broad",
                "A condition would have to examine too many events",
                "`no_event_matching` examines at most 10,000 events. Name the sequence number up to \
                 which you have read in `after`, or a smaller `source`.",
            ),
            Self::QueryTooBroad => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "query-too-broad",
                "A query would cost more than it may",
                "`limit` and `maximum` say of what: entries that one query examines, the bytes of a numbered page \
                 with all before it, seconds, or entries that a tail follows. Ask one projection instead of all, \
                 declare an index, page by cursor; without a sort and a count a query stops as soon as its page \
                 is full.",
            ),
            Self::IdempotencyKeyReused => row(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key was used for another request",
                "Events are stored under this `Idempotency-Key` that differ from these in number, \
                 content or stream. Nothing was written. Use a new key for a new request.",
            ),
            Self::ConditionRequired => row(
                StatusCode::PRECONDITION_REQUIRED,
                "condition-required",
                "The log takes conditional publishes only",
                "Say what you know of the stream: `If-Match: \"<position>\"`, `If-None-Match: *` for a \
                 new stream, or a `condition` in the body.",
            ),
            Self::QuotaExceeded => row(
                StatusCode::TOO_MANY_REQUESTS,
                "quota-exceeded",
                "The key has asked for too much",
                "`limit` says of what, `maximum` how much it may have. Nothing was written. Come back after `retry_after` \
                 seconds; the `RateLimit` fields of other answers tell before it is too late.",
            ),
            Self::Internal => row(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something is wrong with the server",
                "The server's log has the cause under the id in `instance`. Whether a publish was \
                 stored is not known: send it again with the same event ids.",
            ),
            Self::Unavailable => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The store cannot be reached or is overloaded",
                "Nothing was written. Send the request again after `retry_after` seconds.",
            ),
            Self::OutcomeUnknown => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome-unknown",
                "Whether the events were stored is not known",
                "The connection to the database broke while it committed. Send the same request with \
                 the same event ids (or the same `Idempotency-Key`): it stores nothing twice and \
                 tells what happened. Entries of projections have no such ids: read them to see.",
            ),
            Self::ProjectionBehind => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "projection-behind",
                "The projection does not hold that event yet",
                "`sequence_number` is the last event that it holds. Ask again after `retry_after` \
                 seconds, with a longer `wait`, or without `min_sequence_number`.",
            ),
            Self::StorageFull => row(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage-full",
                "The store is full",
                "Nothing was written; reads go on. Publishing works again once there is space.",
            ),
        }
    }
}

const CONDITION_TITLE: &str = "A condition of the publish does not hold";
