//! Filters of scans and of latest: by name, by metadata, by three times.

use super::store::{TestStore, of_category, of_stream, positions, time};
use crate::{
    model::{
        Direction, Event, EventName, Filter, Log, MetadataMatch, Ordering, Scalar, Scan, Source,
        StreamKey, TimeRange, Timestamp,
    },
    testing::{NewEventBuilder, PublishBuilder, random},
};

/// Six events of one stream, a second apart in each of their times; what occurred is in reverse.
async fn six(store: &TestStore, log: &Log) -> (StreamKey, Vec<Event>) {
    let stream = random::stream();
    let mut written = Vec::new();
    for (index, name) in ["a", "b", "a", "c", "b", "a"].into_iter().enumerate() {
        let second = |year: &str, second| time(&format!("{year}-01-01T00:00:0{second}Z"));
        store.clock.set(second("2030", index));
        let event = NewEventBuilder::new()
            .with_name(name)
            .with_metadata(&format!(
                r#"{{"index":{index},"even":"{}","deep":{{"index":1}}}}"#,
                index % 2 == 0
            ))
            .with_occurred_at(second("2010", 9 - index))
            .with_observed_at(second("2020", index));
        let publish = PublishBuilder::of(&stream, event.build()).build();
        written.extend(store.write(log, &publish).await);
    }
    (stream, written)
}

/// Holds a filter against the positions it should pass: both ways, by pages, and for latest.
async fn passes(
    store: &TestStore,
    log: &Log,
    stream: &StreamKey,
    filter: Filter,
    expected: &[i64],
) {
    for source in [Source::Log, of_category(stream), of_stream(stream)] {
        let ask = Scan { filter: filter.clone(), ..Scan::first(100) };
        let page = store.scan(log, &source, &ask).await;
        assert_eq!(positions(&page.events), expected, "{filter:?}");
        assert!(page.at_end);
        let mut ask = Scan { direction: Direction::Backwards, limit: 1, ..ask };
        let mut read = Vec::new();
        loop {
            let page = store.scan(log, &source, &ask).await;
            read.extend(positions(&page.events));
            ask.before = page.cursor;
            if page.at_end {
                break;
            }
        }
        read.reverse();
        assert_eq!(read, expected, "backwards by one: {filter:?}");
        let latest = store.latest(log, &source, &filter).await;
        assert_eq!(latest.map(|event| event.position), expected.last().copied(), "{filter:?}");
    }
}

pub(super) async fn names_filter_scans_and_latest(store: TestStore) {
    let log = store.log().await;
    let (stream, _) = six(&store, &log).await;
    for (names, expected) in [
        (vec![], vec![0, 1, 2, 3, 4, 5]),
        (vec!["a"], vec![0, 2, 5]),
        (vec!["b"], vec![1, 4]),
        (vec!["c", "b"], vec![1, 3, 4]),
        (vec!["A"], vec![]),
    ] {
        let names = names.into_iter().map(EventName::stored).collect();
        let filter = Filter { names, ..Filter::default() };
        passes(&store, &log, &stream, filter, &expected).await;
    }
}

pub(super) async fn metadata_filters_scans_and_latest(store: TestStore) {
    let log = store.log().await;
    let (stream, _) = six(&store, &log).await;
    let member = |key: &str, any_of: Vec<Scalar>| MetadataMatch { key: key.to_owned(), any_of };
    let (text, literal) = (|t: &str| Scalar::Text(t.into()), |t: &str| Scalar::Literal(t.into()));
    let even = member("even", vec![text("true")]);
    for (metadata, expected) in [
        (vec![even.clone()], vec![0, 2, 4]),
        (vec![member("even", vec![literal("true")])], vec![]),
        (vec![member("index", vec![literal("3"), Scalar::Any("4".into())])], vec![3, 4]),
        (vec![member("index", vec![text("3")])], vec![]),
        (vec![even, member("index", vec![literal("4"), literal("5")])], vec![4]),
        (vec![member("deep", vec![literal("1")])], vec![]),
        (vec![member("missing", vec![Scalar::Any("null".into())])], vec![]),
    ] {
        let filter = Filter { metadata, ..Filter::default() };
        passes(&store, &log, &stream, filter, &expected).await;
    }
}

