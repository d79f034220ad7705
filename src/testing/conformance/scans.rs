//! What a log, a category and a stream give to a reader, and which event is their latest.

use super::store::{TestStore, of_category, of_stream};
use crate::{
    model::{Cursor, Event, Filter, Log, Place, Scan, Source, StreamKey},
    testing::random,
};

/// Two categories, the first with two streams, and a namesake of the first stream in the second.
struct Scene {
    log: Log,
    one: StreamKey,
    two: StreamKey,
    namesake: StreamKey,
}

impl Scene {
    async fn open(store: &TestStore) -> Self {
        let (log, one) = (store.log().await, random::stream());
        let two = random::stream_of(&one.category);
        let namesake = StreamKey { category: random::category(), stream: one.stream.clone() };
        Self { log, one, two, namesake }
    }

    /// Writes to the streams in turn; gives all events in the order written.
    async fn fill(&self, store: &TestStore) -> Vec<Event> {
        let mut written = Vec::new();
        let streams = [&self.one, &self.namesake, &self.two, &self.one, &self.two, &self.namesake];
        for (count, stream) in streams.into_iter().enumerate() {
            written.extend(store.fill(&self.log, stream, count % 2 + 1).await);
        }
        written
    }
}

/// Those of some events that a source holds.
fn of(source: &Source, events: &[Event]) -> Vec<Event> {
    events.iter().filter(|event| source.holds(&event.stream)).cloned().collect()
}

fn after(n: i64) -> Scan {
    Scan { after: Some(Cursor::Number(Place { n, check: None })), ..Scan::first(100) }
}

/// Reads after each event, by its bare number, what the source still has.
async fn goes_on_after_each(
    store: &TestStore,
    log: &Log,
    source: &Source,
    expected: &[Event],
    n: fn(&Event) -> i64,
) {
    assert!(expected.len() > 2, "there is something to go on to");
    for (index, event) in expected.iter().enumerate() {
        let page = store.scan(log, source, &after(n(event))).await;
        assert_eq!(page.events, expected[index + 1..], "after {}", n(event));
    }
}

pub(super) async fn an_empty_log_gives_nothing(store: TestStore) {
    let log = store.log().await;
    assert_eq!(store.events(&log, &Source::Log).await, []);
}

pub(super) async fn a_log_gives_every_event_in_order_of_number(store: TestStore) {
    let (log, category) = (store.log().await, random::category());
    let (one, two) = (random::stream_of(&category), random::stream_of(&category));
    let mut written = Vec::new();
    for stream in [one.clone(), one.clone(), two, random::stream(), one] {
        written.extend(store.fill(&log, &stream, 1).await);
        assert_eq!(store.events(&log, &Source::Log).await, written);
    }
}

pub(super) async fn a_log_goes_on_after_a_number(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    goes_on_after_each(&store, &scene.log, &Source::Log, &written, |e| e.sequence_number).await;
}

pub(super) async fn an_empty_category_gives_nothing(store: TestStore) {
    let (log, category) = (store.log().await, Source::Category(random::category()));
    assert_eq!(store.events(&log, &category).await, []);
    store.fill(&log, &random::stream(), 2).await;
    assert_eq!(store.events(&log, &category).await, []);
}

pub(super) async fn a_category_gives_its_events_in_order_of_number(store: TestStore) {
    let (log, category) = (store.log().await, random::category());
    let (one, two) = (random::stream_of(&category), random::stream_of(&category));
    let mut written = Vec::new();
    for stream in [&one, &one, &two, &one, &two] {
        written.extend(store.fill(&log, stream, 1).await);
        assert_eq!(store.events(&log, &Source::Category(category.clone())).await, written);
    }
}

pub(super) async fn a_category_leaves_other_categories_out(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    for stream in [&scene.one, &scene.namesake] {
        let source = of_category(stream);
        assert_eq!(store.events(&scene.log, &source).await, of(&source, &written));
    }
}

pub(super) async fn a_category_goes_on_after_a_number(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    let source = of_category(&scene.one);
    let own = of(&source, &written);
    goes_on_after_each(&store, &scene.log, &source, &own, |e| e.sequence_number).await;
}

pub(super) async fn an_empty_stream_gives_nothing(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    assert_eq!(store.events(&log, &of_stream(&stream)).await, []);
    store.fill(&log, &random::stream_of(&stream.category), 2).await;
    assert_eq!(store.events(&log, &of_stream(&stream)).await, []);
}

pub(super) async fn a_stream_gives_its_events_in_order_of_position(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    let mut written = Vec::new();
    for count in [1, 1, 3] {
        written.extend(store.fill(&log, &stream, count).await);
        store.fill(&log, &random::stream(), 1).await;
        assert_eq!(store.events(&log, &of_stream(&stream)).await, written);
    }
}

pub(super) async fn a_stream_leaves_other_streams_and_namesakes_out(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    for stream in [&scene.one, &scene.two, &scene.namesake] {
        let source = of_stream(stream);
        assert_eq!(store.events(&scene.log, &source).await, of(&source, &written));
    }
}

pub(super) async fn a_stream_goes_on_after_a_position(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    let source = of_stream(&scene.one);
    let own = of(&source, &written);
    goes_on_after_each(&store, &scene.log, &source, &own, |event| event.position).await;
}

pub(super) async fn what_is_empty_has_no_latest_event(store: TestStore) {
    let (log, stream) = (store.log().await, random::stream());
    for source in [Source::Log, of_category(&stream), of_stream(&stream)] {
        assert_eq!(store.latest(&log, &source, &Filter::default()).await, None, "{source:?}");
    }
    store.fill(&log, &random::stream(), 2).await;
    for source in [of_category(&stream), of_stream(&stream)] {
        assert_eq!(store.latest(&log, &source, &Filter::default()).await, None, "{source:?}");
    }
}

pub(super) async fn the_latest_event_is_the_last_of_its_source(store: TestStore) {
    let scene = Scene::open(&store).await;
    let written = scene.fill(&store).await;
    let mut sources = vec![Source::Log];
    for stream in [&scene.one, &scene.two, &scene.namesake] {
        sources.extend([of_category(stream), of_stream(stream)]);
    }
    for source in sources {
        let latest = store.latest(&scene.log, &source, &Filter::default()).await;
        assert_eq!(latest, of(&source, &written).pop(), "{source:?}");
    }
}
