//! Listings of logs, categories and streams: by prefix and cursor, in byte order, with their ends.

use super::store::{TestStore, fresh, time};
use crate::{
    model::{
        CategoryName, Lanes, Log, LogName, LogSettings, Ordering, Source, StreamKey, StreamName,
    },
    storage::{
        Listing,
        catalogue::{self, CategoryEntry, Extent, StreamEntry},
    },
    testing::random,
};

/// Names in byte order; prefixes of each other, and what `LIKE` would take for a wildcard.
const NAMES: [&str; 11] = ["%", "A", "_", "a", "a%", "a/b", "a_b", "aa", "ab", "b", "é"];

/// By prefix and after, what a listing should hold.
const ASKED: [(&str, Option<&str>, &[&str]); 9] = [
    ("", None, &NAMES),
    ("a", None, &["a", "a%", "a/b", "a_b", "aa", "ab"]),
    ("a", Some("a/b"), &["a_b", "aa", "ab"]),
    ("a", Some("A"), &["a", "a%", "a/b", "a_b", "aa", "ab"]),
    ("a", Some("b"), &[]),
    ("%", None, &["%"]),
    ("_", None, &["_"]),
    ("", Some("ab"), &["b", "é"]),
    ("zzz", None, &[]),
];

fn listing(prefix: &str, after: Option<&str>, limit: usize) -> Listing {
    Listing { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit }
}

pub(super) async fn logs_are_listed_by_prefix_and_cursor(store: TestStore) {
    let lanes = Lanes { ordering: Ordering::Log, count: 1 };
    for name in NAMES.iter().rev() {
        let name = LogName::stored(*name);
        let settings =
            LogSettings { name: name.clone(), lanes: Some(lanes), require_condition: None };
        store.storage.logs.put_log(&settings, fresh(name, lanes)).await.expect("a log is put");
    }
    for (prefix, after, expected) in ASKED {
        for limit in 1..=expected.len() + 1 {
            let ask = listing(prefix, after, limit);
            let logs = store.storage.logs.logs(&ask).await.expect("logs are listed");
            let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
            assert_eq!(names, expected[..limit.min(expected.len())], "{ask:?}");
        }
    }
}

/// A page of categories, names only.
async fn categories(store: &TestStore, log: &Log, ask: &Listing) -> (Vec<String>, bool) {
    let mut view = store.storage.events.view(log).await.expect("a view opens");
    let page = catalogue::categories(&mut *view, log, ask, false).await;
    view.close().await;
    let (entries, more) = page.expect("categories are listed");
    (entries.into_iter().map(|entry| entry.category.to_string()).collect(), more)
}

async fn streams(
    store: &TestStore,
    log: &Log,
    category: &CategoryName,
    ask: &Listing,
) -> (Vec<StreamEntry>, bool) {
    let mut view = store.storage.events.view(log).await.expect("a view opens");
    let page = catalogue::streams(&mut *view, log, category, ask).await;
    view.close().await;
    page.expect("streams are listed")
}

pub(super) async fn categories_are_listed_by_prefix_and_cursor(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 3).await;
    assert_eq!(categories(&store, &log, &listing("", None, 5)).await, (vec![], false));
    for name in NAMES.iter().rev().chain(&NAMES) {
        store.fill(&log, &random::stream_of(&CategoryName::stored(*name)), 1).await;
    }
    for (prefix, after, expected) in ASKED {
        for limit in 1..=expected.len() + 1 {
            let ask = listing(prefix, after, limit);
            let (names, more) = categories(&store, &log, &ask).await;
            assert_eq!(names, expected[..limit.min(expected.len())], "{ask:?}");
            assert_eq!(more, limit < expected.len(), "{ask:?}");
        }
    }
}

pub(super) async fn streams_are_listed_by_prefix_and_cursor(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 3).await;
    let category = random::category();
    for name in NAMES.iter().rev() {
        let key = StreamKey { category: category.clone(), stream: StreamName::stored(*name) };
        store.fill(&log, &key, 2).await;
        store.fill(&log, &random::stream(), 1).await;
    }
    for (prefix, after, expected) in ASKED {
        for limit in 1..=expected.len() + 1 {
            let ask = listing(prefix, after, limit);
            let (entries, more) = streams(&store, &log, &category, &ask).await;
            let names: Vec<&str> = entries.iter().map(|entry| entry.key.stream.as_str()).collect();
            assert_eq!(names, expected[..limit.min(expected.len())], "{ask:?}");
            assert_eq!(more, limit < expected.len(), "{ask:?}");
        }
    }
}

