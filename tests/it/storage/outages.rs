//! Postgres behind a wire that is cut: nothing acknowledged is lost or doubled, and what fails says
//! whether something may have been written.

use std::{sync::Arc, time::Duration};

use everlog::{
    model::{Event, Log, Publish, StreamKey, Test},
    storage::{Storage, StorageError, postgres::PostgresStore},
    testing::{PublishBuilder, StaticClock, conformance::TestStore, random},
};

use crate::support::{
    committed::{committed, committed_within},
    postgres::{BySql, CONNECTIONS, Database},
    proxy::Proxy,
};

/// A store behind a proxy; its backdoor is not.
async fn behind_proxy() -> (TestStore, Proxy) {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.options()).await;
    let clock = Arc::new(StaticClock::default());
    let store = PostgresStore::open(proxy.options(), CONNECTIONS, clock.clone()).await;
    let storage = Storage::new(Arc::new(store.expect("the store opens through the proxy")));
    let direct = sqlx::PgPool::connect_lazy_with(database.options());
    let backdoor = Arc::new(BySql(direct));
    (committed(TestStore { storage, backdoor, clock, keep: Arc::new(database) }), proxy)
}

/// A publish that could not be written a second time.
fn once(stream: &StreamKey) -> Publish {
    PublishBuilder::random(stream, 2).with_condition(Test::StreamIsEmpty(stream.clone())).build()
}

/// The publish is acknowledged as new and stored just once.
async fn written_once(store: &TestStore, log: &Log, publish: &Publish) {
    let outcomes = store.storage.events.append(log, std::slice::from_ref(publish)).await;
    let ack = outcomes.expect("the outcome is found out").remove(0).expect("it is not refused");
    assert!(!ack.replayed, "to its client it is new");
    let told: Vec<Event> = ack.writes.into_iter().flat_map(|write| write.events).collect();
    assert_eq!(store.stored(log).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_told_as_it_was() {
    let (store, proxy) = behind_proxy().await;
    let store = committed(store);
    let log = store.log().await;
    proxy.cut_after_commit();
    written_once(&store, &log, &once(&random::stream())).await;
    assert!(proxy.has_cut());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_arrive_is_made_again() {
    let (store, proxy) = behind_proxy().await;
    let store = committed(store);
    let log = store.log().await;
    proxy.cut_before_commit();
    written_once(&store, &log, &once(&random::stream())).await;
    assert!(proxy.has_cut());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_answer_is_lost_stays_a_replay() {
    let (store, proxy) = behind_proxy().await;
    let store = committed(store);
    let (log, publish) = (store.log().await, once(&random::stream()));
    let written = store.write(&log, &publish).await;
    proxy.cut_after_commit();
    let again = store.publish(&log, &publish).await.expect("it is stored");
    assert!(again.replayed && proxy.has_cut());
    assert_eq!(store.stored(&log).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refused_of_a_batch_stay_refused_when_the_answer_is_lost() {
    let (store, proxy) = behind_proxy().await;
    let store = committed(store);
    let (log, stream) = (store.log().await, random::stream());
    proxy.cut_after_commit();
    let outcomes = store.append(&log, &[once(&stream), once(&stream)]).await;
    assert!(proxy.has_cut());
    let won: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, false]);
    assert_eq!(store.stored(&log).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_and_passes() {
    let (store, proxy) = behind_proxy().await;
    let store = committed_within(store, Duration::from_millis(500));
    let (log, stream) = (store.log().await, random::stream());
    let before = store.fill(&log, &stream, 1).await;
    proxy.refuse(true);
    let publish = PublishBuilder::random(&stream, 1).build();
    let batch = std::slice::from_ref(&publish);
    // The first is sent on a wire that seems whole.
    let failed = store.storage.events.append(&log, batch).await.expect_err("Postgres is away");
    assert!(matches!(failed.error, StorageError::OutcomeUnknown(_)), "{failed:?}");
    let failed = store.storage.events.append(&log, batch).await.expect_err("Postgres is away");
    assert!(matches!(failed.error, StorageError::Unavailable(_)), "{failed:?}");
    assert!(failed.error.retryable() && !failed.error.may_have_written());
    let error = store.storage.events.view(&log).await.err().expect("Postgres is away");
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    let error = store.storage.health.ready().await.expect_err("Postgres is away");
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    assert_eq!(store.stored(&log).await, before);
    proxy.refuse(false);
    store.storage.health.ready().await.expect("Postgres is back");
    let after = store.write(&log, &publish).await;
    assert_eq!(store.stored(&log).await, [before, after].concat());
}
