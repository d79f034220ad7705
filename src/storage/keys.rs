//! The part of the port that keeps API keys, and tickets.

use async_trait::async_trait;

use super::StorageError;
use crate::{
    auth::{ApiKey, Ticket},
    model::Timestamp,
};

/// The API keys and the tickets of a store.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a key, whose id is new.
    async fn add_key(&self, key: &ApiKey) -> Result<(), StorageError>;
    /// The key that has this id.
    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError>;
    /// Keys after this id, in byte order of ids.
    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError>;
    /// Revokes a key, unless it was before. A key that is not there is none to revoke.
    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError>;
    /// Keeps a ticket, whose id is new, and forgets those that were made before a time.
    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError>;
    /// The ticket that has this id.
    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError>;
    /// Notes that a ticket was used, unless it was before.
    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError>;
}
