//! Keys in SQLite.

use async_trait::async_trait;
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments};

use super::{
    SqliteStore,
    error::{of_commit, of_query},
};
use crate::{
    auth::{ApiKey, Ticket},
    model::Timestamp,
    storage::{
        StorageError,
        keys::Keys,
        sql::keys::{self, KeyRow, TicketRow},
    },
};

impl SqliteStore {
    /// Changes a key or a ticket by one statement.
    async fn change_key(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(), StorageError> {
        let mut turn = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        query.execute(&mut *turn).await.map_err(of_query)?;
        turn.commit().await.map_err(of_commit)
    }
}

#[async_trait]
impl Keys for SqliteStore {
    async fn add_key(&self, key: &ApiKey) -> Result<(), StorageError> {
        let (id, digest, description, scopes, created, expires, revoked) = keys::row(key)?;
        let query = sqlx::query(include_str!("sql/insert_api_key.sql"))
            .bind(id)
            .bind(digest)
            .bind(description)
            .bind(scopes)
            .bind(created)
            .bind(expires)
            .bind(revoked);
        self.change_key(query).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/find_api_key.sql")).bind(id);
        let row: Option<KeyRow> = query.fetch_optional(&self.readers).await.map_err(of_query)?;
        row.map(keys::key).transpose()
    }

    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query_as(include_str!("sql/list_api_keys.sql")).bind(after).bind(limit);
        let rows: Vec<KeyRow> = query.fetch_all(&self.readers).await.map_err(of_query)?;
        rows.into_iter().map(keys::key).collect()
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/revoke_api_key.sql")).bind(id).bind(at.micros());
        self.change_key(query).await
    }

    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError> {
        let mut turn = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let sweep = sqlx::query(include_str!("sql/sweep_tickets.sql")).bind(before.micros());
        sweep.execute(&mut *turn).await.map_err(of_query)?;
        let insert = sqlx::query(include_str!("sql/insert_ticket.sql"))
            .bind(&ticket.id)
            .bind(ticket.digest.kept())
            .bind(&ticket.key)
            .bind(ticket.good_until.map(Timestamp::micros))
            .bind(&ticket.target)
            .bind(ticket.created_at.micros());
        insert.execute(&mut *turn).await.map_err(of_query)?;
        turn.commit().await.map_err(of_commit)
    }

    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/find_ticket.sql")).bind(id);
        let row: Option<TicketRow> = query.fetch_optional(&self.readers).await.map_err(of_query)?;
        Ok(row.map(keys::ticket))
    }

    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/use_ticket.sql")).bind(id).bind(at.micros());
        self.change_key(query).await
    }
}
