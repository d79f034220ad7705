//! Writers at once: of those that expect the same, one wins; nobody's events are torn apart.

use tokio::task::JoinSet;

use super::store::{TestStore, events_of, numbers, of_stream, positions};
use crate::{
    model::{Ack, Event, Log, Ordering, Publish, StreamKey, Test},
    storage::{Outcome, Refusal},
    testing::{PublishBuilder, WriteBuilder, random},
};

const WRITERS: usize = 8;
const ROUNDS: usize = 3;
const ORDERINGS: [(Ordering, i64); 3] =
    [(Ordering::Log, 1), (Ordering::Category, 3), (Ordering::Stream, 4)];

/// Publishes all at once, each in a batch and a task of its own.
async fn at_once(store: &TestStore, log: &Log, publishes: Vec<Publish>) -> Vec<Outcome> {
    let mut tasks = JoinSet::new();
    for publish in publishes {
        let (store, log) = (store.clone(), log.clone());
        tasks.spawn(async move { store.publish(&log, &publish).await });
    }
    tasks.join_all().await
}

/// The one outcome that is not a failed condition.
fn winner(outcomes: &[Outcome]) -> &Ack {
    let failed = |o: &&Outcome| matches!(o, Err(Refusal::ConditionFailed { .. }));
    assert_eq!(outcomes.iter().filter(failed).count(), outcomes.len() - 1, "{outcomes:?}");
    outcomes.iter().flatten().next().expect("one has won")
}

pub(super) async fn of_writers_to_an_empty_stream_one_wins(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let log = store.log_with(ordering, count).await;
        for _ in 0..ROUNDS {
            let stream = random::stream();
            let publish = |_| {
                PublishBuilder::random(&stream, 2)
                    .with_condition(Test::StreamIsEmpty(stream.clone()))
                    .build()
            };
            let outcomes = at_once(&store, &log, (0..WRITERS).map(publish).collect()).await;
            let won = events_of(winner(&outcomes));
            assert_eq!(store.events(&log, &of_stream(&stream)).await, won);
        }
    }
}

pub(super) async fn of_writers_at_one_position_one_wins(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let log = store.log_with(ordering, count).await;
        for _ in 0..ROUNDS {
            let stream = random::stream();
            let mut expected = store.fill(&log, &stream, 2).await;
            let publish = |_| {
                PublishBuilder::random(&stream, 2)
                    .with_condition(Test::PositionIs(stream.clone(), 1))
                    .build()
            };
            let outcomes = at_once(&store, &log, (0..WRITERS).map(publish).collect()).await;
            expected.extend(events_of(winner(&outcomes)));
            assert_eq!(store.events(&log, &of_stream(&stream)).await, expected);
        }
    }
}

pub(super) async fn unchecked_writers_all_succeed_in_blocks(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let (log, stream) = (store.log_with(ordering, count).await, random::stream());
        let publishes: Vec<Publish> =
            (0..WRITERS * 2).map(|_| PublishBuilder::random(&stream, 3).build()).collect();
        let outcomes = at_once(&store, &log, publishes).await;
        let read = store.events(&log, &of_stream(&stream)).await;
        assert_eq!(positions(&read), (0..).take(WRITERS * 6).collect::<Vec<i64>>());
        for outcome in outcomes {
            let own = events_of(&outcome.expect("nothing stands against it"));
            let first = read.iter().position(|event| event.id == own[0].id).expect("it is stored");
            assert_eq!(read[first..first + 3], own, "the block is whole");
        }
    }
}

fn two_streams() -> [StreamKey; 2] {
    let category = random::category();
    [random::stream_of(&category), random::stream_of(&category)]
}

/// Two events to each stream, the second stream first in every other publish.
fn to_both(streams: &[StreamKey; 2], turned: bool) -> PublishBuilder {
    let mut writes =
        streams.each_ref().map(|stream| WriteBuilder::to(stream).with_random_events(2).build());
    if turned {
        writes.reverse();
    }
    writes.into_iter().fold(PublishBuilder::new(), PublishBuilder::with_write)
}

/// Races for two streams under a condition on each; the winner's events end both.
async fn race_for_both(store: &TestStore, log: &Log, test: fn(&StreamKey) -> Test, before: usize) {
    let streams = two_streams();
    for stream in streams.iter().filter(|_| before > 0) {
        store.fill(log, stream, before).await;
    }
    let publish = |index: usize| {
        let tests = streams.each_ref().map(test);
        let both = to_both(&streams, index % 2 == 1);
        tests.into_iter().fold(both, PublishBuilder::with_condition).build()
    };
    let outcomes = at_once(store, log, (0..WRITERS).map(publish).collect()).await;
    for write in &winner(&outcomes).writes {
        let read = store.events(log, &of_stream(&write.stream)).await;
        assert_eq!(read[before..], write.events);
    }
}

