//! The SQLite store: one file, set up by itself.
//!
//! One writer connection, on a thread of its own, opens each section with `BEGIN IMMEDIATE`; reads
//! go through a read-only pool, a page in each transaction. WAL with `synchronous=FULL`: an
//! acknowledged event is synced to disk.
//!
//! Invariant: one process. A lock file keeps a second one off the database while this one writes; keys alone, of which
//! nobody is sure, are written beside it.

mod error;
mod insert;
mod keys;
mod projections;
mod projectors;
mod view;

use std::{
    fs::{File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    Connection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use self::{
    error::{is_taken, of_commit, of_query},
    view::SqliteView,
};
use super::{
    AppendError, End, Events, Health, Known, Listing, Logs, Outcome, Pool, PutLogError,
    StorageError, Usage, View, append,
    sql::rows::{self, LogRow, TipRow},
};
use crate::model::{
    Clock, Event, Lane, Log, LogName, LogSettings, Publish, Source, StreamKey, lane::HASH_VERSION,
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a request waits for its turn on a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 8;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held until the store is dropped; the kernel lets go of it when the process dies.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens or creates the database and brings its schema up to date.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let path = canonical(path)?;
        let lock = lock(&path)?;
        Self::open_locked(path, lock, clock).await
    }

    /// Opens the database also while another process writes its events: keys are what may be written then.
    pub async fn open_beside(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let path = canonical(path)?;
        if let Ok(lock) = lock(&path) {
            return Self::open_locked(path, lock, clock).await;
        }
        let options = options(&path);
        let writer = pool(options.clone(), 1).await?;
        let readers = pool(reading(&path), 1).await?;
        Ok(Self { path, clock, writer, readers, _lock: None })
    }

    async fn open_locked(
        path: PathBuf,
        lock: File,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let options = options(&path);
        let writer = pool(options.clone(), 1).await?;
        MIGRATIONS.run(&writer).await.map_err(|error| StorageError::Broken(error.into()))?;
        // Whoever held something before is gone: the lock says so.
        let free = sqlx::query(include_str!("sql/free_revisions.sql"));
        free.execute(&writer).await.map_err(of_query)?;
        let readers = pool(reading(&path), READERS).await?;
        Ok(Self { path, clock, writer, readers, _lock: Some(lock) })
    }

    /// Opens an existing database for reading only, beside a process that writes.
    pub async fn open_read_only(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let options = reading(path);
        let readers = pool(options, READERS).await?;
        Ok(Self { path: path.to_owned(), clock, writer: readers.clone(), readers, _lock: None })
    }

    /// The connections that events are written through, for tests that go around the lock.
    #[must_use]
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }
}

/// Copies a database as of one moment to a file that is not there, whoever writes to it.
pub async fn copy(path: &Path, into: &Path) -> Result<(), StorageError> {
    let target =
        into.to_str().ok_or_else(|| StorageError::Refused("the path is not UTF-8".into()))?;
    let readers = pool(reading(path), 1).await?;
    let copied = sqlx::query(include_str!("sql/copy.sql")).bind(target).execute(&readers).await;
    readers.close().await;
    copied.map(|_| ()).map_err(of_query)
}

/// The database's one name: links are followed, so that its lock and its WAL have one name as well.
/// A hard link would give it a second WAL, which corrupts it.
fn canonical(path: &Path) -> Result<PathBuf, StorageError> {
    let failed = |error: std::io::Error| {
        StorageError::Unavailable(format!("cannot open {}: {error}", path.display()).into())
    };
    // Only if it is not there: to close a file that this process has open would end SQLite's locks.
    if !path.exists() {
        File::options().create(true).append(true).open(path).map_err(failed)?;
    }
    let path = path.canonicalize().map_err(failed)?;
    let links = path.metadata().map_err(failed)?.nlink();
    if links > 1 {
        let why = format!(
            "{} has {links} hard links, and opened under two names it would be corrupted: leave it one",
            path.display()
        );
        return Err(StorageError::Unavailable(why.into()));
    }
    Ok(path)
}

