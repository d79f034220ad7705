//! One transaction on the database, as a view and as a section.

use async_trait::async_trait;
use sqlx::{
    PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use super::{error::of_query, lending::Loan};
use crate::{
    model::{
        CategoryName, Direction, Event, Lane, Lanes, Log, Source, StreamKey, StreamName, Timestamp,
    },
    storage::{
        End, Listing, Section, Span, StorageError, Tip, View,
        sql::rows::{self, Columns, TipRow},
    },
};

type Time = chrono::DateTime<chrono::Utc>;

/// How a view reads: one snapshot for all of its statements.
pub(super) const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// How a section reads: each statement sees what was committed before it.
pub(super) const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A transaction. Dropped without [`PostgresView::commit`] or `close`, its connection is closed, and
/// the server rolls it back.
pub(super) struct PostgresView {
    log: Log,
    loan: Loan,
}

impl PostgresView {
    /// A view on a connection that is in a transaction, or whose statements each stand alone.
    pub(super) fn new(log: &Log, loan: Loan) -> Self {
        Self { log: log.clone(), loan }
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.loan.connection
    }

    /// Takes the lock of a lane, until the transaction ends.
    pub(super) async fn lock(&mut self, lane: Lane) -> Result<(), sqlx::Error> {
        let row = sqlx::query(include_str!("sql/lock_lane.sql"))
            .bind(self.log.id)
            .bind(lane)
            .fetch_one(self.connection());
        row.await.map(|_| ())
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(self.connection()).await?;
        self.give_back();
        Ok(())
    }

    /// Gives the connection back; it is in no transaction any more.
    pub(super) fn give_back(self) {
        self.loan.give_back();
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// 2000-01-01T00:00:00Z
const MICROS_OF_2000: i64 = 946_684_800_000_000;

/// The statements say of which types their columns are: they are not asked again for each row.
impl Columns for PgRow {
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
        // Microseconds since 2000 (PostgreSQL, protocol, binary format).
        let micros: i64 = self.try_get_unchecked(column)?;
        Ok(Timestamp::of_stored(micros.saturating_add(MICROS_OF_2000)))
    }
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
        let lanes = self.log.lanes;
        let rows = query.fetch(self.connection());
        let rows = rows::collect(rows, lanes, span.bytes).await;
        rows.map_err(of_query)
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
        let row: Option<TipRow<Time>> =
            query.fetch_optional(self.connection()).await.map_err(of_query)?;
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
                .fetch_all(self.connection())
                .await
                .map_err(of_query)?;
        let key = |category: String, stream: String| StreamKey {
            category: CategoryName::stored(category),
            stream: StreamName::stored(stream),
        };
        let last = rows.into_iter().filter_map(|(c, s, position)| Some((key(c, s), position?)));
        Ok(last.collect())
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        let lanes = self.log.lanes;
        let query = sqlx::query(include_str!("sql/with_ids.sql")).bind(self.log.id).bind(ids);
        let rows = query.fetch(self.connection());
        rows::collect(rows, lanes, usize::MAX).await.map_err(of_query)
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        let names: Vec<String> = sqlx::query_scalar(include_str!("sql/categories.sql"))
            .bind(self.log.id)
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(limit(listing.limit))
            .fetch_all(self.connection())
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
            .fetch_all(self.connection())
            .await
            .map_err(of_query)?;
        let names = names.into_iter().filter(|name| listing.holds(name));
        Ok(names.map(StreamName::stored).collect())
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        sqlx::query_scalar(include_str!("sql/category_count.sql"))
            .bind(self.log.id)
            .bind(category.as_str())
            .fetch_one(self.connection())
            .await
            .map_err(of_query)
    }

    async fn close(mut self: Box<Self>) {
        if sqlx::raw_sql("COMMIT").execute(self.connection()).await.is_ok() {
            self.give_back();
        }
    }
}

#[async_trait]
impl Section for PostgresView {
    async fn insert(&mut self, events: &[Event]) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/insert_events.sql")).bind(self.log.id);
        let (lanes, sequences) = places(self.log.lanes, events);
        let query = bind_events(query.bind(lanes).bind(sequences), events);
        let inserted = query.execute(self.connection()).await;
        inserted.map(|_| ()).map_err(of_query)
    }
}

type Statement = Query<'static, Postgres, PgArguments>;

fn places(lanes: Lanes, events: &[Event]) -> (Vec<i64>, Vec<i64>) {
    events.iter().map(|event| lanes.split(event.sequence_number)).unzip()
}

/// Binds what both ways of inserting have in common, from the category on.
fn bind_events(query: Statement, events: &[Event]) -> Statement {
    let of = |part: fn(&Event) -> &str| events.iter().map(part).collect::<Vec<&str>>();
    let times = |part: fn(&Event) -> Timestamp| {
        events.iter().map(|event| Time::from(part(event))).collect::<Vec<Time>>()
    };
    query
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
}

/// Writes events at the end of a lane in one statement, if it ends so; says how many were written.
pub(super) async fn extend(
    connection: &mut PgConnection,
    log: &Log,
    lane: Lane,
    end: End,
    events: &[Event],
) -> Result<u64, sqlx::Error> {
    let (_, sequences) = places(log.lanes, events);
    let query = sqlx::query(include_str!("sql/extend_lane.sql"));
    let query = query.bind(log.id).bind(lane).bind(end.id).bind(sequences);
    bind_events(query, events).execute(connection).await.map(|done| done.rows_affected())
}
