//! One transaction on the database, as a view and as a section.

use async_trait::async_trait;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    error::{of_commit, of_query},
    insert,
};
use crate::{
    model::{CategoryName, Direction, Event, Lane, Log, Source, StreamKey, StreamName, Timestamp},
    storage::{
        Listing, Section, Span, StorageError, Tip, View,
        sql::rows::{self, Columns, StoredTime, TipRow},
    },
};

/// A transaction. Dropped without [`SqliteView::commit`], it is rolled back.
pub(super) struct SqliteView {
    log: Log,
    transaction: Transaction<'static, Sqlite>,
}

impl SqliteView {
    pub(super) fn new(log: &Log, transaction: Transaction<'static, Sqlite>) -> Self {
        Self { log: log.clone(), transaction }
    }

    /// Inserts events; the error tells whether a unique index fired.
    pub(super) async fn add(&mut self, events: &[Event]) -> Result<(), sqlx::Error> {
        let Log { id, lanes, .. } = self.log;
        insert::insert(&mut self.transaction, id, lanes, events).await
    }

    pub(super) async fn commit(self) -> Result<(), StorageError> {
        self.transaction.commit().await.map_err(of_commit)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Columns for SqliteRow {
    fn text(&self, column: usize) -> Result<&str, sqlx::Error> {
        self.try_get_unchecked(column)
    }

    fn number(&self, column: usize) -> Result<i64, sqlx::Error> {
        self.try_get_unchecked(column)
    }

    fn id(&self, column: usize) -> Result<Uuid, sqlx::Error> {
        self.try_get_unchecked(column)
    }

    fn time(&self, column: usize) -> Result<Timestamp, sqlx::Error> {
        self.try_get_unchecked::<i64, _>(column).map(StoredTime::time)
    }
}

#[async_trait]
impl View for SqliteView {
    async fn rows(&mut self, span: &Span) -> Result<Vec<Event>, StorageError> {
        let (id, limit) = (self.log.id, limit(span.limit));
        let forwards = span.direction == Direction::Forwards;
        let query = match &span.source {
            Source::Log => {
                let sql = if forwards {
                    include_str!("sql/log_forwards.sql")
                } else {
                    include_str!("sql/log_backwards.sql")
                };
                let query = sqlx::query(sql).bind(id).bind(span.lane);
                query.bind(span.after).bind(span.before).bind(limit)
            }
            Source::Category(category) => {
                let sql = if forwards {
                    include_str!("sql/category_forwards.sql")
                } else {
                    include_str!("sql/category_backwards.sql")
                };
                let query = sqlx::query(sql).bind(id).bind(span.lane);
                query.bind(span.after).bind(span.before).bind(limit).bind(category.as_str())
            }
            Source::Stream(key) => {
                let sql = if forwards {
                    include_str!("sql/stream_forwards.sql")
                } else {
                    include_str!("sql/stream_backwards.sql")
                };
                let query = sqlx::query(sql).bind(id).bind(span.after).bind(span.before);
                query.bind(limit).bind(key.category.as_str()).bind(key.stream.as_str())
            }
        };
        let rows = query.fetch(&mut *self.transaction);
        rows::collect(rows, self.log.lanes, span.bytes).await.map_err(of_query)
    }

    async fn tip(&mut self, source: &Source, lane: Lane) -> Result<Option<Tip>, StorageError> {
        let id = self.log.id;
        let query = match source {
            Source::Log => sqlx::query_as(include_str!("sql/log_tip.sql")).bind(id).bind(lane),
            Source::Category(category) => sqlx::query_as(include_str!("sql/category_tip.sql"))
                .bind(id)
                .bind(lane)
                .bind(category.as_str()),
            Source::Stream(key) => sqlx::query_as(include_str!("sql/stream_tip.sql"))
                .bind(id)
                .bind(key.category.as_str())
                .bind(key.stream.as_str()),
        };
        let row: Option<TipRow<i64>> =
            query.fetch_optional(&mut *self.transaction).await.map_err(of_query)?;
        Ok(row.map(rows::tip))
    }

    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError> {
        let mut positions = Vec::with_capacity(streams.len());
        for key in streams {
            let position: Option<i64> = sqlx::query_scalar(include_str!("sql/position.sql"))
                .bind(self.log.id)
                .bind(key.category.as_str())
                .bind(key.stream.as_str())
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(of_query)?;
            positions.extend(position.map(|position| (key.clone(), position)));
        }
        Ok(positions)
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        let mut events = Vec::new();
        for id in ids {
            let row = sqlx::query(include_str!("sql/with_id.sql"))
                .bind(self.log.id)
                .bind(id)
                .fetch_optional(&mut *self.transaction)
                .await
                .map_err(of_query)?;
            let event = row.map(|row| rows::event(&row, self.log.lanes, events.last()));
            events.extend(event.transpose().map_err(of_query)?);
        }
        Ok(events)
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        let names: Vec<String> = sqlx::query_scalar(include_str!("sql/categories.sql"))
            .bind(self.log.id)
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(limit(listing.limit))
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        let names = names.into_iter().filter(|name| listing.holds(name));
        Ok(names.map(CategoryName::stored).collect())
    }

    async fn streams(
        &mut self,
        category: &CategoryName,
        listing: &Listing,
    ) -> Result<Vec<StreamName>, StorageError> {
        let names: Vec<String> = sqlx::query_scalar(include_str!("sql/streams.sql"))
            .bind(self.log.id)
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(limit(listing.limit))
            .bind(category.as_str())
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        let names = names.into_iter().filter(|name| listing.holds(name));
        Ok(names.map(StreamName::stored).collect())
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        sqlx::query_scalar(include_str!("sql/category_count.sql"))
            .bind(self.log.id)
            .bind(category.as_str())
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(of_query)
    }

    async fn close(self: Box<Self>) {
        // Nothing was written; a failed rollback shows at the next use of the connection.
        let _ = self.transaction.rollback().await;
    }
}

#[async_trait]
impl Section for SqliteView {
    async fn insert(&mut self, events: &[Event]) -> Result<(), StorageError> {
        self.add(events).await.map_err(of_query)
    }
}
