//! Group commit: what queues is written together, nobody suffers for a neighbour, and what a committer
//! believes of a lane is never the reason for a no.

use std::{sync::Arc, time::Duration};

use everlog::{
    engine::{
        hub::Hubs,
        publish::{PublishError, Publisher},
        tasks::Tasks,
    },
    model::{Log, Publish, StreamKey, Test},
    storage::{Refusal, Storage, StorageError},
    testing::{NewEventBuilder, PublishBuilder, conformance::TestStore, random},
};
use futures_util::future::join_all;

use tokio::task::JoinSet;

use crate::support::{
    memory,
    planted::{self, Plant},
    postgres, sqlite,
    trouble::{REFUSED, Trouble, Troubled},
};

fn publisher(store: &TestStore) -> Publisher {
    let tasks = Tasks::default();
    let hubs = Hubs::new(store.storage.clone(), tasks.clone());
    Publisher::new(store.storage.clone(), store.clock.clone(), hubs, tasks)
}

fn one(stream: &StreamKey) -> Publish {
    PublishBuilder::random(stream, 1).build()
}

fn at(stream: &StreamKey, position: i64) -> Publish {
    let test = Test::PositionIs(stream.clone(), position);
    PublishBuilder::random(stream, 1).with_condition(test).build()
}

/// A store that can be troubled, a publisher to it, and a log that it has written to.
async fn scene() -> (TestStore, Arc<Troubled>, Publisher, Arc<Log>) {
    let store = memory::open().await;
    let troubled = Troubled::over(store.storage.clone());
    let store = TestStore { storage: Storage::new(troubled.clone()), ..store };
    let (publisher, log) = (publisher(&store), Arc::new(store.log().await));
    publisher.publish(&log, one(&random::stream())).await.expect("it is written");
    troubled.an_append().await;
    (store, troubled, publisher, log)
}

#[tokio::test]
async fn what_queues_while_a_commit_is_under_way_is_one_batch() {
    let (store, troubled, publisher, log) = scene().await;
    troubled.hold();
    let publish = |_| publisher.publish(&log, one(&random::stream()));
    let first = publish(0);
    let rest = async {
        troubled.an_append().await;
        let rest = join_all((0..100).map(publish));
        let release = async {
            troubled.release();
            troubled.an_append().await;
            troubled.release();
        };
        tokio::join!(rest, release).0
    };
    let (first, rest) = tokio::join!(first, rest);
    assert!(first.is_ok() && rest.iter().all(Result::is_ok), "{rest:?}");
    assert_eq!(store.stored(&log).await.len(), 102);
    assert!(!troubled.had_an_append(), "a hundred publishes were one batch");
}

#[tokio::test]
async fn what_the_store_refuses_is_refused_alone() {
    let (store, troubled, publisher, log) = scene().await;
    troubled.set(Trouble::RefusesNames);
    let bad = |index: usize| index == 7 || index == 40;
    let publish = |index| {
        let event = NewEventBuilder::new().with_name(if bad(index) { REFUSED } else { "fine" });
        publisher.publish(&log, PublishBuilder::of(&random::stream(), event.build()).build())
    };
    let answers = join_all((0..50).map(publish)).await;
    for (index, answer) in answers.iter().enumerate() {
        let refused = matches!(answer, Err(PublishError::Storage(StorageError::Refused(_))));
        assert_eq!((refused, answer.is_ok()), (bad(index), !bad(index)), "{index}: {answer:?}");
    }
    assert_eq!(store.stored(&log).await.len(), 1 + 48);
}

#[tokio::test]
async fn a_publish_that_gets_no_turn_in_time_is_not_written() {
    let (store, troubled, publisher, log) = scene().await;
    let publisher = publisher.with_patience(Duration::from_millis(50));
    troubled.set(Trouble::Unavailable);
    let answer = publisher.publish(&log, one(&random::stream())).await;
    assert!(matches!(answer, Err(PublishError::Storage(StorageError::Unavailable(_)))));
    troubled.set(Trouble::OutcomeUnknown);
    let answer = publisher.publish(&log, one(&random::stream())).await;
    assert!(matches!(answer, Err(PublishError::Storage(StorageError::OutcomeUnknown(_)))));
    troubled.set(Trouble::None);
    publisher.publish(&log, one(&random::stream())).await.expect("it is written");
    assert_eq!(store.stored(&log).await.len(), 2);
}

/// Two processes: what one believes of a stream, the other has made untrue.
async fn beliefs_are_no_reason_for_a_no(store: TestStore) {
    beliefs_of(store.clone(), store).await;
}

