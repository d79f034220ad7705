//! What Postgres' errors mean to a caller (SQLSTATE classes: Postgres manual, appendix A).

use crate::storage::StorageError;

/// What an error says about the transaction it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Rolled back for a reason that passes: try again.
    Transient,
    /// The server or the way to it is gone.
    Lost,
    /// Rolled back: no space left.
    Full,
    /// Rolled back: it will fail again.
    Refused,
}

impl Verdict {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let database = match error {
            sqlx::Error::Database(database) => database,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => return Self::Lost,
            _ => return Self::Refused,
        };
        match database.code().as_deref().unwrap_or_default() {
            // Serialization failure, deadlock, lock or statement timeout; and a unique index that
            // fired, which under the lane lock means that somebody went around it.
            "40001" | "40P01" | "55P03" | "57014" | "23505" => Self::Transient,
            "53100" => Self::Full,
            // Completion unknown, connection exceptions, no resources, shutdown, read-only standby.
            "40003" | "25006" | "25P03" => Self::Lost,
            code if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => Self::Lost,
            _ => Self::Refused,
        }
    }
}

/// An error before a commit was sent: nothing was written.
pub(super) fn of_query(error: sqlx::Error) -> StorageError {
    match Verdict::of(&error) {
        Verdict::Transient | Verdict::Lost => StorageError::Unavailable(error.into()),
        Verdict::Full => StorageError::Full(error.into()),
        Verdict::Refused => StorageError::Refused(error.into()),
    }
}

/// Whether a unique index fired.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// An error of a commit.
pub(super) fn of_commit(error: sqlx::Error) -> StorageError {
    match Verdict::of(&error) {
        Verdict::Transient => StorageError::Unavailable(error.into()),
        Verdict::Full => StorageError::Full(error.into()),
        Verdict::Refused => StorageError::Refused(error.into()),
        Verdict::Lost => StorageError::OutcomeUnknown(error.into()),
    }
}
