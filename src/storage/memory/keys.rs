//! Keys in memory.

use std::ops::Bound;

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::{
    auth::{ApiKey, Ticket},
    model::Timestamp,
    storage::{StorageError, keys::Keys},
};

#[async_trait]
impl Keys for MemoryStore {
    async fn add_key(&self, key: &ApiKey) -> Result<(), StorageError> {
        let mut keys = lock(&self.keys);
        if keys.contains_key(&key.id) {
            return Err(StorageError::Refused("a key has this id".into()));
        }
        keys.insert(key.id.clone(), key.clone());
        Ok(())
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        Ok(lock(&self.keys).get(id).cloned())
    }

    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError> {
        let keys = lock(&self.keys);
        let later = keys.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        Ok(later.take(limit).map(|(_, key)| key.clone()).collect())
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        if let Some(key) = lock(&self.keys).get_mut(id) {
            key.revoked_at.get_or_insert(at);
        }
        Ok(())
    }

    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError> {
        let mut tickets = lock(&self.tickets);
        tickets.retain(|_, ticket| ticket.created_at >= before);
        tickets.insert(ticket.id.clone(), ticket.clone());
        Ok(())
    }

    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError> {
        Ok(lock(&self.tickets).get(id).cloned())
    }

    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        if let Some(ticket) = lock(&self.tickets).get_mut(id) {
            ticket.first_used_at.get_or_insert(at);
        }
        Ok(())
    }
}
