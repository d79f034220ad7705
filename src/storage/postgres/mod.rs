//! The Postgres store (15 and later), for production.
//!
//! A publish locks its lanes' rows in ascending order (`READ COMMITTED`, so that what is read after
//! the lock is what was committed before it), decides, inserts, commits. Reads run on a pool of
//! their own, in `REPEATABLE READ` transactions of one page each.
//!
//! Invariant: sequence n + 1 of a lane is inserted only by a transaction that saw n committed.

mod error;
mod migrate;
mod view;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::Instant;

use self::{
    error::{Verdict, of_query},
    view::PostgresView,
};
use super::{
    Events, Health, Listing, Logs, Outcome, PutLogError, StorageError, View, append,
    sql::rows::{self, LogRow},
};
use crate::model::{Clock, Log, LogName, LogSettings, Publish, lane::HASH_VERSION};

/// How long a request waits for a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a publish is tried again after a failure that may pass.
const APPEND_DEADLINE: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(250);

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
    writers: PgPool,
    readers: PgPool,
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
        let writers = pool(
            options.clone().options([
                ("idle_in_transaction_session_timeout", "1s"),
                ("lock_timeout", "5s"),
                ("statement_timeout", "10s"),
            ]),
            connections.writers,
        );
        let readers = readers(
            options.options([("statement_timeout", "10s"), ("client_min_messages", "error")]),
            connections.readers,
        );
        let commit: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(&writers)
            .await
            .map_err(of_query)?;
        if commit == "off" && !connections.allow_async_commit {
            let why = "synchronous_commit is off: an acknowledged event could be lost; \
                       set it to on, or pass --allow-async-commit";
            return Err(StorageError::broken(why));
        }
        let description =
            format!("Postgres at {place}, database {database} (synchronous_commit={commit})");
        Ok(Self { clock, writers, readers, description })
    }

    /// The connections that events are written through, for tests that go around the lock.
    #[must_use]
    pub fn writers(&self) -> &PgPool {
        &self.writers
    }

    /// One attempt at a batch. What was decided is told also when the commit's outcome is not known.
    async fn attempt(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, Attempt> {
        let before = |error| match Verdict::of(&error) {
            Verdict::Transient => Attempt::Again(error),
            _ => Attempt::Failed(of_query(error)),
        };
        let begin = self.writers.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        let mut section = PostgresView::new(log, begin.await.map_err(before)?);
        for lane in append::lanes_touched(log, batch) {
            section.lock(lane).await.map_err(before)?;
        }
        let decided = append::decide(&mut section, log, self.clock.now(), batch).await;
        // The view tells storage errors; what it met last says whether another attempt may help.
        let outcomes = match (decided, section.last_verdict()) {
            (Ok(outcomes), _) => outcomes,
            (Err(error), Some(Verdict::Transient)) => return Err(Attempt::Later(error)),
            (Err(error), _) => return Err(Attempt::Failed(error)),
        };
        match section.commit().await {
            Ok(()) => Ok(outcomes),
            Err(error) => match Verdict::of(&error) {
                Verdict::Transient => Err(Attempt::Again(error)),
                _ => Err(Attempt::Unknown(error, outcomes)),
            },
        }
    }
}

/// How an attempt ended that did not commit for certain.
enum Attempt {
    /// Rolled back; the same may succeed.
    Again(sqlx::Error),
    Later(StorageError),
    /// Rolled back; the same will fail.
    Failed(StorageError),
    /// The commit was sent and not answered.
    Unknown(sqlx::Error, Vec<Outcome>),
}

fn pool(options: PgConnectOptions, size: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(TURN_TIMEOUT)
        .connect_lazy_with(options)
}

