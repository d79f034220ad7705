//! Keys in Postgres.

use async_trait::async_trait;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::{PostgresStore, commit, error::of_query, in_time, view::WRITE};
use crate::{
    auth::{ApiKey, Ticket},
    model::Timestamp,
    storage::{
        StorageError,
        keys::Keys,
        sql::keys::{self, KeyRow, TicketRow},
    },
};

impl PostgresStore {
    /// Changes a key or tickets by one statement.
    async fn change_key(
        &self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<(), StorageError> {
        in_time(async {
            let mut turn = self.writers.begin(WRITE).await.map_err(of_query)?;
            query.execute(&mut turn.connection).await.map_err(of_query)?;
            commit(turn).await
        })
        .await
    }
}

#[async_trait]
impl Keys for PostgresStore {
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
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let query = sqlx::query_as(include_str!("sql/find_api_key.sql")).bind(id);
        let row: Option<KeyRow> =
            query.fetch_optional(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        row.map(keys::key).transpose()
    }

    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError> {
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query_as(include_str!("sql/list_api_keys.sql")).bind(after).bind(limit);
        let rows: Vec<KeyRow> = query.fetch_all(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        rows.into_iter().map(keys::key).collect()
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/revoke_api_key.sql"));
        self.change_key(query.bind(id).bind(at.micros())).await
    }

    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError> {
        let sweep = sqlx::query(include_str!("sql/sweep_tickets.sql")).bind(before.micros());
        self.change_key(sweep).await?;
        let insert = sqlx::query(include_str!("sql/insert_ticket.sql"))
            .bind(&ticket.id)
            .bind(ticket.digest.kept())
            .bind(&ticket.key)
            .bind(ticket.good_until.map(Timestamp::micros))
            .bind(&ticket.target)
            .bind(ticket.created_at.micros());
        self.change_key(insert).await
    }

    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError> {
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let query = sqlx::query_as(include_str!("sql/find_ticket.sql")).bind(id);
        let row: Option<TicketRow> =
            query.fetch_optional(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        Ok(row.map(keys::ticket))
    }

    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/use_ticket.sql"));
        self.change_key(query.bind(id).bind(at.micros())).await
    }
}