async fn beliefs_of(store: TestStore, other: TestStore) {
    let (log, stream) = (Arc::new(store.log().await), random::stream());
    let (ours, theirs) = (publisher(&store), publisher(&other));
    let position = async |publisher: &Publisher, publish: Publish| {
        publisher.publish(&log, publish).await.map(|ack| ack.last().map(|event| event.position))
    };
    for turn in 0..5 {
        let written = position(&ours, at(&stream, 3 * turn - 1)).await;
        let empty = turn == 0;
        if empty {
            assert!(written.is_err(), "an empty stream has no position");
            position(&ours, one(&stream)).await.expect("it is written");
        } else {
            assert_eq!(written.expect("the condition holds"), Some(3 * turn));
        }
        assert_eq!(position(&theirs, one(&stream)).await.expect("ours"), Some(3 * turn + 1));
        // Ours believes that the stream ends with 3 * turn.
        let stale = position(&ours, at(&stream, 3 * turn)).await;
        let actual = match stale {
            Err(PublishError::Refused(refusal)) => *refusal,
            other => Refusal::ConditionTooBroad { pointer: format!("{other:?}") },
        };
        let expected = Some(3 * turn + 1);
        assert!(
            matches!(actual, Refusal::ConditionFailed { position, .. } if position == expected),
            "{actual:?}"
        );
        let written = position(&theirs, at(&stream, 3 * turn + 1)).await;
        assert_eq!(written.expect("the condition holds"), Some(3 * turn + 2));
    }
    assert_eq!(store.stored(&log).await.len(), 15);
}

/// The control: two processes over a store, each of which remembers what it wrote itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_no_from_memory_is_noticed() {
    for (plant, noticed) in [(Plant::Nothing, false), (Plant::RefusesFromMemory, true)] {
        let (ours, theirs) = planted::two(plant);
        let mut tasks = JoinSet::new();
        tasks.spawn(beliefs_of(ours, theirs));
        let done = tasks.join_next().await.expect("one task was spawned");
        assert_eq!(done.is_err(), noticed, "{plant:?}");
    }
}

/// After many new streams, one that is not known is taken for new; the store knows better.
async fn an_old_stream_is_not_taken_for_new(store: TestStore) {
    let log = Arc::new(store.log().await);
    let (ours, theirs) = (publisher(&store), publisher(&store));
    // A stream that ours does not know, and then more new ones than it takes to expect no other.
    let unknown = async || {
        let old = random::stream();
        theirs.publish(&log, PublishBuilder::random(&old, 3).build()).await.expect("it is written");
        for _ in 0..40 {
            ours.publish(&log, one(&random::stream())).await.expect("it is written");
        }
        old
    };
    let old = unknown().await;
    let publishes = [one(&random::stream()), one(&old), one(&random::stream()), one(&old)];
    let acks = join_all(publishes.map(|publish| ours.publish(&log, publish))).await;
    let positions = acks.iter().map(|ack| ack.as_ref().expect("it is written").last());
    let positions: Vec<_> = positions.map(|event| event.map(|event| event.position)).collect();
    assert_eq!(positions, [Some(0), Some(3), Some(0), Some(4)]);
    assert_eq!(store.stored(&log).await.len(), 3 + 40 + 4);
    // Nor do conditions hold of it that hold of a new one.
    let (old, new) = (unknown().await, random::stream());
    let empty = |stream: &StreamKey| {
        let test = Test::StreamIsEmpty(stream.clone());
        PublishBuilder::random(stream, 1).with_condition(test).build()
    };
    let publishes = [empty(&new), empty(&old), at(&old, 2), at(&new, 0), empty(&new)];
    let acks = join_all(publishes.map(|publish| ours.publish(&log, publish))).await;
    let written: Vec<bool> = acks.iter().map(Result::is_ok).collect();
    assert_eq!(written, [true, false, true, true, false], "{acks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_of_a_memory_is_not_taken_for_new() {
    an_old_stream_is_not_taken_for_new(memory::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_of_sqlite_is_not_taken_for_new() {
    an_old_stream_is_not_taken_for_new(sqlite::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_of_postgres_is_not_taken_for_new() {
    an_old_stream_is_not_taken_for_new(postgres::open().await).await;
}

/// The control: a store that finds room for what is taken.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_stream_taken_for_new_is_noticed() {
    for (plant, noticed) in [(Plant::Nothing, false), (Plant::MovesWhatIsTaken, true)] {
        let mut tasks = JoinSet::new();
        tasks.spawn(an_old_stream_is_not_taken_for_new(planted::open(plant)));
        let done = tasks.join_next().await.expect("one task was spawned");
        assert_eq!(done.is_err(), noticed, "{plant:?}");
    }
}

#[tokio::test]
async fn replays_that_are_expected_need_no_turn() {
    let (_, troubled, publisher, log) = scene().await;
    let event = NewEventBuilder::new().with_id(random::id()).build();
    let publish = PublishBuilder::of(&random::stream(), event).build();
    let first = publisher.publish(&log, publish.clone()).await.expect("it is written");
    assert!(publisher.publish(&log, publish.clone()).await.expect("it was written").replayed);
    publisher.publish(&log, one(&random::stream())).await.expect("it is written");
    while troubled.had_an_append() {
        troubled.an_append().await;
    }
    let again = publisher.publish(&log, publish).await.expect("it was written");
    assert_eq!((again.writes, again.replayed), (first.writes, true));
    assert!(!troubled.had_an_append(), "what is stored is told without the lane's lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn beliefs_of_a_memory_are_no_reason_for_a_no() {
    beliefs_are_no_reason_for_a_no(memory::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beliefs_of_sqlite_are_no_reason_for_a_no() {
    beliefs_are_no_reason_for_a_no(sqlite::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beliefs_of_postgres_are_no_reason_for_a_no() {
    beliefs_are_no_reason_for_a_no(postgres::open().await).await;
}