/// A range over the seconds of a year.
fn range(year: &str, from: Option<&str>, until: Option<&str>) -> TimeRange {
    let at = |second: &str| -> Timestamp { time(&format!("{year}-01-01T00:00:{second}Z")) };
    TimeRange { from: from.map(at), until: until.map(at) }
}

pub(super) async fn each_time_filters_inclusively_at_both_ends(store: TestStore) {
    let log = store.log().await;
    let (stream, _) = six(&store, &log).await;
    let rising: [(Option<&str>, Option<&str>, Vec<i64>); 6] = [
        (Some("02"), None, vec![2, 3, 4, 5]),
        (None, Some("02"), vec![0, 1, 2]),
        (Some("01"), Some("03"), vec![1, 2, 3]),
        (Some("02.000001"), Some("04.999999"), vec![3, 4]),
        (Some("03"), Some("03"), vec![3]),
        (Some("03"), Some("02"), vec![]),
    ];
    for (from, until, expected) in rising {
        let observed = Filter { observed: range("2020", from, until), ..Filter::default() };
        passes(&store, &log, &stream, observed, &expected).await;
        let recorded = Filter { recorded: range("2030", from, until), ..Filter::default() };
        passes(&store, &log, &stream, recorded, &expected).await;
    }
    let falling: [(Option<&str>, Option<&str>, Vec<i64>); 3] = [
        (Some("07"), None, vec![0, 1, 2]),
        (None, Some("07"), vec![2, 3, 4, 5]),
        (Some("06"), Some("08"), vec![1, 2, 3]),
    ];
    for (from, until, expected) in falling {
        let occurred = Filter { occurred: range("2010", from, until), ..Filter::default() };
        passes(&store, &log, &stream, occurred, &expected).await;
    }
}

pub(super) async fn a_log_is_read_as_of_and_as_at(store: TestStore) {
    let log = store.log().await;
    let (stream, _) = six(&store, &log).await;
    // What had occurred by 2010…07, as far as it was stored by 2030…03.
    let filter = Filter {
        occurred: range("2010", None, Some("07")),
        recorded: range("2030", None, Some("03")),
        ..Filter::default()
    };
    passes(&store, &log, &stream, filter, &[2, 3]).await;
    let names = vec![EventName::stored("a")];
    let both = Filter { names, observed: range("2020", Some("01"), None), ..Filter::default() };
    passes(&store, &log, &stream, both, &[2, 5]).await;
}

pub(super) async fn filters_hold_over_several_lanes(store: TestStore) {
    let log = store.log_with(Ordering::Stream, 4).await;
    let mut wanted = Vec::new();
    for index in 0..12 {
        store.clock.advance(1);
        let name = if index % 3 == 0 { "wanted" } else { "other" };
        let event = NewEventBuilder::new().with_name(name).build();
        let publish = PublishBuilder::of(&random::stream(), event).build();
        wanted.extend(store.write(&log, &publish).await);
    }
    wanted.retain(|event| event.name.as_str() == "wanted");
    let filter = Filter { names: vec![EventName::stored("wanted")], ..Filter::default() };
    for limit in 1..=5 {
        let (mut ask, mut read) = (Scan { filter: filter.clone(), ..Scan::first(limit) }, vec![]);
        loop {
            let page = store.scan(&log, &Source::Log, &ask).await;
            read.extend(page.events);
            ask.after = page.cursor;
            if page.at_end {
                break;
            }
        }
        assert_eq!(read, wanted, "by {limit}");
    }
    let latest = store.latest(&log, &Source::Log, &filter).await;
    assert_eq!(latest.as_ref(), wanted.last());
}