pub(super) async fn entries_tell_the_ends_of_what_they_name(store: TestStore) {
    let log = store.log().await;
    let category = random::category();
    let one = StreamKey { category: category.clone(), stream: StreamName::stored("one") };
    let two = StreamKey { category: category.clone(), stream: StreamName::stored("two") };
    let at = |second: i64| time(&format!("2030-01-01T00:00:0{second}Z"));
    for (second, stream, count) in [(1, &one, 2), (2, &two, 1), (3, &one, 1), (4, &two, 2)] {
        store.clock.set(at(second));
        store.fill(&log, stream, count).await;
    }
    store.fill(&log, &random::stream(), 1).await;
    let entry = |key: &StreamKey, first, last, position, last_sequence_number| StreamEntry {
        key: key.clone(),
        position,
        extent: Extent {
            first_recorded_at: at(first),
            last_recorded_at: at(last),
            last_sequence_number,
        },
    };
    let (one_entry, two_entry) = (entry(&one, 1, 3, 2, 4), entry(&two, 2, 4, 2, 6));
    let listed = streams(&store, &log, &category, &listing("", None, 10)).await;
    assert_eq!(listed, (vec![one_entry.clone(), two_entry], false));

    let mut view = store.storage.events.view(&log).await.expect("a view opens");
    let found = catalogue::stream(&mut *view, &log, &one).await;
    assert_eq!(found.expect("a stream is looked for"), Some(one_entry));
    let extent =
        Extent { first_recorded_at: at(1), last_recorded_at: at(4), last_sequence_number: 6 };
    for count in [true, false] {
        let found = catalogue::category(&mut *view, &log, &category, count).await;
        let events = count.then_some(6);
        let entry = CategoryEntry { category: category.clone(), extent, events };
        assert_eq!(found.expect("a category is looked for"), Some(entry));
    }
    let last = catalogue::last_sequence_number(&mut *view, &log).await;
    assert_eq!(last.expect("the end is looked for"), 7);
    view.close().await;
}

pub(super) async fn what_has_no_event_has_no_entry(store: TestStore) {
    let log = store.log_with(Ordering::Category, 3).await;
    store.fill(&log, &random::stream(), 1).await;
    let absent = random::stream();
    let mut view = store.storage.events.view(&log).await.expect("a view opens");
    let stream = catalogue::stream(&mut *view, &log, &absent).await;
    assert_eq!(stream.expect("a stream is looked for"), None);
    let category = catalogue::category(&mut *view, &log, &absent.category, true).await;
    assert_eq!(category.expect("a category is looked for"), None);
    let source = Source::Category(absent.category.clone());
    let extent = catalogue::extent(&mut *view, &log, &source).await;
    assert_eq!(extent.expect("the ends are looked for"), None);
    view.close().await;
    let listed = streams(&store, &log, &absent.category, &listing("", None, 5)).await;
    assert_eq!(listed, (vec![], false));
}

pub(super) async fn entries_of_several_lanes_tell_the_ends_of_all(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    let category = random::category();
    let mut written = Vec::new();
    for _ in 0..10 {
        store.clock.advance(1);
        written.extend(store.fill(&log, &random::stream_of(&category), 1).await);
    }
    let (first, last) = (&written[0], &written[9]);
    let mut view = store.storage.events.view(&log).await.expect("a view opens");
    let found = catalogue::category(&mut *view, &log, &category, true).await;
    let number = catalogue::last_sequence_number(&mut *view, &log).await;
    view.close().await;
    let extent = Extent {
        first_recorded_at: first.recorded_at,
        last_recorded_at: last.recorded_at,
        last_sequence_number: last.sequence_number,
    };
    let entry = CategoryEntry { category, extent, events: Some(10) };
    assert_eq!(found.expect("a category is looked for"), Some(entry));
    assert_eq!(number.expect("the end is looked for"), last.sequence_number);
}
