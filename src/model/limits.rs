//! Every bound on what clients send and on what they are sent, in one table.

/// The limits that an operator may set. [`Default`] is the documented table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Payload and metadata of one event, in bytes.
    pub event_bytes: usize,
    /// The body of one request, in bytes.
    pub request_bytes: usize,
    /// Events in one publish.
    pub publish_events: usize,
    /// Events in one page.
    pub page_events: usize,
    /// Bytes of events, or of documents' JSON, in one page (at least one is given).
    pub page_bytes: usize,
    /// Events that one filtered page may examine.
    pub page_examined: usize,
    /// Documents that one query may examine.
    pub query_examined: usize,
    /// Connections that are open at once; one more waits until one ends.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 1 << 20,
            request_bytes: 16 << 20,
            publish_events: 10_000,
            page_events: 1_000,
            page_bytes: 8 << 20,
            page_examined: 100_000,
            query_examined: 1_000_000,
            connections: 20_000,
        }
    }
}

/// Streams in one publish.
pub const PUBLISH_STREAMS_MAX: usize = 1_000;
/// Conditions in one publish, trees counted with all their nodes.
pub const CONDITIONS_MAX: usize = 64;
/// Events that one `no_event_matching` may examine.
pub const CONDITION_EXAMINED_MAX: usize = 10_000;
/// Levels of nesting in a payload or in metadata.
pub const JSON_DEPTH_MAX: usize = 64;
/// Lanes of a log.
pub const LANES_MAX: i64 = 64;
/// Lanes of a category- or stream-ordered log that does not say.
pub const LANES_DEFAULT: i64 = 8;
/// Events in a page that does not say.
pub const PAGE_EVENTS_DEFAULT: usize = 100;
/// Entries in one page of a listing.
pub const LISTING_MAX: usize = 1_000;
/// Entries in a page of a listing that does not say.
pub const LISTING_DEFAULT: usize = 100;
/// The longest `wait`, in seconds.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Event names, and values of one metadata key, in one filter.
pub const FILTER_VALUES_MAX: usize = 100;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// The definition of a projector, in bytes.
pub const DEFINITION_BYTES_MAX: usize = 64 << 10;
/// The description of a key, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_000;
/// Entries in one bulk save.
pub const SAVE_ENTRIES_MAX: usize = 10_000;
/// The JSON of one query, in bytes.
pub const QUERY_BYTES_MAX: usize = 64 << 10;
/// Filters in one query, nested ones counted, and levels of nesting.
pub const QUERY_CLAUSES_MAX: usize = 64;
pub const QUERY_DEPTH_MAX: usize = 8;
/// Values of one `in`.
pub const QUERY_VALUES_MAX: usize = 1_000;
/// Fields of a sort, and paths of a `select`.
pub const QUERY_SORT_MAX: usize = 8;
pub const QUERY_SELECT_MAX: usize = 64;
/// The longest path, pattern, and text of a similarity, in bytes.
pub const QUERY_TEXT_BYTES_MAX: usize = 1_024;
/// Patterns of one query, and the memory of one that is compiled, in bytes.
pub const QUERY_PATTERNS_MAX: usize = 4;
pub const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Bytes of a string that a pattern looks at: the work is their product.
pub const MATCHED_TEXT_BYTES: usize = 16 << 10;
/// Values in all that `json_contains` looks for in one query, nested ones counted.
pub const QUERY_PARTS_MAX: usize = 1_000;
/// How long a query may take, in seconds.
pub const QUERY_SECONDS_MAX: u64 = 10;
/// Indexes of a projection, and fields of one.
pub const INDEXES_MAX: usize = 16;
pub const INDEX_FIELDS_MAX: usize = 4;
/// Ranges of an index that one query reads.
pub const INDEX_RANGES_MAX: usize = 64;
/// Projections in one page, and in a page that does not say.
pub const PAGE_PROJECTIONS_MAX: usize = 1_000;
pub const PAGE_PROJECTIONS_DEFAULT: usize = 20;
/// A numbered page of projections, with all before it, holds at most so many times the bytes of another.
pub const NUMBERED_PAGES: usize = 8;
/// Projections before a numbered page and in it; beyond, a cursor is the way.
pub const PAGE_OFFSET_MAX: usize = 100_000;
/// Entries that a tail with a query keeps in mind.
pub const TAIL_ENTRIES_MAX: usize = 100_000;
/// Bytes of a string that a sort, or a similarity, looks at.
pub const SORT_TEXT_BYTES: usize = 255;
