//! Databases of earlier schemas: brought up to date with all that is in them, while whoever writes as before goes on.

use std::sync::Arc;

use everlog::{
    model::{Event, Lanes, Log, Ordering, RawJson},
    storage::{
        Storage,
        postgres::{self, PostgresStore},
        sqlite::SqliteStore,
        verify,
    },
    testing::{
        StaticClock,
        conformance::{Backdoor, TestStore, fresh},
        random,
    },
};
use sqlx::{
    Connection, PgConnection, SqliteConnection, SqlitePool, migrate::Migrator,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

use crate::support::{
    postgres::{BySql as InPostgres, CONNECTIONS, Database, pool},
    sqlite::BySql as InSqlite,
};

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The schema as it was at a version.
fn until(all: &Migrator, version: i64) -> Migrator {
    let then = all.iter().filter(|migration| migration.version <= version).cloned();
    Migrator::with_migrations(then.collect())
}

/// A log, and events for it as its stores wrote them from the first version on.
fn history() -> (Log, Vec<Event>) {
    let log = Log { id: 7, ..fresh(random::log(), Lanes { ordering: Ordering::Log, count: 1 }) };
    let stream = random::stream();
    let event = |n: i64| Event {
        id: random::id(),
        name: random::event_name(),
        payload: RawJson::stored(format!("{{\"n\": {n}}}")),
        metadata: RawJson::stored("null"),
        occurred_at: log.created_at,
        observed_at: log.created_at,
        recorded_at: log.created_at,
        stream: stream.clone(),
        position: n - 1,
        sequence_number: n,
    };
    (log.clone(), (1..=20).map(event).collect())
}

/// Holds of a store over a database of an earlier schema: all is there, and goes on, also by statements of then.
async fn is_upgraded(store: TestStore, log: &Log, mut events: Vec<Event>) {
    let last = events.pop().expect("there are events");
    let found = store.storage.logs.log(&log.name).await.expect("logs are read");
    assert_eq!(found.as_ref(), Some(log));
    assert_eq!(store.stored(log).await, events);
    // An earlier version that still runs writes as it always did.
    store.backdoor.insert(log, &last).await.expect("its statement is taken");
    events.push(last.clone());
    let more = store.fill(log, &last.stream, 3).await;
    assert_eq!(more[0].position, last.position + 1);
    events.extend(more);
    assert_eq!(store.stored(log).await, events);
    let report = verify::verify(&store.storage, log, &mut |_| {}).await.expect("it is read");
    assert_eq!((report.events, report.faults.len()), (23, 0), "{:?}", report.faults);
}

const INSERT_LOG: &str = "INSERT INTO log VALUES ($1, $2, $3, $4, 1, FALSE, $5, $6)";

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_of_any_schema_is_brought_up_to_date() {
    for version in SQLITE.iter().map(|migration| migration.version) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("events.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.expect("it opens");
        until(&SQLITE, version).run(&mut connection).await.expect("it is migrated");
        let (log, events) = history();
        let insert = sqlx::query(INSERT_LOG)
            .bind(log.id)
            .bind(log.name.as_str())
            .bind(log.lanes.ordering.as_str())
            .bind(log.lanes.count)
            .bind(log.incarnation)
            .bind(log.created_at.micros());
        insert.execute(&mut connection).await.expect("the log is written");
        connection.close().await.expect("it closes");
        let early = InSqlite(SqlitePool::connect_with(options).await.expect("it opens"));
        for event in &events[..19] {
            early.insert(&log, event).await.expect("an event is written");
        }
        early.0.close().await;

        let clock = Arc::new(StaticClock::default());
        let store = SqliteStore::open(&path, clock.clone()).await;
        let store = Arc::new(store.expect("it is brought up to date"));
        let backdoor = Arc::new(InSqlite(store.writer().clone()));
        let keep = Arc::new(folder);
        let store = TestStore { storage: Storage::new(store), backdoor, clock, keep };
        is_upgraded(store, &log, events).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_database_of_any_schema_is_brought_up_to_date() {
    for version in POSTGRES.iter().map(|migration| migration.version) {
        let database = Database::empty().await;
        let options = database.options();
        let connection = PgConnection::connect_with(&options).await;
        let mut connection = connection.expect("Postgres answers");
        until(&POSTGRES, version).run(&mut connection).await.expect("it is migrated");
        let (log, events) = history();
        let insert = sqlx::query(INSERT_LOG)
            .bind(log.id)
            .bind(log.name.as_str())
            .bind(log.lanes.ordering.as_str())
            .bind(log.lanes.count)
            .bind(log.incarnation)
            .bind(chrono::DateTime::<chrono::Utc>::from(log.created_at));
        insert.execute(&mut connection).await.expect("the log is written");
        let lane = sqlx::query("INSERT INTO lane VALUES ($1, 0)").bind(log.id);
        lane.execute(&mut connection).await.expect("its lane is written");
        for event in &events[..19] {
            let written = crate::support::postgres::insert_event(&mut connection, &log, event);
            written.await.expect("an event is written");
        }

        postgres::migrate(database.options()).await.expect("it is brought up to date");
        let clock = Arc::new(StaticClock::default());
        let store = PostgresStore::open(database.options(), CONNECTIONS, clock.clone()).await;
        let store = Arc::new(store.expect("it opens"));
        let (backdoor, keep) = (Arc::new(InPostgres(pool(&store))), Arc::new(database));
        let store = TestStore { storage: Storage::new(store), backdoor, clock, keep };
        is_upgraded(store, &log, events).await;
    }
}
