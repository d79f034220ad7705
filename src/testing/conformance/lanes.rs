//! Logs of several lanes: numbers without holes in each, streams and categories in one lane.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{TestStore, numbers};
use crate::{
    model::{Event, Log, Ordering, StreamKey, Test},
    testing::{PublishBuilder, WriteBuilder, random},
};

/// The n of each lane's events, in the order of their sequence numbers.
fn by_lane(log: &Log, events: &[Event]) -> BTreeMap<i64, Vec<i64>> {
    let mut lanes: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for event in events {
        let count = log.lanes.count;
        lanes.entry(event.sequence_number % count).or_default().push(event.sequence_number / count);
    }
    lanes
}

/// Each lane has n = 1, 2, 3 …
fn without_holes(log: &Log, events: &[Event]) {
    for (lane, numbers) in by_lane(log, events) {
        let expected: Vec<i64> = (1..).take(numbers.len()).collect();
        assert_eq!(numbers, expected, "lane {lane}");
    }
}

/// The lanes in which the events of each key are.
fn lanes_of<K: Ord>(
    log: &Log,
    events: &[Event],
    key: fn(&Event) -> K,
) -> BTreeMap<K, BTreeSet<i64>> {
    let mut lanes: BTreeMap<K, BTreeSet<i64>> = BTreeMap::new();
    for event in events {
        lanes.entry(key(event)).or_default().insert(event.sequence_number % log.lanes.count);
    }
    lanes
}

/// Publishes to 24 streams of 8 categories, by one and by many, some of which is refused.
async fn fill(store: &TestStore, log: &Log) -> Vec<Event> {
    for _ in 0..8 {
        let category = random::category();
        let streams: Vec<StreamKey> = (0..3).map(|_| random::stream_of(&category)).collect();
        for stream in &streams {
            store.fill(log, stream, 2).await;
        }
        let to_all = || {
            let writes = streams.iter().map(|stream| WriteBuilder::to(stream).build());
            writes.fold(PublishBuilder::new(), PublishBuilder::with_write)
        };
        store.write(log, &to_all().build()).await;
        let refused = to_all().with_condition(Test::StreamIsEmpty(streams[1].clone())).build();
        let fresh = PublishBuilder::random(&random::stream_of(&category), 1).build();
        let outcomes = store.append(log, &[refused, fresh]).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
    store.stored(log).await
}

pub(super) async fn one_lane_numbers_from_1_without_holes(store: TestStore) {
    let log = store.log().await;
    let stored = fill(&store, &log).await;
    assert_eq!(numbers(&stored), (1..).take(stored.len()).collect::<Vec<i64>>());
}

pub(super) async fn a_category_stays_in_one_lane_without_holes(store: TestStore) {
    let log = store.log_with(Ordering::Category, 4).await;
    let stored = fill(&store, &log).await;
    without_holes(&log, &stored);
    let lanes = lanes_of(&log, &stored, |event| event.stream.category.clone());
    assert_eq!(lanes.len(), 8);
    assert!(lanes.values().all(|lanes| lanes.len() == 1), "{lanes:?}");
    assert!(by_lane(&log, &stored).len() > 1, "the categories are spread");
}

pub(super) async fn a_stream_stays_in_one_lane_without_holes(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 5).await;
    let stored = fill(&store, &log).await;
    without_holes(&log, &stored);
    let lanes = lanes_of(&log, &stored, |event| event.stream.clone());
    assert!(lanes.values().all(|lanes| lanes.len() == 1), "{lanes:?}");
    let spread = lanes_of(&log, &stored, |event| event.stream.category.clone());
    assert!(spread.values().any(|lanes| lanes.len() > 1), "a category's streams are spread");
}

pub(super) async fn sixty_four_lanes_are_as_good_as_one(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 64).await;
    let stored = fill(&store, &log).await;
    without_holes(&log, &stored);
    let mut read = store.events(&log, &crate::model::Source::Log).await;
    read.sort_by_key(|event| event.sequence_number);
    assert_eq!(read, stored);
}

pub(super) async fn recorded_at_never_decreases_within_a_lane(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 3).await;
    let streams: Vec<StreamKey> = (0..6).map(|_| random::stream()).collect();
    for (index, stream) in streams.iter().cycle().take(30).enumerate() {
        store.clock.advance(if index % 4 == 3 { -50 } else { 10 });
        store.fill(&log, stream, 1).await;
    }
    let mut last = BTreeMap::new();
    for event in store.stored(&log).await {
        let lane = event.sequence_number % 3;
        let before = last.insert(lane, event.recorded_at);
        assert!(before <= Some(event.recorded_at), "lane {lane}: {before:?}");
    }
}
