//! Problems as they are written.

use std::num::NonZeroU32;

use axum::http::HeaderName;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One fault in a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// What is wrong and what was expected.
    pub detail: String,
    /// Where in the body: a JSON Pointer as a URI fragment (RFC 6901 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pointer: Option<String>,
    /// Which parameter of the path or the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parameter: Option<String>,
    /// Which header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub header: Option<String>,
    /// Of code: the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = u32, minimum = 1, maximum = 4_294_967_295_i64)]
    pub line: Option<NonZeroU32>,
    /// Of code: the column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = u32, minimum = 1, maximum = 4_294_967_295_i64)]
    pub column: Option<NonZeroU32>,
    /// Of code: the line's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String)]
    pub excerpt: Option<Box<str>>,
}

impl Fault {
    /// A fault in the body, at a JSON Pointer.
    pub fn at(pointer: &str, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), pointer: Some(fragment(pointer)), ..Self::default() }
    }

    /// A fault of a parameter.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), parameter: Some(name.to_owned()), ..Self::default() }
    }

    /// A fault of a header.
    pub fn header(name: &HeaderName, detail: impl Into<String>) -> Self {
        let header = Some(crate::http::links::header_case(name.as_str()));
        Self { detail: detail.into(), header, ..Self::default() }
    }
}

/// A JSON Pointer as a URI fragment.
#[must_use]
pub fn fragment(pointer: &str) -> String {
    format!("#{}", crate::http::links::encode_fragment(pointer))
}

/// One condition that did not hold.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Failed {
    /// The operator: `position_is`, `if_match`, …
    pub condition: String,
    /// The header that stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub header: Option<String>,
    /// Where in the body it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pointer: Option<String>,
    /// The category it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub category: Option<String>,
    /// The stream it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stream: Option<String>,
    /// What the condition states.
    #[schema(value_type = Value)]
    pub expected: Value,
    /// The last position of the stream, or the last sequence number of the log or category; null if
    /// it is empty. Of `no_event_matching`: the sequence number of the first event that matches.
    #[schema(required, maximum = 9_007_199_254_740_991_i64)]
    pub actual: Option<i64>,
    /// Where the events stand that were not expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events_since: Option<String>,
}

/// A problem as it is written (RFC 9457). Members that do not apply are absent.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Report {
    /// Identifies the kind of problem; the server explains it under this path.
    #[schema(example = "/problems/stream-not-found")]
    pub r#type: String,
    /// The last part of `type`.
    #[schema(example = "stream-not-found")]
    pub code: String,
    /// The kind of problem in a few words, always the same for one `code`.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// The id of the request, under which the server's log has more.
    pub instance: String,
    /// Each value that is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<Fault>,
    /// `too-large`, `query-too-broad`: the name of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<String>,
    /// `too-large`, `query-too-broad`: the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 9_007_199_254_740_991_i64)]
    pub maximum: Option<i64>,
    /// `write-condition-failed`: each condition that did not hold, in written order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub failed: Vec<Failed>,
    /// `write-condition-failed` of a publish to one stream: its last position, null if it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, maximum = 9_007_199_254_740_991_i64)]
    pub actual_position: Option<Option<i64>>,
    /// `write-condition-failed` of a publish to one stream: what was written meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events_since: Option<String>,
    /// `entry-condition-failed`: the entry's version, null if there is no such entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, maximum = 9_007_199_254_740_991_i64)]
    pub actual_version: Option<Option<i64>>,
    /// `event-id-conflict`: the id that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<String>,
    /// `history-diverged`: the cursor of the last event of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub high_water: Option<String>,
    /// `projection-behind`: the last event that it holds; 0 if it says none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 9_007_199_254_740_991_i64)]
    pub sequence_number: Option<i64>,
    /// After how many seconds to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, maximum = 9_007_199_254_740_991_i64)]
    pub retry_after: Option<i64>,
}
