//! What only Postgres has: rights that keep events as they are, migrations by several at once, and
//! the interleaving from which a sequence of the database would lose events for a reader.

use std::sync::Arc;

use everlog::{
    model::{Event, Filter, Scan, Source},
    storage::{
        Storage, StorageError,
        postgres::{self, Connections, PostgresStore},
    },
    testing::{PublishBuilder, StaticClock, conformance::TestStore, random},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::support::postgres::{BySql, CONNECTIONS, Database, insert_event, pool};

/// A store, the pool that it writes through, and its database.
async fn scene() -> (TestStore, PgPool, Arc<Database>) {
    let database = Arc::new(Database::migrated().await);
    let (store, clock) = database.store().await;
    let pool = pool(&store);
    let backdoor = Arc::new(BySql(pool.clone()));
    let storage = Storage::new(store);
    (TestStore { storage, backdoor, clock, keep: database.clone() }, pool, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_changes_or_removes_an_event() {
    let (store, pool, _) = scene().await;
    let log = store.log().await;
    let written = store.fill(&log, &random::stream(), 2).await;
    for statement in [
        "UPDATE event SET payload = '1'",
        "UPDATE event SET sequence = 9 WHERE sequence = 2",
        "DELETE FROM event",
        "DELETE FROM event WHERE sequence = 2",
        "TRUNCATE event",
        "INSERT INTO event SELECT * FROM event ON CONFLICT (log_id, lane, sequence) \
         DO UPDATE SET payload = '1'",
    ] {
        let error = sqlx::query(statement).execute(&pool).await.expect_err(statement).to_string();
        assert!(error.contains("permission denied"), "{statement}: {error}");
        assert_eq!(store.stored(&log).await, written, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_migrate_one_empty_database_at_once() {
    let database = Database::empty().await;
    let migrations = (0..6).map(|_| postgres::migrate(database.options()));
    for migrated in futures_util::future::join_all(migrations).await {
        migrated.expect("all of them succeed");
    }
    let (store, clock) = database.store().await;
    let backdoor = Arc::new(BySql(pool(&store)));
    let storage = Storage::new(store);
    let store = TestStore { storage, backdoor, clock, keep: Arc::new(database) };
    let log = store.log().await;
    let written = store.fill(&log, &random::stream(), 1).await;
    assert_eq!(store.stored(&log).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_later_version_is_refused() {
    let (_store, pool, database) = scene().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'later', true, '\\x00', 0)";
    sqlx::query(later).execute(&pool).await.expect("a later migration is noted");
    let error = postgres::migrate(database.options()).await;
    let error = error.expect_err("the schema is of a later version");
    assert!(matches!(error, StorageError::Broken(_)), "{error:?}");
    assert!(error.to_string().contains("later Everlog"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_lose_what_it_acknowledged_must_be_asked_for() {
    let database = Database::migrated().await;
    let options = database.options().options([("synchronous_commit", "off")]);
    let clock = Arc::new(StaticClock::default());
    let refused = PostgresStore::open(options.clone(), CONNECTIONS, clock.clone()).await;
    let error = refused.expect_err("synchronous_commit is off").to_string();
    assert!(error.contains("synchronous_commit"), "{error}");
    let connections = Connections { allow_async_commit: true, ..CONNECTIONS };
    PostgresStore::open(options, connections, clock).await.expect("it was asked for");
}

/// What a reader of this shape has after its last number.
async fn tail(connection: &mut PgConnection, last: i64) -> Vec<i64> {
    sqlx::query_scalar("SELECT seq FROM scratch WHERE seq > $1 ORDER BY seq")
        .bind(last)
        .fetch_all(connection)
        .await
        .expect("the scratch table is read")
}

/// The control: numbers from a sequence, taken in one order and committed in the other. A reader
/// that follows them skips one for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_a_sequence_skips_what_commits_late() {
    let (_store, pool, database) = scene().await;
    let table = "CREATE TABLE scratch (seq bigint GENERATED ALWAYS AS IDENTITY, writer text)";
    sqlx::query(table).execute(&pool).await.expect("a scratch table is made");
    let connect = || async { PgConnection::connect_with(&database.options()).await };
    let (mut one, mut two, mut reader) = (
        connect().await.expect("session one"),
        connect().await.expect("session two"),
        connect().await.expect("the reader"),
    );
    let insert = "INSERT INTO scratch (writer) VALUES ($1)";
    let mut first = one.begin().await.expect("session one begins");
    sqlx::query(insert).bind("one").execute(&mut *first).await.expect("it takes number 1");
    sqlx::query(insert).bind("two").execute(&mut two).await.expect("it takes 2 and commits");
    assert_eq!(tail(&mut reader, 0).await, [2]);
    first.commit().await.expect("session one commits last");
    let skipped: Vec<i64> = tail(&mut reader, 2).await;
    assert_eq!(skipped, [] as [i64; 0], "the reader does not see number 1");
    assert_eq!(tail(&mut reader, 0).await, [1, 2], "though it is there");
}

/// Whether somebody waits for this transaction.
async fn is_waited_for(turn: &mut PgConnection) -> bool {
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted \
                   AND transactionid = pg_current_xact_id()::xid";
    sqlx::query_scalar(waiting).fetch_one(turn).await.expect("the locks are read")
}

/// The same interleaving: session one has taken number 1 and has not committed. Nobody can take
/// number 2 meanwhile, so there is nothing that a reader could go past.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_everlog_cannot_skip_what_commits_late() {
    let (store, _, database) = scene().await;
    let (log, stream, other) = (store.log().await, random::stream(), random::stream());
    // What session one writes, as the store itself would number it.
    let model = store.fill(&store.log().await, &stream, 1).await.remove(0);
    let slow = Event { id: random::id(), ..model };

    let mut one = PgConnection::connect_with(&database.options()).await.expect("session one");
    let mut turn = one.begin().await.expect("session one begins");
    sqlx::query("SELECT lane FROM lane WHERE log_id = $1 AND lane = 0 FOR UPDATE")
        .bind(log.id)
        .execute(&mut *turn)
        .await
        .expect("session one holds the lane");
    insert_event(&mut *turn, &log, &slow).await.expect("session one takes number 1");

    let mut second = JoinSet::new();
    let (own_store, own_log) = (store.clone(), log.clone());
    let publish = PublishBuilder::random(&other, 1).build();
    second.spawn(async move { own_store.write(&own_log, &publish).await });
    while !is_waited_for(&mut turn).await {
        assert!(second.try_join_next().is_none(), "session two may not get past session one");
        tokio::task::yield_now().await;
    }
    let page = store.scan(&log, &Source::Log, &Scan::first(10)).await;
    assert_eq!(page.events, [], "there is nothing to go past yet");

    turn.commit().await.expect("session one commits");
    let fast = second.join_next().await.expect("session two").expect("it goes on").remove(0);
    assert_eq!((slow.sequence_number, fast.sequence_number), (1, 2));
    let ask = Scan { after: page.cursor, ..Scan::first(10) };
    assert_eq!(store.scan(&log, &Source::Log, &ask).await.events, [slow, fast]);
}

/// The control of the lane's lock: what is read in the statement that waits for it is of before it.
/// Everlog reads in the statements after it.
#[tokio::test(flavor = "multi_thread")]
async fn the_statement_that_waits_for_the_lock_reads_the_past() {
    let (store, _, database) = scene().await;
    let last = "(SELECT max(sequence) FROM event WHERE log_id = $1)";
    let lock = "SELECT lane FROM lane WHERE log_id = $1 AND lane = 0 FOR UPDATE";
    let in_one = format!("SELECT {last} FROM ({lock}) AS turn");
    let after = format!("SELECT {last}");
    for (statements, expected) in [(vec![in_one.as_str()], None), (vec![lock, &after], Some(1))] {
        let log = store.log().await;
        let connect = || async { PgConnection::connect_with(&database.options()).await };
        let (mut one, mut two) =
            (connect().await.expect("session one"), connect().await.expect("session two"));
        let mut turn = one.begin().await.expect("session one begins");
        let locked = sqlx::query(lock).bind(log.id).execute(&mut *turn).await;
        locked.expect("session one holds the lane");
        let model = store.fill(&store.log().await, &random::stream(), 1).await.remove(0);
        let event = Event { id: random::id(), ..model };
        insert_event(&mut *turn, &log, &event).await.expect("session one takes number 1");
        let second = async {
            let mut begun = two.begin().await.expect("session two begins");
            let mut read = None;
            for statement in statements {
                let row = sqlx::query_scalar(AssertSqlSafe(statement)).bind(log.id);
                read = row.fetch_one(&mut *begun).await.expect("session two reads");
            }
            read
        };
        let first = async {
            while !is_waited_for(&mut turn).await {
                tokio::task::yield_now().await;
            }
            turn.commit().await.expect("session one commits");
        };
        let (read, ()): (Option<i64>, ()) = tokio::join!(second, first);
        assert_eq!(read, expected);
    }
}

/// Clients go away at any moment, also while their view begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_dropped_while_it_begins_leaves_no_reader_in_the_past() {
    let store = crate::support::postgres::open().await;
    let (log, stream) = (store.log().await, random::stream());
    let filter = Filter::default();
    // Each round it is dropped a little later, and some rounds more once it was too late.
    let (mut polls, mut late) = (0, 0);
    while late < 20 {
        let mut begin = store.storage.events.view(&log);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut begun = false;
        for _ in 0..polls {
            begun = begun || begin.as_mut().poll(&mut context).is_ready();
            if begun {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(begin);
        // A connection that is left in a transaction takes its snapshot here.
        let named = store.storage.logs.log(&log.name).await.expect("the store answers");
        assert_eq!(named.as_ref(), Some(&log));
        let written = store.fill(&log, &stream, 1).await;
        let latest = store.latest(&log, &Source::Log, &filter).await;
        assert_eq!(latest.as_ref(), written.last(), "dropped after {polls} polls");
        late += i32::from(begun);
        polls = if begun { 0 } else { polls + 1 };
    }
}
