//! Pages: of every size and both ways they give each event exactly once; and their bounds.

use super::store::{TestStore, numbers, of_category, of_stream};
use crate::{
    model::{
        Direction, Event, EventName, Filter, Limits, Log, Ordering, Page, Scan, Source, StreamKey,
    },
    testing::{NewEventBuilder, PublishBuilder, random},
};

/// The three orderings, the latter two on several lanes.
const ORDERINGS: [(Ordering, i64); 3] =
    [(Ordering::Log, 1), (Ordering::Category, 3), (Ordering::Stream, 4)];

/// So many events one by one, each a microsecond later, over four streams of two categories.
async fn spread(store: &TestStore, log: &Log, count: usize) -> (Vec<StreamKey>, Vec<Event>) {
    let (one, two) = (random::category(), random::category());
    let streams = [&one, &one, &two, &two].map(random::stream_of).to_vec();
    let mut written = Vec::new();
    for stream in streams.iter().cycle().take(count) {
        store.clock.advance(1);
        written.extend(store.fill(log, stream, 1).await);
    }
    (streams, written)
}

/// Turns pages to the end.
async fn pages(
    store: &TestStore,
    log: &Log,
    source: &Source,
    mut ask: Scan,
    limits: &Limits,
) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let page = store.try_scan(log, source, &ask, limits).await.expect("our cursors are good");
        match ask.direction {
            Direction::Forwards => ask.after.clone_from(&page.cursor),
            Direction::Backwards => ask.before.clone_from(&page.cursor),
        }
        let at_end = page.at_end;
        pages.push(page);
        assert!(pages.len() < 1_000, "the pages come to an end");
        if at_end {
            return pages;
        }
    }
}

fn events(pages: Vec<Page>) -> Vec<Event> {
    pages.into_iter().flat_map(|page| page.events).collect()
}

fn backwards(limit: usize) -> Scan {
    Scan { direction: Direction::Backwards, ..Scan::first(limit) }
}

/// Pages of every size, both ways, over every kind of source of a log.
async fn pages_of_every_size(store: &TestStore, lanes: (Ordering, i64)) {
    const COUNT: usize = 9;
    let log = store.log_with(lanes.0, lanes.1).await;
    let (streams, written) = spread(store, &log, COUNT).await;
    for source in [Source::Log, of_category(&streams[0]), of_stream(&streams[0])] {
        let mut own: Vec<Event> =
            written.iter().filter(|event| source.holds(&event.stream)).cloned().collect();
        for limit in 1..=own.len() + 1 {
            let turned = pages(store, &log, &source, Scan::first(limit), &Limits::default()).await;
            let full = turned.iter().filter(|page| page.events.len() == limit).count();
            assert_eq!(full, own.len() / limit, "pages are full up to the last");
            assert_eq!(events(turned), own, "{source:?} by {limit}");
        }
        own.reverse();
        for limit in 1..=own.len() + 1 {
            let turned = pages(store, &log, &source, backwards(limit), &Limits::default()).await;
            assert_eq!(events(turned), own, "{source:?} backwards by {limit}");
        }
    }
}

pub(super) async fn pages_of_a_totally_ordered_log_give_each_event_once(store: TestStore) {
    pages_of_every_size(&store, ORDERINGS[0]).await;
}

pub(super) async fn pages_of_a_category_ordered_log_give_each_event_once(store: TestStore) {
    pages_of_every_size(&store, ORDERINGS[1]).await;
}

pub(super) async fn pages_of_a_stream_ordered_log_give_each_event_once(store: TestStore) {
    pages_of_every_size(&store, ORDERINGS[2]).await;
}

pub(super) async fn events_of_one_moment_are_given_once_too(store: TestStore) {
    for lanes in ORDERINGS {
        let log = store.log_with(lanes.0, lanes.1).await;
        for _ in 0..9 {
            store.fill(&log, &random::stream(), 1).await;
        }
        let stored = store.stored(&log).await;
        for ask in [Scan::first(2), backwards(2)] {
            let turned = pages(&store, &log, &Source::Log, ask, &Limits::default()).await;
            let mut read = events(turned);
            read.sort_by_key(|event| event.sequence_number);
            assert_eq!(read, stored, "{lanes:?}");
        }
    }
}

