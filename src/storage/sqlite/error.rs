//! What SQLite's errors mean to a caller.

use crate::storage::StorageError;

const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const FULL: i64 = 13;
const READ_ONLY: i64 = 8;
const CANNOT_OPEN: i64 = 14;
const ERROR: i64 = 1;
const TOO_BIG: i64 = 18;
const CONSTRAINT: i64 = 19;
const MISMATCH: i64 = 20;

/// An error before anything was committed: the transaction is rolled back.
pub(super) fn of_query(error: sqlx::Error) -> StorageError {
    match (primary_code(&error), &error) {
        (Some(FULL), _) => StorageError::Full(error.into()),
        (Some(BUSY | LOCKED | READ_ONLY | CANNOT_OPEN), _)
        | (_, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_)) => {
            StorageError::Unavailable(error.into())
        }
        (Some(ERROR | TOO_BIG | CONSTRAINT | MISMATCH), _) => StorageError::Refused(error.into()),
        _ => StorageError::Broken(error.into()),
    }
}

/// Whether a unique index fired.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// An error of a commit. A full disk is rolled back by SQLite itself; after any other error the
/// state of what was written is not known.
pub(super) fn of_commit(error: sqlx::Error) -> StorageError {
    match primary_code(&error) {
        Some(FULL) => StorageError::Full(error.into()),
        Some(BUSY | LOCKED) => StorageError::Unavailable(error.into()),
        _ => StorageError::OutcomeUnknown(error.into()),
    }
}

/// The lowest byte of an extended result code.
fn primary_code(error: &sqlx::Error) -> Option<i64> {
    let code: i64 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
