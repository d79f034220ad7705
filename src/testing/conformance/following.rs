//! The promise to readers: who follows a source while it is written to sees every event exactly
//! once, and in the order of its scope.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::store::{TestStore, of_stream};
use crate::{
    model::{CategoryName, Event, Log, Ordering, Scan, Source, StreamKey, Test},
    testing::{PublishBuilder, WriteBuilder, random},
};

const WRITERS: usize = 5;
const PUBLISHES: usize = 8;
/// Far more than any of this takes; the case then fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reads on and on from the cursor, until the writers are done and nothing is left.
async fn follow(store: TestStore, log: Log, source: Source, done: Arc<AtomicBool>) -> Vec<Event> {
    let (mut seen, mut ask) = (Vec::new(), Scan::first(7));
    loop {
        let was_done = done.load(SeqCst);
        let page = store.scan(&log, &source, &ask).await;
        if was_done && page.events.is_empty() && page.at_end {
            return seen;
        }
        seen.extend(page.events);
        ask.after = page.cursor.or(ask.after);
        tokio::task::yield_now().await;
    }
}

/// Writes in turn to streams, some publishes of which are refused, some of them to several.
async fn write(store: TestStore, log: Log, streams: Vec<StreamKey>, together: bool) {
    for turn in 0..PUBLISHES {
        if together {
            let writes = streams.iter().map(|s| WriteBuilder::to(s).with_random_events(2).build());
            let all = writes.fold(PublishBuilder::new(), PublishBuilder::with_write);
            store.write(&log, &all.build()).await;
        } else {
            let stream = &streams[turn % streams.len()];
            store.fill(&log, stream, turn % 3 + 1).await;
        }
        let never = Test::AnyOf(Vec::new());
        let refused = PublishBuilder::random(&streams[0], 2).with_condition(never).build();
        assert!(store.publish(&log, &refused).await.is_err());
        store.clock.advance(1);
    }
}

/// What a follower saw of its source.
struct Followed {
    source: Source,
    seen: Vec<Event>,
}

/// Writers over shared streams of three categories, and a follower of each of some sources.
async fn followed(store: &TestStore, log: &Log, together: bool) -> Vec<Followed> {
    let categories: Vec<CategoryName> = (0..3).map(|_| random::category()).collect();
    let streams: Vec<StreamKey> =
        categories.iter().cycle().take(6).map(random::stream_of).collect();
    let mut sources = vec![Source::Log];
    sources.extend(categories.into_iter().map(Source::Category));
    sources.extend(streams.iter().take(2).map(of_stream));
    let done = Arc::new(AtomicBool::new(false));
    let mut followers = JoinSet::new();
    for source in sources {
        let (store, log, done) = (store.clone(), log.clone(), done.clone());
        followers.spawn(async move {
            let seen = follow(store, log, source.clone(), done).await;
            Followed { source, seen }
        });
    }
    let mut writers = JoinSet::new();
    for index in 0..WRITERS {
        let mut own = streams.clone();
        own.rotate_left(index);
        own.truncate(4);
        writers.spawn(write(store.clone(), log.clone(), own, together));
    }
    let written = tokio::time::timeout(PATIENCE, writers.join_all()).await;
    written.expect("the writers come to an end");
    done.store(true, SeqCst);
    let followed = tokio::time::timeout(PATIENCE, followers.join_all()).await;
    followed.expect("the followers come to an end")
}

/// Each event of the source once, and each scope's in order.
async fn saw_all_in_order(store: &TestStore, log: &Log, together: bool) {
    for Followed { source, seen } in followed(store, log, together).await {
        let mut expected = store.stored(log).await;
        expected.retain(|event| source.holds(&event.stream));
        assert!(!expected.is_empty(), "{source:?} was written to");
        let mut by_number = seen.clone();
        by_number.sort_by_key(|event| event.sequence_number);
        assert_eq!(by_number, expected, "{source:?}: each event once");
        if log.lanes.single(&source).is_some() {
            assert_eq!(seen, expected, "{source:?}: in order of number");
        }
        let mut last: BTreeMap<&StreamKey, i64> = BTreeMap::new();
        for event in &seen {
            let before = last.insert(&event.stream, event.position).unwrap_or(-1);
            assert_eq!(event.position, before + 1, "{source:?}: a stream in order of position");
        }
    }
}

pub(super) async fn a_totally_ordered_log_is_followed_without_a_skip(store: TestStore) {
    let log = store.log().await;
    saw_all_in_order(&store, &log, false).await;
}

pub(super) async fn a_category_ordered_log_is_followed_without_a_skip(store: TestStore) {
    let log = store.log_with(Ordering::Category, 2).await;
    saw_all_in_order(&store, &log, false).await;
}

pub(super) async fn a_stream_ordered_log_is_followed_without_a_skip(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    saw_all_in_order(&store, &log, false).await;
}

pub(super) async fn many_streams_at_once_are_followed_in_a_totally_ordered_log(store: TestStore) {
    let log = store.log().await;
    saw_all_in_order(&store, &log, true).await;
}

pub(super) async fn many_streams_at_once_are_followed_in_a_category_ordered_log(store: TestStore) {
    let log = store.log_with(Ordering::Category, 2).await;
    saw_all_in_order(&store, &log, true).await;
}

pub(super) async fn many_streams_at_once_are_followed_in_a_stream_ordered_log(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    saw_all_in_order(&store, &log, true).await;
}