/// The lock file stands beside the database and is never removed: removing it would race.
fn lock(path: &Path) -> Result<File, StorageError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let refuse = |why: String| {
        StorageError::Unavailable(
            format!("cannot lock {}: {why}", Path::new(&name).display()).into(),
        )
    };
    let file = File::create(&name).map_err(|error| refuse(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(refuse("another process has this database open".to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(refuse(error.to_string())),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    reading(path).read_only(false).journal_mode(SqliteJournalMode::Wal)
}

/// A copy is in no WAL before it is written to.
fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("mmap_size", "0")
        .pragma("cell_size_check", "ON")
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        // Without it `INSERT OR REPLACE` removes a row and the trigger against it does not fire.
        .pragma("recursive_triggers", "ON")
}

async fn pool(options: SqliteConnectOptions, size: u32) -> Result<SqlitePool, StorageError> {
    SqlitePoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(TURN_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // After a full disk SQLite has rolled back by itself, and sqlx still believes in its
        // transaction: such a connection is replaced.
        .after_release(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options)
        .await
        .map_err(of_query)
}

#[async_trait]
impl Logs for SqliteStore {
    async fn put_log(
        &self,
        settings: &LogSettings,
        fresh: Log,
    ) -> Result<(Log, bool), PutLogError> {
        let mut turn = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let inserted: Option<LogRow<i64>> = sqlx::query_as(include_str!("sql/insert_log.sql"))
            .bind(fresh.name.as_str())
            .bind(fresh.lanes.ordering.as_str())
            .bind(fresh.lanes.count)
            .bind(HASH_VERSION)
            .bind(fresh.require_condition)
            .bind(fresh.incarnation)
            .bind(fresh.created_at.micros())
            .fetch_optional(&mut *turn)
            .await
            .map_err(of_query)?;
        let is_new = inserted.is_some();
        let row = match inserted {
            Some(row) => Some(row),
            None => sqlx::query_as(include_str!("sql/find_log.sql"))
                .bind(settings.name.as_str())
                .fetch_optional(&mut *turn)
                .await
                .map_err(of_query)?,
        };
        let mut log = rows::log(row.ok_or_else(|| StorageError::broken("no number for a log"))?)?;
        if settings.lanes.is_some_and(|lanes| lanes != log.lanes) {
            return Err(PutLogError::OtherLanes(Box::new(log)));
        }
        if let Some(require) = settings.require_condition.filter(|r| *r != log.require_condition) {
            let row: LogRow<i64> = sqlx::query_as(include_str!("sql/update_log.sql"))
                .bind(log.id)
                .bind(require)
                .fetch_one(&mut *turn)
                .await
                .map_err(of_query)?;
            log = rows::log(row)?;
        }
        turn.commit().await.map_err(of_commit)?;
        Ok((log, is_new))
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        let row: Option<LogRow<i64>> = sqlx::query_as(include_str!("sql/find_log.sql"))
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(of_query)?;
        row.map(rows::log).transpose()
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        let rows: Vec<LogRow<i64>> = sqlx::query_as(include_str!("sql/list_logs.sql"))
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

#[async_trait]
impl Events for SqliteStore {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        let transaction = self.readers.begin().await.map_err(of_query)?;
        Ok(Box::new(SqliteView::new(log, transaction)))
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let turn = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let mut section = SqliteView::new(log, turn);
        let outcomes = append::decide(&mut section, log, self.clock.now(), batch).await?;
        match section.commit().await {
            Ok(()) => Ok(outcomes),
            Err(error) => Err(AppendError { error, in_doubt: outcomes }),
        }
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        let mut view = SqliteView::new(log, self.readers.begin().await.map_err(of_query)?);
        let (positions, events) = (view.positions(streams).await?, view.with_ids(ids).await?);
        Box::new(view).close().await;
        Ok(Known { positions, events })
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        let mut ends = Vec::with_capacity(lanes.len());
        for (log, lane) in lanes {
            let tip: Option<TipRow<i64>> = sqlx::query_as(include_str!("sql/log_tip.sql"))
                .bind(log)
                .bind(lane)
                .fetch_optional(&self.readers)
                .await
                .map_err(of_query)?;
            ends.push(tip.map(rows::tip).into());
        }
        Ok(ends)
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        let turn = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let mut section = SqliteView::new(log, turn);
        if End::from(section.tip(&Source::Log, lane).await?) != end {
            return Ok(false);
        }
        match section.add(events).await {
            Ok(()) => section.commit().await.map(|()| true),
            Err(error) if is_taken(&error) => Ok(false),
            Err(error) => Err(of_query(error)),
        }
    }
}

#[async_trait]
impl Health for SqliteStore {
    async fn ready(&self) -> Result<(), StorageError> {
        let listing = Listing { prefix: String::new(), after: None, limit: 1 };
        self.logs(&listing).await.map(|_| ())
    }

    fn description(&self) -> String {
        format!(
            "SQLite file {} (WAL, synchronous=FULL: acknowledged is synced)",
            self.path.display()
        )
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        let size = |ending: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(ending);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        let pool = |name, pool: &SqlitePool, max| {
            let open = usize::try_from(pool.size()).unwrap_or_default();
            Pool { name, used: open.saturating_sub(pool.num_idle()), max }
        };
        Ok(Usage {
            bytes: i64::try_from(size("") + size("-wal")).ok(),
            pools: vec![
                pool("writers", &self.writer, 1),
                pool("readers", &self.readers, usize::try_from(READERS).unwrap_or_default()),
            ],
        })
    }

    fn outlives_process(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
