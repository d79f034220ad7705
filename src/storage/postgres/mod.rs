//! The Postgres store (15 and later), for production.
//!
//! A publish locks its lanes' rows in ascending order (`READ COMMITTED`, so that what is read after
//! the lock is what was committed before it), decides, inserts, commits. Reads run on a pool of
//! their own, in `REPEATABLE READ` transactions of one page each.
//!
//! Invariant: sequence n + 1 of a lane is inserted only by a transaction that saw n committed.

mod error;
mod keys;
mod lending;
mod migrate;
mod notice;
mod projections;
mod projectors;
mod view;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use self::{
    error::{is_taken, of_commit, of_query},
    lending::{Lender, Loan},
    view::{PostgresView, READ, WRITE},
};
use super::{
    AppendError, End, Events, Health, Known, Listing, Logs, Outcome, PutLogError, StorageError,
    Usage, View, append,
    sql::rows::{self, LogRow},
};
use crate::model::{
    Clock, Event, Lane, Log, LogName, LogSettings, Publish, StreamKey, lane::HASH_VERSION,
};

/// How long one attempt at a batch may take, whatever the server does: a backend may be stopped. Long
/// enough for the lane's lock (5 s), short enough to leave time to resolve the outcome.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a log's number may be taken by another process while a log is created.
const NUMBERS_TRIED: usize = 100;

type Time = chrono::DateTime<chrono::Utc>;

/// How the service connects.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// For appends.
    pub writers: u32,
    /// For reads.
    pub readers: u32,
    /// Accept `synchronous_commit = off`, which may lose what was acknowledged.
    pub allow_async_commit: bool,
}

impl Default for Connections {
    fn default() -> Self {
        Self { writers: 8, readers: 16, allow_async_commit: false }
    }
}

/// A store in a Postgres database.
#[derive(Debug)]
pub struct PostgresStore {
    clock: Arc<dyn Clock>,
    options: PgConnectOptions,
    writers: Lender,
    readers: Lender,
    description: String,
}

impl PostgresStore {
    /// Connects and checks the session settings. The schema is brought up to date by [`migrate()`].
    pub async fn open(
        options: PgConnectOptions,
        connections: Connections,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let options = options.application_name("everlog");
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let database = options.get_database().unwrap_or_default().to_owned();
        let writing = options.clone().options([
            ("idle_in_transaction_session_timeout", "1s"),
            ("lock_timeout", "5s"),
            ("statement_timeout", "10s"),
        ]);
        let reading = options
            .clone()
            .options([("statement_timeout", "10s"), ("client_min_messages", "error")]);
        let writers = Lender::new(writing, connections.writers);
        let readers = Lender::new(reading, connections.readers);
        let mut loan = writers.lend().await.map_err(of_query)?;
        let commit: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(&mut loan.connection)
            .await
            .map_err(of_query)?;
        loan.give_back();
        if commit == "off" && !connections.allow_async_commit {
            let why = "synchronous_commit is off: an acknowledged event could be lost; \
                       set it to on, or pass --allow-async-commit";
            return Err(StorageError::broken(why));
        }
        let description =
            format!("Postgres at {place}, database {database} (synchronous_commit={commit})");
        Ok(Self { clock, options, writers, readers, description })
    }

    /// How it connects, for tests that go around the lock.
    #[must_use]
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Tells in `decided` what may be written, before it is.
    async fn attempt(
        &self,
        log: &Log,
        batch: &[Publish],
        decided: &mut Vec<Outcome>,
    ) -> Result<(), StorageError> {
        let mut section =
            PostgresView::new(log, self.writers.begin(WRITE).await.map_err(of_query)?);
        for lane in append::lanes_touched(log, batch) {
            section.lock(lane).await.map_err(of_query)?;
        }
        *decided = append::decide(&mut section, log, self.clock.now(), batch).await?;
        section.commit().await.map_err(of_commit)
    }
}

/// Resolves within [`ATTEMPT_TIMEOUT`]; whoever waits longer is dropped, with its connection. What the
/// server warned about is not done for certain.
async fn in_time<T>(
    work: impl Future<Output = Result<T, StorageError>>,
) -> Result<T, StorageError> {
    let done = tokio::time::timeout(ATTEMPT_TIMEOUT, notice::heard(work)).await;
    match done {
        Ok((Ok(_), true)) => {
            let why = "the server warned: the commit may not have reached the standby";
            Err(StorageError::OutcomeUnknown(why.into()))
        }
        Ok((done, _)) => done,
        Err(late) => Err(StorageError::OutcomeUnknown(late.into())),
    }
}

/// Brings the schema up to date. Any number of processes may do so at once.
pub async fn migrate(options: PgConnectOptions) -> Result<(), StorageError> {
    migrate::run(options.application_name("everlog migrate")).await
}

