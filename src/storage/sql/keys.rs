//! Keys as both databases keep them.

use crate::{
    auth::{ApiKey, Digest, Scope, Ticket},
    model::Timestamp,
    storage::StorageError,
};

/// id, digest, description, scopes, created, expires, revoked
pub(in crate::storage) type KeyRow =
    (String, String, String, String, i64, Option<i64>, Option<i64>);

pub(in crate::storage) fn key(row: KeyRow) -> Result<ApiKey, StorageError> {
    let (id, digest, description, scopes, created_at, expires_at, revoked_at) = row;
    let scopes: Vec<Scope> = serde_json::from_str(&scopes)
        .map_err(|error| StorageError::broken(format!("the scopes of key {id}: {error}")))?;
    Ok(ApiKey {
        id,
        digest: Digest::of_kept(&digest),
        description,
        scopes,
        created_at: Timestamp::of_stored(created_at),
        expires_at: expires_at.map(Timestamp::of_stored),
        revoked_at: revoked_at.map(Timestamp::of_stored),
    })
}

pub(in crate::storage) fn row(key: &ApiKey) -> Result<KeyRow, StorageError> {
    let scopes = serde_json::to_string(&key.scopes)
        .map_err(|error| StorageError::broken(error.to_string()))?;
    let (created_at, expires_at) = (key.created_at.micros(), key.expires_at.map(Timestamp::micros));
    let (digest, revoked_at) = (key.digest.kept(), key.revoked_at.map(Timestamp::micros));
    let (id, description) = (key.id.clone(), key.description.clone());
    Ok((id, digest, description, scopes, created_at, expires_at, revoked_at))
}

/// id, digest, key, good until, target, created, first used
pub(in crate::storage) type TicketRow =
    (String, String, String, Option<i64>, String, i64, Option<i64>);

pub(in crate::storage) fn ticket(row: TicketRow) -> Ticket {
    let (id, digest, key, good_until, target, created_at, first_used_at) = row;
    Ticket {
        id,
        digest: Digest::of_kept(&digest),
        key,
        good_until: good_until.map(Timestamp::of_stored),
        target,
        created_at: Timestamp::of_stored(created_at),
        first_used_at: first_used_at.map(Timestamp::of_stored),
    }
}
