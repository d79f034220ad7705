//! One transaction on the database, as a view and as a section.

use async_trait::async_trait;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::error::{Verdict, of_query};
use crate::{
    model::{CategoryName, Direction, Event, Lane, Log, Source, StreamKey, StreamName, Timestamp},
    storage::{
        Listing, Section, Span, StorageError, Tip, View,
        sql::rows::{self, EventRow, TipRow},
    },
};

type Time = chrono::DateTime<chrono::Utc>;

/// A transaction. Dropped without [`PostgresView::commit`], it is rolled back.
pub(super) struct PostgresView {
    log: Log,
    transaction: Transaction<'static, Postgres>,
    verdict: Option<Verdict>,
}

impl PostgresView {
    pub(super) fn new(log: &Log, transaction: Transaction<'static, Postgres>) -> Self {
        Self { log: log.clone(), transaction, verdict: None }
    }

    /// Takes the lock of a lane, until the transaction ends.
    pub(super) async fn lock(&mut self, lane: Lane) -> Result<(), sqlx::Error> {
        let row = sqlx::query(include_str!("sql/lock_lane.sql"))
            .bind(self.log.id)
            .bind(lane)
            .fetch_one(&mut *self.transaction);
        row.await.map(|_| ())
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }

    /// What the last error says about the transaction.
    pub(super) fn last_verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    fn failed(&mut self, error: sqlx::Error) -> StorageError {
        self.verdict = Some(Verdict::of(&error));
        of_query(error)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[async_trait]
impl View for PostgresView {
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
                let query = sqlx::query_as(sql).bind(id).bind(span.lane);
                query.bind(span.after).bind(span.before).bind(limit)
            }
            Source::Category(category) => {
                let sql = if forwards {
                    include_str!("sql/category_forwards.sql")
                } else {
                    include_str!("sql/category_backwards.sql")
                };
                let query = sqlx::query_as(sql).bind(id).bind(span.lane);
                query.bind(span.after).bind(span.before).bind(limit).bind(category.as_str())
            }
            Source::Stream(key) => {
                let sql = if forwards {
                    include_str!("sql/stream_forwards.sql")
                } else {
                    include_str!("sql/stream_backwards.sql")
                };
                let query = sqlx::query_as(sql).bind(id).bind(span.after).bind(span.before);
                query.bind(limit).bind(key.category.as_str()).bind(key.stream.as_str())
            }
        };
        let rows = query.fetch(&mut *self.transaction);
        rows::collect::<Time>(rows, self.log.lanes, span.bytes)
            .await
            .map_err(|error| self.failed(error))
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
        let row: Option<TipRow<Time>> = query
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(row.map(rows::tip))
    }

    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError> {
        let categories: Vec<&str> = streams.iter().map(|key| key.category.as_str()).collect();
        let names: Vec<&str> = streams.iter().map(|key| key.stream.as_str()).collect();
        let rows: Vec<(String, String, Option<i64>)> =
            sqlx::query_as(include_str!("sql/positions.sql"))
                .bind(self.log.id)
                .bind(categories)
                .bind(names)
                .fetch_all(&mut *self.transaction)
                .await
                .map_err(|error| self.failed(error))?;
        let key = |category: String, stream: String| StreamKey {
            category: CategoryName::stored(category),
            stream: StreamName::stored(stream),
        };
        let last = rows.into_iter().filter_map(|(c, s, position)| Some((key(c, s), position?)));
        Ok(last.collect())
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        let rows: Vec<EventRow<Time>> = sqlx::query_as(include_str!("sql/with_ids.sql"))
            .bind(self.log.id)
            .bind(ids)
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(rows.into_iter().map(|row| rows::event(self.log.lanes, row)).collect())
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        let names: Vec<String> = sqlx::query_scalar(include_str!("sql/categories.sql"))
            .bind(self.log.id)
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(limit(listing.limit))
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(|error| self.failed(error))?;
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
            .map_err(|error| self.failed(error))?;
        let names = names.into_iter().filter(|name| listing.holds(name));
        Ok(names.map(StreamName::stored).collect())
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        sqlx::query_scalar(include_str!("sql/category_count.sql"))
            .bind(self.log.id)
            .bind(category.as_str())
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(|error| self.failed(error))
    }

    async fn close(self: Box<Self>) {
        // Nothing was written; a failed rollback shows at the next use of the connection.
        let _ = self.transaction.rollback().await;
    }
}

#[async_trait]
impl Section for PostgresView {
    async fn insert(&mut self, events: &[Event]) -> Result<(), StorageError> {
        let of = |part: fn(&Event) -> &str| events.iter().map(part).collect::<Vec<&str>>();
        let times = |part: fn(&Event) -> Timestamp| {
            events.iter().map(|event| Time::from(part(event))).collect::<Vec<Time>>()
        };
        let places = events.iter().map(|event| self.log.lanes.split(event.sequence_number));
        let (lanes, sequences): (Vec<i64>, Vec<i64>) = places.unzip();
        sqlx::query(include_str!("sql/insert_events.sql"))
            .bind(self.log.id)
            .bind(lanes)
            .bind(sequences)
            .bind(of(|event| event.stream.category.as_str()))
            .bind(of(|event| event.stream.stream.as_str()))
            .bind(events.iter().map(|event| event.position).collect::<Vec<i64>>())
            .bind(events.iter().map(|event| event.id).collect::<Vec<Uuid>>())
            .bind(of(|event| event.name.as_str()))
            .bind(of(|event| event.payload.as_str()))
            .bind(of(|event| event.metadata.as_str()))
            .bind(times(|event| event.observed_at))
            .bind(times(|event| event.occurred_at))
            .bind(times(|event| event.recorded_at))
            .execute(&mut *self.transaction)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(())
    }
}