#[async_trait]
impl Logs for PostgresStore {
    async fn put_log(
        &self,
        settings: &LogSettings,
        fresh: Log,
    ) -> Result<(Log, bool), PutLogError> {
        // Nothing inserted and nothing found: another log took the number meanwhile.
        for _ in 0..NUMBERS_TRIED {
            if let Some(put) = self.try_put_log(settings, &fresh).await? {
                return Ok(put);
            }
        }
        Err(StorageError::Unavailable("no number for a log".into()).into())
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let row: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/find_log.sql"))
            .bind(name.as_str())
            .fetch_optional(&mut loan.connection)
            .await
            .map_err(of_query)?;
        loan.give_back();
        row.map(rows::log).transpose()
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let rows: Vec<LogRow<Time>> = sqlx::query_as(include_str!("sql/list_logs.sql"))
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(i64::try_from(listing.limit).unwrap_or(i64::MAX))
            .fetch_all(&mut loan.connection)
            .await
            .map_err(of_query)?;
        loan.give_back();
        let logs: Vec<Log> = rows.into_iter().map(rows::log).collect::<Result<_, _>>()?;
        Ok(logs.into_iter().filter(|log| listing.holds(log.name.as_str())).collect())
    }
}

impl PostgresStore {
    async fn try_put_log(
        &self,
        settings: &LogSettings,
        fresh: &Log,
    ) -> Result<Option<(Log, bool)>, PutLogError> {
        let mut turn = self.writers.begin(WRITE).await.map_err(of_query)?;
        let inserted: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/insert_log.sql"))
            .bind(fresh.name.as_str())
            .bind(fresh.lanes.ordering.as_str())
            .bind(fresh.lanes.count)
            .bind(HASH_VERSION)
            .bind(fresh.require_condition)
            .bind(fresh.incarnation)
            .bind(Time::from(fresh.created_at))
            .fetch_optional(&mut turn.connection)
            .await
            .map_err(of_query)?;
        if let Some(row) = inserted {
            let log = rows::log(row)?;
            sqlx::query(include_str!("sql/insert_lanes.sql"))
                .bind(log.id)
                .bind((0..log.lanes.count).collect::<Vec<i64>>())
                .execute(&mut turn.connection)
                .await
                .map_err(of_query)?;
            commit(turn).await?;
            return Ok(Some((log, true)));
        }
        let found: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/find_log.sql"))
            .bind(settings.name.as_str())
            .fetch_optional(&mut turn.connection)
            .await
            .map_err(of_query)?;
        let Some(row) = found else { return Ok(None) };
        let mut log = rows::log(row)?;
        if settings.lanes.is_some_and(|lanes| lanes != log.lanes) {
            return Err(PutLogError::OtherLanes(Box::new(log)));
        }
        if let Some(require) = settings.require_condition.filter(|r| *r != log.require_condition) {
            let row: LogRow<Time> = sqlx::query_as(include_str!("sql/update_log.sql"))
                .bind(log.id)
                .bind(require)
                .fetch_one(&mut turn.connection)
                .await
                .map_err(of_query)?;
            log = rows::log(row)?;
        }
        commit(turn).await?;
        Ok(Some((log, false)))
    }
}

async fn commit(mut turn: Loan) -> Result<(), StorageError> {
    sqlx::raw_sql("COMMIT").execute(&mut turn.connection).await.map_err(of_commit)?;
    turn.give_back();
    Ok(())
}

#[async_trait]
impl Events for PostgresStore {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        let loan = self.readers.begin(READ).await.map_err(of_query)?;
        Ok(Box::new(PostgresView::new(log, loan)))
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        let loan = self.readers.lend().await.map_err(of_query)?;
        let mut view = PostgresView::new(log, loan);
        let mut known = Known::default();
        if !streams.is_empty() {
            known.positions = view.positions(streams).await?;
        }
        if !ids.is_empty() {
            known.events = view.with_ids(ids).await?;
        }
        view.give_back();
        Ok(known)
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        let mut loan = self.readers.lend().await.map_err(of_query)?;
        let mut ends = vec![End::EMPTY; lanes.len()];
        let (logs, lanes): (Vec<i64>, Vec<Lane>) = lanes.iter().copied().unzip();
        let found = sqlx::query_as(include_str!("sql/lane_ends.sql")).bind(logs).bind(lanes);
        let found: Vec<(i64, i64, Uuid)> =
            found.fetch_all(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        for (place, n, id) in found {
            let end = usize::try_from(place - 1).ok().and_then(|place| ends.get_mut(place));
            end.into_iter().for_each(|end| *end = End { n, id });
        }
        Ok(ends)
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let mut decided = Vec::new();
        match in_time(self.attempt(log, batch, &mut decided)).await {
            Ok(()) => Ok(decided),
            Err(error) if error.may_have_written() => Err(AppendError { error, in_doubt: decided }),
            Err(error) => Err(error.into()),
        }
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        let mut loan = self.writers.lend().await.map_err(of_query)?;
        in_time(async {
            match view::extend(&mut loan.connection, log, lane, end, events).await {
                Ok(written) => {
                    loan.give_back();
                    Ok(written > 0)
                }
                Err(error) if is_taken(&error) => {
                    loan.give_back();
                    Ok(false)
                }
                Err(error) => Err(of_commit(error)),
            }
        })
        .await
    }
}

#[async_trait]
impl Health for PostgresStore {
    async fn ready(&self) -> Result<(), StorageError> {
        self.readers.lend_checked().await.map(Loan::give_back).map_err(of_query)
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        let mut loan = self.readers.lend_checked().await.map_err(of_query)?;
        let size = sqlx::query_scalar(include_str!("sql/database_size.sql"));
        let bytes = size.fetch_one(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        let pools = vec![self.writers.usage("writers"), self.readers.usage("readers")];
        Ok(Usage { bytes: Some(bytes), pools })
    }

    fn outlives_process(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
