//! Tails: who follows a source gets each of its events once and in order, whoever writes and whatever
//! wake-up is lost.

use std::{collections::BTreeMap, sync::Arc};

use everlog::{
    engine::{
        hub::Hubs,
        publish::Publisher,
        tail::{From, Step, Tail, Tails},
        tasks::Tasks,
    },
    model::{
        CategoryName, Cursor, Event, EventName, Filter, Limits, Log, Ordering, Place, Source,
        StreamKey,
    },
    storage::scan::ScanError,
    testing::{NewEventBuilder, PublishBuilder, conformance::TestStore, random},
};
use tokio::task::JoinSet;

use crate::support::{memory, postgres, sqlite};

/// One process over a store.
#[derive(Clone)]
struct Node {
    publisher: Publisher,
    tails: Tails,
}

fn node(store: &TestStore, deaf: bool) -> Node {
    let (storage, tasks) = (store.storage.clone(), Tasks::default());
    let hubs = Hubs::new(storage.clone(), tasks.clone());
    let hubs = if deaf { hubs.deaf() } else { hubs };
    let clock = store.clock.clone();
    Node {
        publisher: Publisher::new(storage.clone(), clock, hubs.clone(), tasks.clone()),
        tails: Tails::new(storage, hubs, tasks, Limits::default()),
    }
}

/// The next events, and the cursor after them; waits for them.
async fn next(tail: &mut Tail) -> Vec<Event> {
    loop {
        match tail.step().await.expect("the tail goes on") {
            Step::Idle => tail.woken().await,
            Step::Events(events) if events.is_empty() => {}
            Step::Events(events) => {
                return events.into_iter().map(|(shared, _)| shared.event.clone()).collect();
            }
        }
    }
}

async fn so_many(tail: &mut Tail, count: usize) -> Vec<Event> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(next(tail).await);
    }
    seen
}

/// Each event of the source once, streams in order, and all of it in order where there is one order.
fn judge(log: &Log, source: &Source, expected: &[Event], seen: &[Event]) {
    let mut by_number = seen.to_vec();
    by_number.sort_by_key(|event| event.sequence_number);
    assert_eq!(by_number, expected, "{source:?}: each event once");
    if log.lanes.single(source).is_some() {
        assert_eq!(seen, expected, "{source:?}: in order");
    }
    let mut last: BTreeMap<&StreamKey, i64> = BTreeMap::new();
    for event in seen {
        let before = last.insert(&event.stream, event.position);
        assert!(before.is_none_or(|before| before < event.position), "{source:?}: {event:?}");
    }
}

/// Two processes write and are followed, from the beginning and from the middle.
async fn all_is_seen(store: TestStore, ordering: Ordering, lanes: i64, deaf: bool) {
    let log = Arc::new(store.log_with(ordering, lanes).await);
    let nodes = [node(&store, deaf), node(&store, deaf)];
    let categories: Vec<CategoryName> = (0..3).map(|_| random::category()).collect();
    let streams: Vec<StreamKey> =
        categories.iter().cycle().take(6).map(random::stream_of).collect();
    store.fill(&log, &streams[0], 300).await;
    let mut sources = vec![Source::Log];
    sources.extend(categories.iter().take(2).cloned().map(Source::Category));
    sources.extend(streams.iter().take(2).cloned().map(Source::Stream));
    let mut followers = JoinSet::new();
    let (turns, batch) = (12, 3);
    let per_stream = turns * batch;
    for source in sources {
        for (from, early) in [(From::Start, true), (From::Now, false)] {
            let mut expected =
                streams.iter().filter(|stream| source.holds(stream)).count() * per_stream;
            expected += if early && source.holds(&streams[0]) { 300 } else { 0 };
            let (log, source, tails) = (log.clone(), source.clone(), nodes[1].tails.clone());
            let tail = tails.follow(&log, source.clone(), from, Filter::default()).await;
            let mut tail = tail.expect("the source is there");
            followers.spawn(async move { (source, early, so_many(&mut tail, expected).await) });
        }
    }
    let mut writers = JoinSet::new();
    for (index, stream) in streams.iter().cloned().enumerate() {
        let (node, log) = (nodes[index % 2].clone(), log.clone());
        writers.spawn(async move {
            for _ in 0..turns {
                let publish = PublishBuilder::random(&stream, batch).build();
                node.publisher.publish(&log, publish).await.expect("it is written");
            }
        });
    }
    writers.join_all().await;
    let stored = store.stored(&log).await;
    for (source, early, seen) in followers.join_all().await {
        let old = |event: &Event| event.stream == streams[0] && event.position < 300;
        let mut expected = stored.clone();
        expected.retain(|event| source.holds(&event.stream) && (early || !old(event)));
        judge(&log, &source, &expected, &seen);
    }
}

