//! A log: an isolated, ordered, append-only set of events.

use uuid::Uuid;

use super::{Lanes, LogName, Timestamp};

/// A log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The store's own number of the log.
    pub id: i64,
    pub name: LogName,
    pub lanes: Lanes,
    /// Whether each publish to it must state a condition.
    pub require_condition: bool,
    /// Tells this log from an earlier one of the same name.
    pub incarnation: Uuid,
    pub created_at: Timestamp,
}

/// What a client asks of a log. What is left out stays as it is, or is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub name: LogName,
    /// `None` and the log exists: whatever it has. `None` and it does not: one lane, log ordering.
    pub lanes: Option<Lanes>,
    pub require_condition: Option<bool>,
}
