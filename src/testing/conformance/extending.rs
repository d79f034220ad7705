//! Writing in one step at the known end of a lane, and the look-ups that go before it.

use tokio::task::JoinSet;

use super::store::{TestStore, numbers};
use crate::{
    model::{Event, Log, Ordering},
    storage::{End, Known},
    testing::random,
};

/// A log that ends with sequence number 3, and two events that may be its next.
async fn scene(store: &TestStore) -> (Log, Vec<Event>, Vec<Event>) {
    let (log, stream) = (store.log().await, random::stream());
    let stored = store.fill(&log, &stream, 3).await;
    (log, stored.clone(), after(&stored, 2))
}

/// So many events that go on where these end.
fn after(stored: &[Event], count: i64) -> Vec<Event> {
    let last = stored.last().expect("there are events");
    let next = |i| Event {
        id: random::id(),
        position: last.position + i,
        sequence_number: last.sequence_number + i,
        ..last.clone()
    };
    (1..=count).map(next).collect()
}

/// Where the log's only lane ends after these.
fn end(stored: &[Event]) -> End {
    let last = stored.last().expect("there are events");
    End { n: last.sequence_number, id: last.id }
}

/// Extends the log's only lane, which the store must be able to answer.
async fn extend(store: &TestStore, log: &Log, end: End, events: &[Event]) -> bool {
    store.storage.events.extend(log, 0, end, events).await.expect("the store answers")
}

pub(super) async fn what_was_decided_is_written_where_the_lane_ends(store: TestStore) {
    let (log, mut stored, next) = scene(&store).await;
    assert!(extend(&store, &log, end(&stored), &next).await);
    stored.extend(next);
    assert_eq!(store.stored(&log).await, stored);
    let more = after(&stored, 100);
    assert!(extend(&store, &log, end(&stored), &more).await);
    stored.extend(more);
    assert_eq!(store.stored(&log).await, stored);
    let appended = store.fill(&log, &random::stream(), 1).await;
    assert_eq!(numbers(&appended), [106], "a section goes on from there");
}

pub(super) async fn the_first_events_of_a_lane_are_written_after_0(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    let elsewhere = store.log().await;
    let like = store.fill(&elsewhere, &random::stream(), 1).await.remove(0);
    let stream = random::stream();
    let lane = log.lanes.of_stream(&stream);
    let number = log.lanes.number(lane, 1);
    let first = Event { id: random::id(), stream, position: 0, sequence_number: number, ..like };
    let events = &store.storage.events;
    let extended = events.extend(&log, lane, End::EMPTY, std::slice::from_ref(&first)).await;
    assert!(extended.expect("the store answers"));
    assert_eq!(store.stored(&log).await, [first]);
}

pub(super) async fn a_lane_that_ends_elsewhere_is_left_alone(store: TestStore) {
    let (log, stored, next) = scene(&store).await;
    let moved = |by: i64| -> Vec<Event> {
        let number = |event: &Event| event.sequence_number + by;
        next.iter().map(|e| Event { sequence_number: number(e), ..e.clone() }).collect()
    };
    assert!(!extend(&store, &log, end(&stored[..2]), &moved(-1)).await, "it is longer");
    let longer = End { n: 4, id: random::id() };
    assert!(!extend(&store, &log, longer, &moved(1)).await, "it is shorter");
    assert!(!extend(&store, &log, End::EMPTY, &moved(-3)).await, "it is not empty");
    let other = End { id: random::id(), ..end(&stored) };
    assert!(!extend(&store, &log, other, &next).await, "it is another history");
    assert_eq!(store.stored(&log).await, stored);
}

pub(super) async fn what_is_taken_stops_the_whole_batch(store: TestStore) {
    let (log, stored, next) = scene(&store).await;
    let (first, second) = (&next[0], &next[1]);
    let other = store.fill(&log, &random::stream(), 1).await;
    let renumbered =
        |event: &Event| Event { sequence_number: event.sequence_number + 1, ..event.clone() };
    let (first, second) = (renumbered(first), renumbered(second));
    for spoiled in [
        Event { position: 0, ..second.clone() },
        Event { id: stored[0].id, ..second.clone() },
        Event { id: first.id, ..second.clone() },
        Event { position: first.position, ..second.clone() },
    ] {
        assert!(
            !extend(&store, &log, end(&other), &[first.clone(), spoiled.clone()]).await,
            "{spoiled:?}"
        );
        assert_eq!(store.stored(&log).await, [stored.clone(), other.clone()].concat());
    }
    assert!(extend(&store, &log, end(&other), &[first, second]).await, "nothing was left of it");
}

pub(super) async fn of_those_who_extend_at_once_one_wins(store: TestStore) {
    let (log, stored, _) = scene(&store).await;
    let (mut writers, at) = (JoinSet::new(), end(&stored));
    for _ in 0..8 {
        let (store, log, next) = (store.clone(), log.clone(), after(&stored, 2));
        writers.spawn(async move { extend(&store, &log, at, &next).await.then_some(next) });
    }
    let won: Vec<Vec<Event>> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.stored(&log).await, [stored, won.concat()].concat());
}

/// Sections write between the steps, and neither leaves a hole or overwrites.
pub(super) async fn steps_and_sections_keep_out_of_each_others_way(store: TestStore) {
    let (log, ..) = scene(&store).await;
    let mut writers = JoinSet::new();
    for _ in 0..3 {
        let (store, log) = (store.clone(), log.clone());
        writers.spawn(async move {
            let stream = random::stream();
            for _ in 0..10 {
                store.fill(&log, &stream, 2).await;
            }
        });
    }
    let extended = async {
        let mut extended = 0;
        while extended < 10 {
            let stored = store.stored(&log).await;
            let last = end(&stored);
            let next = Event {
                id: random::id(),
                stream: random::stream(),
                position: 0,
                sequence_number: last.n + 1,
                ..stored[0].clone()
            };
            extended += i64::from(extend(&store, &log, last, &[next]).await);
        }
    };
    tokio::join!(extended, writers.join_all());
    let expected: Vec<i64> = (1..=3 + 60 + 10).collect();
    assert_eq!(numbers(&store.stored(&log).await), expected);
}

pub(super) async fn what_is_looked_up_is_what_is_stored(store: TestStore) {
    let (log, stored, _) = scene(&store).await;
    let (stream, nobody) = (stored[0].stream.clone(), random::stream());
    let (taken, free) = (stored[1].id, random::id());
    let streams = [nobody.clone(), stream.clone()];
    let elsewhere = store.log().await;
    let nothing = Known::default();
    let events = vec![stored[1].clone()];
    let found = Known { positions: vec![(stream.clone(), 2)], events };
    for (log, streams, ids, expected) in [
        (&log, streams.as_slice(), [free, taken].as_slice(), &found),
        (&log, &[nobody], &[free], &nothing),
        (&log, &[], &[], &nothing),
        (&elsewhere, &streams, &[taken], &nothing),
    ] {
        let known = store.storage.events.look(log, streams, ids).await;
        assert_eq!(known.as_ref().expect("it is looked up"), expected);
    }
}
