//! What only SQLite has: a file, its lock, and triggers that keep events as they are.

use everlog::{
    storage::{AppendError, Storage, StorageError, sqlite::SqliteStore},
    testing::{NewEventBuilder, PublishBuilder, StaticClock, conformance::TestStore, random},
};
use sqlx::SqlitePool;
use std::sync::Arc;

use crate::support::sqlite::{BySql, open_in};

/// A store in a folder, and the pool that it writes through.
async fn scene() -> (TestStore, SqlitePool) {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let (store, clock) = open_in(folder.path()).await;
    let pool = store.writer().clone();
    let backdoor = Arc::new(BySql(pool.clone()));
    let storage = Storage::new(store);
    (TestStore { storage, backdoor, clock, keep: Arc::new(folder) }, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_changes_or_removes_an_event() {
    let (store, pool) = scene().await;
    let log = store.log().await;
    let written = store.fill(&log, &random::stream(), 2).await;
    for statement in [
        "UPDATE event SET payload = '1'",
        "UPDATE event SET sequence = 9 WHERE sequence = 2",
        "DELETE FROM event",
        "DELETE FROM event WHERE sequence = 2",
        "INSERT OR REPLACE INTO event SELECT log_id, lane, sequence, category, stream, position, \
         event_id, name, '1', metadata, observed_at, occurred_at, recorded_at FROM event",
        "INSERT INTO event SELECT * FROM event WHERE true ON CONFLICT DO UPDATE SET payload = '1'",
    ] {
        let done = sqlx::query(statement).execute(&pool).await;
        let error = done.expect_err(statement).to_string();
        assert!(error.contains("never"), "{statement}: {error}");
        assert_eq!(store.stored(&log).await, written, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_kept_off_the_file_while_the_first_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let path = folder.path().join("events.db");
    let (first, clock) = open_in(folder.path()).await;
    let error = SqliteStore::open(&path, clock.clone()).await.expect_err("the file is locked");
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("another process has this database open"), "{error}");
    SqliteStore::open_read_only(&path, clock.clone()).await.expect("readers are let in");
    drop(first);
    SqliteStore::open(&path, clock).await.expect("the lock went with the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_kept_off_whatever_it_calls_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let (path, link) = (folder.path().join("events.db"), folder.path().join("link.db"));
    std::os::unix::fs::symlink(&path, &link).expect("a link is made");
    // The link comes first, and leads to nothing yet.
    let clock = Arc::new(StaticClock::default());
    let first = SqliteStore::open(&link, clock.clone()).await.expect("the file is made");
    let error = SqliteStore::open(&path, clock.clone()).await.expect_err("the file is locked");
    assert!(error.to_string().contains("another process has this database open"), "{error}");
    drop(first);
    let hard = folder.path().join("hard.db");
    std::fs::hard_link(&path, &hard).expect("a hard link is made");
    for path in [&path, &hard] {
        let error = SqliteStore::open(path, clock.clone()).await.expect_err("it has two names");
        assert!(error.to_string().contains("2 hard links"), "{error}");
    }
    std::fs::remove_file(&hard).expect("the hard link is removed");
    SqliteStore::open(&path, clock).await.expect("it has one name");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_there_after_the_store_is_opened_again() {
    let folder = Arc::new(tempfile::tempdir().expect("a temporary folder is made"));
    let (first, clock) = open_in(folder.path()).await;
    let of = |store: Arc<SqliteStore>, clock| TestStore {
        backdoor: Arc::new(BySql(store.writer().clone())),
        storage: Storage::new(store),
        clock,
        keep: folder.clone(),
    };
    let first = of(first, clock);
    let (log, stream) = (first.log().await, random::stream());
    let mut written = first.fill(&log, &stream, 2).await;
    first.storage.health.close().await;
    drop(first);
    let (second, clock) = open_in(folder.path()).await;
    let second = of(second, clock);
    assert_eq!(second.stored(&log).await, written);
    written.extend(second.fill(&log, &stream, 1).await);
    assert_eq!(second.events(&log, &everlog::model::Source::Log).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let (store, clock): (_, Arc<StaticClock>) = open_in(folder.path()).await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'later', true, x'00', 0)";
    sqlx::query(later).execute(store.writer()).await.expect("a later migration is noted");
    drop(store);
    let error = SqliteStore::open(&folder.path().join("events.db"), clock).await;
    let error = error.expect_err("the schema is of a later version");
    assert!(matches!(error, StorageError::Broken(_)), "{error:?}");
}

/// A full disk, as SQLite meets it: nothing is half-written, reads go on, and with space again so do
/// writes, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_passes() {
    let (store, pool) = scene().await;
    let log = store.log().await;
    let stream = random::stream();
    let written = store.fill(&log, &stream, 3).await;
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.expect("pages are counted");
    let limit = |pages: i64| sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    let big = || {
        let payload = format!("\"{}\"", "x".repeat(100_000));
        let event = NewEventBuilder::new().with_payload(&payload).build();
        PublishBuilder::of(&stream, event).build()
    };
    for _ in 0..3 {
        // Each time, since it is a setting of the connection, which a full disk costs its place.
        sqlx::query(limit(pages + 1)).execute(&pool).await.expect("the disk is small");
        let refused = store.storage.events.append(&log, &[big()]).await;
        assert!(
            matches!(refused, Err(AppendError { error: StorageError::Full(_), .. })),
            "{refused:?}"
        );
        assert_eq!(store.stored(&log).await, written, "nothing is half-written");
    }
    sqlx::query(limit(1_000_000)).execute(&pool).await.expect("there is space again");
    let acked = store.write(&log, &big()).await;
    assert_eq!(acked.first().map(|event| event.position), Some(3));
}