pub(super) async fn what_is_appended_between_pages_is_read_forwards(store: TestStore) {
    for lanes in ORDERINGS {
        let log = store.log_with(lanes.0, lanes.1).await;
        let (streams, mut written) = spread(&store, &log, 6).await;
        let (mut read, mut ask) = (Vec::new(), Scan::first(4));
        for stream in &streams[..3] {
            let page = store.scan(&log, &Source::Log, &ask).await;
            read.extend(page.events);
            ask.after = page.cursor;
            store.clock.advance(1);
            written.extend(store.fill(&log, stream, 2).await);
        }
        let turned = pages(&store, &log, &Source::Log, ask, &Limits::default()).await;
        read.extend(events(turned));
        assert_eq!(read, written, "{lanes:?}");
    }
}

pub(super) async fn what_is_appended_between_pages_is_not_read_backwards(store: TestStore) {
    for lanes in ORDERINGS {
        let log = store.log_with(lanes.0, lanes.1).await;
        let (streams, mut written) = spread(&store, &log, 8).await;
        let page = store.scan(&log, &Source::Log, &backwards(1)).await;
        let mut read = page.events;
        store.clock.advance(1);
        for stream in &streams {
            store.fill(&log, stream, 1).await;
        }
        let ask = Scan { before: page.cursor, ..backwards(3) };
        let turned = pages(&store, &log, &Source::Log, ask, &Limits::default()).await;
        read.extend(events(turned));
        written.reverse();
        assert_eq!(read, written, "{lanes:?}");
    }
}

pub(super) async fn a_page_is_cut_at_its_bytes(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let payload = format!("\"{}\"", "x".repeat(1_000));
    let mut written = Vec::new();
    for _ in 0..7 {
        let event = NewEventBuilder::new().with_payload(&payload).with_metadata("null").build();
        written.extend(store.write(&log, &PublishBuilder::of(&stream, event).build()).await);
    }
    let bytes = written[0].bytes();
    for (page_bytes, sizes) in [
        (bytes * 3, vec![3, 3, 1]),
        (bytes * 3 - 1, vec![2, 2, 2, 1]),
        (bytes * 7, vec![7]),
        (1, vec![1; 7]),
    ] {
        let limits = Limits { page_bytes, ..Limits::default() };
        for source in [Source::Log, of_stream(&stream)] {
            let turned = pages(&store, &log, &source, Scan::first(100), &limits).await;
            let counts: Vec<usize> = turned.iter().map(|page| page.events.len()).collect();
            assert_eq!(counts, sizes, "{page_bytes} bytes");
            assert_eq!(events(turned), written);
        }
    }
}

pub(super) async fn a_filtered_page_is_cut_at_what_it_examined(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    store.fill(&log, &stream, 7).await;
    let wanted = NewEventBuilder::new().with_name("wanted").build();
    let wanted = store.write(&log, &PublishBuilder::of(&stream, wanted).build()).await;
    store.fill(&log, &stream, 1).await;
    let filter = Filter { names: vec![EventName::stored("wanted")], ..Filter::default() };
    let limits = Limits { page_examined: 3, ..Limits::default() };
    for source in [Source::Log, of_category(&stream), of_stream(&stream)] {
        let ask = Scan { filter: filter.clone(), ..Scan::first(10) };
        let turned = pages(&store, &log, &source, ask, &limits).await;
        let found: Vec<(Vec<i64>, bool)> =
            turned.iter().map(|page| (numbers(&page.events), page.at_end)).collect();
        assert_eq!(found, [(vec![], false), (vec![], false), (vec![8], true)], "{source:?}");
        assert_eq!(events(turned), wanted);
    }
}

pub(super) async fn the_latest_is_found_beyond_one_page_of_examining(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let first = store.fill(&log, &stream, 1).await.remove(0);
    store.fill(&log, &stream, 8).await;
    let filter = Filter { names: vec![first.name.clone()], ..Filter::default() };
    let limits = Limits { page_examined: 3, ..Limits::default() };
    let events = store.storage.events.as_ref();
    let latest = crate::storage::scan::latest(events, &log, &Source::Log, &filter, &limits);
    assert_eq!(latest.await.expect("it is looked for"), Some(first));
}

pub(super) async fn a_hundred_events_and_more_cross_every_fetch(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let (written, source) = (store.fill(&log, &stream, 1_300).await, of_stream(&stream));
    for limit in [127, 128, 129, 1_299, 1_300, 1_301] {
        let turned = pages(&store, &log, &source, Scan::first(limit), &Limits::default()).await;
        assert_eq!(turned.len(), written.len().div_ceil(limit), "by {limit}");
        assert_eq!(events(turned), written, "by {limit}");
    }
}
