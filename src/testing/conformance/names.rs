//! Names that tempt a store to read more into them than bytes.

use super::store::{TestStore, fresh, of_category, of_stream};
use crate::{
    model::{
        CategoryName, Event, EventName, Filter, Lanes, LogName, LogSettings, Ordering, Scan,
        Source, StreamKey, StreamName, Test,
    },
    testing::{NewEventBuilder, PublishBuilder},
};

/// Names, each of which is another by its bytes.
fn hostile() -> Vec<String> {
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "aa",
        "a/b",
        "a%2Fb",
        "%",
        "_",
        "a%",
        "a_",
        "\\",
        "\\%",
        "a\\_",
        "'",
        "''",
        "\"",
        "'; DROP TABLE event; --",
        "$1".trim_start_matches('$'),
        "?",
        "?1",
        ":a",
        "{}",
        "[a]",
        "*",
        "a*",
        "null",
        "NULL",
        "0",
        "00",
        "-1",
        "1e2",
        "...",
        "~",
        "#",
        "a+b",
        "\u{e9}",
        "e\u{301}",
        "ß",
        "ss",
        "ẞ",
        "İ",
        "i",
        "ı",
        "日本",
        "👩‍👩‍👧",
        "\u{202e}abc",
        "\u{feff}a",
        "\u{a0}a",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{10000}",
    ];
    let long = ["x".repeat(255), format!("{}y", "x".repeat(254)), "é".repeat(127), "x".repeat(254)];
    names.into_iter().map(str::to_owned).chain(long).collect()
}

pub(super) async fn hostile_names_are_only_bytes(store: TestStore) {
    let log = store.log().await;
    let mut written: Vec<Event> = Vec::new();
    let names = hostile();
    // Each name in all three places; the stream's and the category's names are shifted.
    for (index, name) in names.iter().enumerate() {
        let other = &names[(index + 1) % names.len()];
        let stream = StreamKey {
            category: CategoryName::stored(&**name),
            stream: StreamName::stored(&**other),
        };
        let event = NewEventBuilder::new().with_name(name).build();
        let publish = PublishBuilder::of(&stream, event)
            .with_condition(Test::StreamIsEmpty(stream.clone()))
            .build();
        written.extend(store.write(&log, &publish).await);
    }
    assert_eq!(store.stored(&log).await, written);
    for event in &written {
        let own = vec![event.clone()];
        assert_eq!(store.events(&log, &of_stream(&event.stream)).await, own);
        assert_eq!(store.events(&log, &of_category(&event.stream)).await, own);
        let filter = Filter { names: vec![event.name.clone()], ..Filter::default() };
        let page = store.scan(&log, &Source::Log, &Scan { filter, ..Scan::first(100) }).await;
        assert_eq!(page.events, own);
    }
}

pub(super) async fn hostile_names_are_names_of_logs(store: TestStore) {
    let lanes = Lanes { ordering: Ordering::Log, count: 1 };
    let stream = StreamKey { category: CategoryName::stored("c"), stream: StreamName::stored("s") };
    let mut logs = Vec::new();
    for name in hostile() {
        let name = LogName::stored(name);
        let settings =
            LogSettings { name: name.clone(), lanes: Some(lanes), require_condition: None };
        let put = store.storage.logs.put_log(&settings, fresh(name, lanes)).await;
        let (log, is_new) = put.expect("a log is put");
        assert!(is_new, "{} is another name", log.name);
        logs.push((store.fill(&log, &stream, 1).await, log));
    }
    for (written, log) in logs {
        let found = store.storage.logs.log(&log.name).await.expect("a log is looked for");
        assert_eq!(found.as_ref(), Some(&log));
        assert_eq!(store.events(&log, &Source::Log).await, written);
    }
}

pub(super) async fn a_category_may_be_named_like_a_stream(store: TestStore) {
    let log = store.log().await;
    let key = |category: &str, stream: &str| StreamKey {
        category: CategoryName::stored(category),
        stream: StreamName::stored(stream),
    };
    let streams = [key("a", "b"), key("b", "a"), key("a", "a"), key("b", "b"), key("a-b", "a")];
    let mut written = Vec::new();
    for stream in streams.iter().chain(&streams) {
        written.extend(store.fill(&log, stream, 1).await);
    }
    for source in streams.iter().flat_map(|stream| [of_stream(stream), of_category(stream)]) {
        let own: Vec<Event> =
            written.iter().filter(|event| source.holds(&event.stream)).cloned().collect();
        assert_eq!(store.events(&log, &source).await, own, "{source:?}");
    }
}

pub(super) async fn names_are_not_normalised(store: TestStore) {
    let log = store.log().await;
    let key = |stream: &str| StreamKey {
        category: CategoryName::stored("caf\u{e9}"),
        stream: StreamName::stored(stream),
    };
    let (composed, decomposed) = (key("\u{e9}"), key("e\u{301}"));
    let one = store.fill(&log, &composed, 1).await;
    let two = store.fill(&log, &decomposed, 1).await;
    assert_eq!(store.events(&log, &of_stream(&composed)).await, one);
    assert_eq!(store.events(&log, &of_stream(&decomposed)).await, two);
    let other = Source::Category(CategoryName::stored("cafe\u{301}"));
    assert_eq!(store.events(&log, &other).await, []);
    let filter = Filter { names: vec![EventName::stored("\u{e9}")], ..Filter::default() };
    assert_eq!(store.latest(&log, &Source::Log, &filter).await, None);
}