macro_rules! on_every_store {
    ($($test:ident: $ordering:ident $lanes:literal $deaf:literal;)*) => {
        mod on_memory { use super::*; $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
            all_is_seen(memory::open().await, Ordering::$ordering, $lanes, $deaf).await;
        })* }
        mod on_sqlite { use super::*; $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
            all_is_seen(sqlite::open().await, Ordering::$ordering, $lanes, $deaf).await;
        })* }
        mod on_postgres { use super::*; $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
            all_is_seen(postgres::open().await, Ordering::$ordering, $lanes, $deaf).await;
        })* }
    };
}

on_every_store! {
    a_totally_ordered_log_is_followed: Log 1 false;
    a_category_ordered_log_is_followed: Category 3 false;
    a_stream_ordered_log_is_followed: Stream 5 false;
    without_wake_ups_a_totally_ordered_log_is_followed: Log 1 true;
    without_wake_ups_a_stream_ordered_log_is_followed: Stream 5 true;
}

async fn scene() -> (TestStore, Node, Arc<Log>, StreamKey) {
    let store = memory::open().await;
    let node = node(&store, false);
    let log = Arc::new(store.log().await);
    (store, node, log, random::stream())
}

async fn publish(node: &Node, log: &Arc<Log>, stream: &StreamKey, count: usize) -> Vec<Event> {
    let publish = PublishBuilder::random(stream, count).build();
    let ack = node.publisher.publish(log, publish).await.expect("it is written");
    ack.writes.into_iter().flat_map(|write| write.events).collect()
}

#[tokio::test]
async fn a_tail_that_falls_behind_the_ring_skips_nothing() {
    let (store, node, log, stream) = scene().await;
    let tail = node.tails.follow(&log, Source::Log, From::Start, Filter::default()).await;
    let mut tail = tail.expect("the log is there");
    publish(&node, &log, &stream, 1).await;
    assert_eq!(so_many(&mut tail, 1).await.len(), 1);
    assert!(matches!(tail.step().await, Ok(Step::Idle)));
    for _ in 0..10 {
        publish(&node, &log, &random::stream(), 500).await;
    }
    assert_eq!(so_many(&mut tail, 5_000).await, store.stored(&log).await[1..]);
}

/// Its place moves on with what its filter leaves out, so that it need not be read again.
#[tokio::test]
async fn a_filtered_tail_moves_on() {
    let (_, node, log, stream) = scene().await;
    let wanted: EventName = "wanted".parse().expect("a name");
    let filter = Filter { names: vec![wanted], ..Filter::default() };
    let tail = node.tails.follow(&log, Source::Log, From::Now, filter).await;
    let mut tail = tail.expect("the log is there");
    assert_eq!(tail.cursor(), None);
    let written = publish(&node, &log, &stream, 5).await;
    assert!(matches!(tail.step().await, Ok(Step::Events(events)) if events.is_empty()));
    assert!(matches!(tail.step().await, Ok(Step::Idle)));
    let last = Place { n: 5, check: Some(written[4].check()) };
    assert_eq!(tail.cursor(), Some(Cursor::Number(last)));
    let event = NewEventBuilder::new().with_name("wanted").build();
    let publish = PublishBuilder::of(&stream, event).build();
    node.publisher.publish(&log, publish).await.expect("it is written");
    assert_eq!(so_many(&mut tail, 1).await[0].sequence_number, 6);
}

#[tokio::test]
async fn a_tail_of_another_history_ends_with_an_error() {
    let (_, node, log, stream) = scene().await;
    publish(&node, &log, &stream, 3).await;
    let elsewhere = Cursor::Number(Place { n: 2, check: Some(1) });
    let from = From::After(elsewhere);
    let tail = node.tails.follow(&log, Source::Log, from, Filter::default()).await;
    assert!(matches!(tail, Err(ScanError::Diverged { .. })), "{tail:?}");
}