/// A request that was dropped while it began a view leaves its transaction open, unknown to sqlx: the
/// next user would read the past. The rollback also tells whether the server is still there.
fn readers(options: PgConnectOptions, size: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(TURN_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql("ROLLBACK").execute(connection).await?;
                Ok(true)
            })
        })
        .connect_lazy_with(options)
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
        let deadline = Instant::now() + APPEND_DEADLINE;
        // Nothing inserted and nothing found: another log took the number meanwhile.
        loop {
            if let Some(put) = self.try_put_log(settings, &fresh).await? {
                return Ok(put);
            }
            if Instant::now() > deadline {
                return Err(StorageError::Unavailable("no number for a log".into()).into());
            }
        }
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        let row: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/find_log.sql"))
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(of_query)?;
        row.map(rows::log).transpose()
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        let rows: Vec<LogRow<Time>> = sqlx::query_as(include_str!("sql/list_logs.sql"))
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(i64::try_from(listing.limit).unwrap_or(i64::MAX))
            .fetch_all(&self.readers)
            .await
            .map_err(of_query)?;
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
        let begin = self.writers.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
        let mut turn = begin.await.map_err(of_query)?;
        let inserted: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/insert_log.sql"))
            .bind(fresh.name.as_str())
            .bind(fresh.lanes.ordering.as_str())
            .bind(fresh.lanes.count)
            .bind(HASH_VERSION)
            .bind(fresh.require_condition)
            .bind(fresh.incarnation)
            .bind(Time::from(fresh.created_at))
            .fetch_optional(&mut *turn)
            .await
            .map_err(of_query)?;
        if let Some(row) = inserted {
            let log = rows::log(row)?;
            sqlx::query(include_str!("sql/insert_lanes.sql"))
                .bind(log.id)
                .bind((0..log.lanes.count).collect::<Vec<i64>>())
                .execute(&mut *turn)
                .await
                .map_err(of_query)?;
            turn.commit().await.map_err(error::of_commit)?;
            return Ok(Some((log, true)));
        }
        let found: Option<LogRow<Time>> = sqlx::query_as(include_str!("sql/find_log.sql"))
            .bind(settings.name.as_str())
            .fetch_optional(&mut *turn)
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
                .fetch_one(&mut *turn)
                .await
                .map_err(of_query)?;
            log = rows::log(row)?;
        }
        turn.commit().await.map_err(error::of_commit)?;
        Ok(Some((log, false)))
    }
}

#[async_trait]
impl Events for PostgresStore {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        let begin = self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        Ok(Box::new(PostgresView::new(log, begin.await.map_err(of_query)?)))
    }

    /// Tries until it is settled. After a commit without an answer the next attempt resolves it *by
    /// writing*: it takes the lanes' locks, looks the ids up, and either finds them or writes them,
    /// which alone fences a statement that is still in flight in a stopped backend.
    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, StorageError> {
        let deadline = Instant::now() + APPEND_DEADLINE;
        let mut backoff = BACKOFF_FIRST;
        let mut in_doubt: Option<Vec<Outcome>> = None;
        loop {
            let error = match self.attempt(log, batch).await {
                Ok(outcomes) => return Ok(own(outcomes, in_doubt)),
                Err(Attempt::Failed(error)) if in_doubt.is_none() => return Err(error),
                Err(Attempt::Failed(error) | Attempt::Later(error)) => error,
                Err(Attempt::Again(error)) => of_query(error),
                Err(Attempt::Unknown(error, outcomes)) => {
                    in_doubt.get_or_insert(outcomes);
                    StorageError::OutcomeUnknown(error.into())
                }
            };
            if Instant::now() + backoff > deadline {
                return Err(match in_doubt {
                    Some(_) => StorageError::OutcomeUnknown(error.into()),
                    None => error,
                });
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

/// What an attempt in doubt had written is found as a replay by the next: it is still its own.
fn own(mut outcomes: Vec<Outcome>, in_doubt: Option<Vec<Outcome>>) -> Vec<Outcome> {
    for (outcome, earlier) in outcomes.iter_mut().zip(in_doubt.into_iter().flatten()) {
        if let (Ok(ack), Ok(earlier)) = (outcome, earlier) {
            ack.replayed = earlier.replayed;
        }
    }
    outcomes
}

#[async_trait]
impl Health for PostgresStore {
    async fn ready(&self) -> Result<(), StorageError> {
        sqlx::query("SELECT 1").execute(&self.readers).await.map(|_| ()).map_err(of_query)
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn outlives_process(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