pub(super) async fn of_writers_to_several_empty_streams_one_wins(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let log = store.log_with(ordering, count).await;
        race_for_both(&store, &log, |stream| Test::StreamIsEmpty(stream.clone()), 0).await;
    }
}

pub(super) async fn of_writers_to_several_streams_at_one_position_one_wins(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let log = store.log_with(ordering, count).await;
        race_for_both(&store, &log, |stream| Test::PositionIs(stream.clone(), 0), 1).await;
    }
}

pub(super) async fn writers_to_different_streams_all_succeed(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let (log, category) = (store.log_with(ordering, count).await, random::category());
        let publish = |_| {
            let stream = random::stream_of(&category);
            PublishBuilder::random(&stream, 2)
                .with_condition(Test::StreamIsEmpty(stream.clone()))
                .build()
        };
        let outcomes = at_once(&store, &log, (0..WRITERS).map(publish).collect()).await;
        let mut written: Vec<Event> = Vec::new();
        for outcome in outcomes {
            written.extend(events_of(&outcome.expect("nothing stands against it")));
        }
        written.sort_by_key(|event| event.sequence_number);
        assert_eq!(store.stored(&log).await, written);
    }
}

pub(super) async fn unchecked_writers_to_the_same_streams_all_succeed_in_blocks(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let (log, streams) = (store.log_with(ordering, count).await, two_streams());
        let publish = |index| to_both(&streams, index % 2 == 1).build();
        let outcomes = at_once(&store, &log, (0..WRITERS).map(publish).collect()).await;
        for outcome in outcomes {
            for write in outcome.expect("nothing stands against it").writes {
                let read = store.events(&log, &of_stream(&write.stream)).await;
                let first = usize::try_from(write.events[0].position).expect("a position");
                assert_eq!(read[first..first + 2], write.events, "the block is whole");
                assert_eq!(positions(&read), (0..).take(WRITERS * 2).collect::<Vec<i64>>());
            }
        }
    }
}

pub(super) async fn the_same_publish_at_once_is_written_once(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let (log, stream) = (store.log_with(ordering, count).await, random::stream());
        let publish = PublishBuilder::random(&stream, 2).build();
        let outcomes = at_once(&store, &log, vec![publish; WRITERS]).await;
        let acks: Vec<Ack> =
            outcomes.into_iter().map(|outcome| outcome.expect("the same again")).collect();
        assert_eq!(acks.iter().filter(|ack| !ack.replayed).count(), 1);
        assert!(acks.iter().all(|ack| ack.writes == acks[0].writes));
        assert_eq!(store.stored(&log).await, events_of(&acks[0]));
    }
}

pub(super) async fn one_writer_wins_a_boundary_drawn_by_events(store: TestStore) {
    for (ordering, count) in ORDERINGS {
        let (log, category) = (store.log_with(ordering, count).await, random::category());
        let publish = |_| {
            let stream = random::stream_of(&category);
            let matching = crate::model::Matching {
                source: crate::model::Source::Category(category.clone()),
                after: None,
                filter: crate::model::Filter::default(),
            };
            PublishBuilder::random(&stream, 1)
                .with_condition(Test::NoEventMatching(matching))
                .build()
        };
        let outcomes = at_once(&store, &log, (0..WRITERS).map(publish).collect()).await;
        assert_eq!(store.stored(&log).await, events_of(winner(&outcomes)));
    }
}

pub(super) async fn writers_in_opposite_order_do_not_block_each_other(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 8).await;
    let streams: Vec<StreamKey> = (0..8).map(|_| random::stream()).collect();
    let publish = |index: usize| {
        let mut order: Vec<&StreamKey> = streams.iter().collect();
        order.rotate_left(index % streams.len());
        if index % 2 == 1 {
            order.reverse();
        }
        let writes = order.into_iter().map(|stream| WriteBuilder::to(stream).build());
        writes.fold(PublishBuilder::new(), PublishBuilder::with_write).build()
    };
    let outcomes = at_once(&store, &log, (0..WRITERS * 2).map(publish).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let stored = store.stored(&log).await;
    assert_eq!(stored.len(), WRITERS * 2 * streams.len());
    let mut distinct = numbers(&stored);
    distinct.dedup();
    assert_eq!(distinct.len(), stored.len());
}
