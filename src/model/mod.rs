//! The words of Everlog as values: what they are, what they may hold, how they are read and written.
//!
//! Everything here is parsed once and then trusted. It leaves I/O, clocks and transports to others.

pub mod condition;
pub mod cursor;
pub mod document;
pub mod event;
pub mod event_text;
pub mod filter;
pub mod json;
pub mod json_scan;
pub mod lane;
pub mod limits;
pub mod log;
pub mod name;
pub mod projection;
pub mod projector;
pub mod publish;
pub mod range;
pub mod source;
pub mod time;

pub use condition::{At, Condition, FailedCondition, Matching, Tags, Test};
pub use cursor::{Cursor, CursorFault, Place};
pub use document::Json;
pub use event::{Event, IdOrigin, NewEvent};
pub use filter::{Filter, MetadataMatch, Scalar, TimeRange};
pub use json::RawJson;
pub use lane::{Lane, Lanes, Ordering};
pub use limits::Limits;
pub use log::{Log, LogSettings};
pub use name::{
    CategoryName, EntryId, EventName, IndexName, LogName, NameFault, ProjectionName, ProjectorName,
    StreamName,
};
pub use projection::{Change, Edit, Guard, Projection, Save};
pub use projector::{Definition, Form, Parked, Progress, Revision, Skipped, Standing};
pub use publish::{Ack, Publish, Write, WriteAck};
pub use range::{Direction, Page, Scan};
pub use source::{Source, StreamKey};
pub use time::{Clock, Timestamp};

/// The largest integer that every JSON client holds exactly: 2^53 − 1 (RFC 8259 §6).
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;
