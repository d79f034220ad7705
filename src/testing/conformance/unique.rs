//! The store's own rules, which hold also for what goes around the lock: one event for a sequence
//! number, one for a position, one for an id.

use super::store::{TestStore, numbers};
use crate::{
    model::{Event, Log, Source, StreamKey},
    testing::{PublishBuilder, random},
};

/// A log with events in two streams, and an event that could be its next.
async fn scene(store: &TestStore) -> (Log, Vec<Event>, Event) {
    let (log, stream, other) = (store.log().await, random::stream(), random::stream());
    let mut stored = store.fill(&log, &stream, 2).await;
    stored.extend(store.fill(&log, &other, 1).await);
    let next = Event { id: random::id(), position: 2, sequence_number: 4, ..stored[1].clone() };
    (log, stored, next)
}

/// The store refuses the row and holds what it held.
async fn refused(store: &TestStore, log: &Log, event: &Event) {
    let before = store.stored(log).await;
    let inserted = store.backdoor.insert(log, event).await;
    assert!(inserted.is_err(), "the row must be refused: {event:?}");
    assert_eq!(store.stored(log).await, before);
}

pub(super) async fn a_sequence_number_is_taken_once(store: TestStore) {
    let (log, stored, next) = scene(&store).await;
    for sequence_number in numbers(&stored) {
        refused(&store, &log, &Event { sequence_number, ..next.clone() }).await;
    }
}

pub(super) async fn a_position_is_taken_once(store: TestStore) {
    let (log, _, next) = scene(&store).await;
    for position in [0, 1] {
        refused(&store, &log, &Event { position, ..next.clone() }).await;
    }
}

pub(super) async fn an_id_is_taken_once(store: TestStore) {
    let (log, stored, next) = scene(&store).await;
    for taken in stored {
        refused(&store, &log, &Event { id: taken.id, ..next.clone() }).await;
    }
}

pub(super) async fn what_breaks_no_rule_is_seen_and_counted_on(store: TestStore) {
    let (log, mut stored, next) = scene(&store).await;
    store.backdoor.insert(&log, &next).await.expect("the row breaks no rule");
    stored.push(next.clone());
    assert_eq!(store.stored(&log).await, stored);
    assert_eq!(store.events(&log, &Source::Log).await, stored);
    let more = store.fill(&log, &next.stream, 1).await;
    let places: Vec<(i64, i64)> = more.iter().map(|e| (e.sequence_number, e.position)).collect();
    assert_eq!(places, [(5, 3)]);
}

pub(super) async fn the_rules_are_of_one_log_each(store: TestStore) {
    let (_, stored, _) = scene(&store).await;
    let other = store.log().await;
    for event in &stored {
        store.backdoor.insert(&other, event).await.expect("it is another log");
    }
    assert_eq!(store.stored(&other).await, stored);
}

pub(super) async fn positions_are_of_one_stream_each(store: TestStore) {
    let (log, _, next) = scene(&store).await;
    let namesake = StreamKey { category: random::category(), ..next.stream.clone() };
    let event = Event { stream: namesake, position: 0, ..next };
    store.backdoor.insert(&log, &event).await.expect("the position is of another stream");
    let replay = PublishBuilder::random(&event.stream, 1).build();
    assert_eq!(store.write(&log, &replay).await[0].position, 1);
}
