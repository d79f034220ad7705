//! Queries of projections: on each store they find what the reference does.

use std::time::Duration;

use super::{
    agreement::agree,
    saving::{name, save},
    store::TestStore,
};
use crate::{
    model::{Json, Log, ProjectionName, Save, Source},
    query::{
        Query, parse,
        pick::{Found, Window},
    },
    storage::find::{Answer, FindError, Reach, find},
    testing::random,
};

pub(super) fn query(text: &str) -> Query {
    parse(&Json::stored(text)).expect("a test states a query")
}

/// Stretches are short, so that a query has many.
pub(super) const REACH: Reach = Reach {
    stretch: 7,
    bytes: 1_000,
    page_bytes: usize::MAX,
    examined: usize::MAX,
    tried: 15,
    time: Duration::MAX,
    answering: Vec::new(),
};

/// All of it, in one page.
pub(super) fn whole() -> Window {
    Window::After { key: None, limit: 100_000 }
}

impl TestStore {
    pub(super) async fn find(
        &self,
        log: &Log,
        name: Option<&ProjectionName>,
        query: &Query,
        window: Window,
    ) -> Found {
        self.answer(log, name, query, window).await.found
    }

    pub(super) async fn answer(
        &self,
        log: &Log,
        name: Option<&ProjectionName>,
        query: &Query,
        window: Window,
    ) -> Answer {
        self.reach(log, name, query, window, REACH).await.expect("they are found")
    }

    pub(super) async fn reach(
        &self,
        log: &Log,
        name: Option<&ProjectionName>,
        query: &Query,
        window: Window,
        reach: Reach,
    ) -> Result<Answer, FindError> {
        let mut view = self.storage.projections.projections(log).await.expect("a view opens");
        let answer = find(view.as_mut(), name, query, window, reach).await;
        view.close().await;
        answer
    }

    /// The ids that a query finds, in its order.
    pub(super) async fn ids(&self, log: &Log, name: &ProjectionName, text: &str) -> String {
        let found = self.find(log, Some(name), &query(text), whole()).await;
        ids(&found)
    }
}

pub(super) fn ids(found: &Found) -> String {
    let ids = found.picked.iter().map(|picked| picked.document.id.to_string());
    ids.collect::<Vec<_>>().join(" ")
}

/// Documents 1 to 5 of a new name.
async fn scene(store: &TestStore) -> (Log, ProjectionName, Source) {
    let (log, name) = (store.log().await, name());
    let source = Source::Stream(random::stream());
    let states = [
        r#"{"value_1":5,"value_2":"b","nested":{"x":1},"list":["a","b"],"text":"abcd efgh"}"#,
        r#"{"value_1":6,"value_2":"a","nested":{"x":null},"list":[],"text":"axyz bcdefghijklm"}"#,
        r#"{"value_1":6,"value_2":"c","nested":{},"list":["c"],"text":"xyzabxyz"}"#,
        r#"{"value_1":9,"value_2":"","nested":{"x":0},"list":"a","text":"abx"}"#,
        r#"{"value_1":7.5,"value_2":"c","nested":{"x":false},"list":["a"],"text":"xyz"}"#,
    ];
    let saves = states.iter().zip(1..).map(|(state, n)| {
        let source = if n == 2 { source.clone() } else { Source::Log };
        Save { source, ..save(&n.to_string(), state) }
    });
    store.save_all(&log, &name, saves.collect()).await;
    // Of another name, to be left out.
    store.save_all(&log, &self::name(), vec![save("1", states[0])]).await;
    (log, name, source)
}

pub(super) async fn filters_find_what_they_state(store: TestStore) {
    let (log, name, source) = scene(&store).await;
    let Source::Stream(key) = source else { return };
    let found =
        async |filter: &str| store.ids(&log, &name, &format!("{{\"filter\":{filter}}}")).await;
    assert_eq!(found(r#"{"eq":{"path":"/id","value":"3"}}"#).await, "3");
    assert_eq!(found(r#"{"gt":{"path":"/state/value_1","value":6}}"#).await, "4 5");
    let of_stream = format!(
        r#"{{"eq":{{"path":"/source","value":{{"stream":"{}","category":"{}"}}}}}}"#,
        key.stream, key.category
    );
    assert_eq!(found(&of_stream).await, "2");
    assert_eq!(found(r#"{"eq":{"path":"/state/nested/x","value":0}}"#).await, "4");
    assert_eq!(
        found(r#"{"eq":{"path":"/state/nested/x"}}"#).await,
        "2 3",
        "null alone, and absent"
    );
    assert_eq!(found(r#"{"ne":{"path":"/state/nested/x"}}"#).await, "1 4 5");
    assert_eq!(found(r#"{"in":{"path":"/state/value_2","values":["a","c"]}}"#).await, "2 3 5");
    assert_eq!(found(r#"{"contains":{"path":"/state/list","value":"a"}}"#).await, "1 5");
    assert_eq!(found(r#"{"eq":{"path":"/id","value":"9"}}"#).await, "");
    let name_and_value = format!(
        r#"{{"and":[{{"eq":{{"path":"/name","value":"{name}"}}}},
                   {{"lt":{{"path":"/state/value_1","value":6}}}}]}}"#
    );
    assert_eq!(found(&name_and_value).await, "1");
    let all = store.find(&log, None, &query("{}"), whole()).await;
    assert_eq!(all.picked.len(), 6, "across names");
}

pub(super) async fn sorts_are_total_and_mixed(store: TestStore) {
    let (log, name, _) = scene(&store).await;
    let sorted = async |sort: &str| store.ids(&log, &name, &format!("{{\"sort\":{sort}}}")).await;
    assert_eq!(sorted("[]").await, "1 2 3 4 5");
    assert_eq!(sorted(r#"[{"path":"/state/value_1","order":"desc"}]"#).await, "4 5 2 3 1");
    let mixed = r#"[{"path":"/state/value_2","order":"desc"},{"path":"/state/value_1"}]"#;
    assert_eq!(sorted(mixed).await, "3 5 1 2 4");
    assert_eq!(sorted(r#"[{"path":"/state/nested/x"}]"#).await, "2 3 5 4 1", "null, false, 0, 1");
    assert_eq!(sorted(r#"[{"path":"/state/list","order":"desc"}]"#).await, "1 2 3 5 4");
    let similar =
        query(r#"{"sort":[{"similarity":{"path":"/state/text","to":"xyz"},"order":"desc"}]}"#);
    let found = store.find(&log, Some(&name), &similar, whole()).await;
    let scores: Vec<Option<f64>> = found.picked.iter().map(|picked| picked.score).collect();
    assert_eq!(ids(&found), "5 3 2 1 4");
    assert_eq!(scores, [Some(1.0), Some(0.5), Some(0.1), Some(0.0), Some(0.0)]);
    let created = sorted(r#"[{"path":"/created_at","order":"desc"}]"#).await;
    assert_eq!(created, "5 4 3 2 1");
}

pub(super) async fn a_page_comes_after_filter_and_sort(store: TestStore) {
    let (log, name, _) = scene(&store).await;
    let asked = query(
        r#"{"filter":{"ne":{"path":"/state/value_1","value":9}},
            "sort":[{"path":"/state/value_1","order":"desc"}],"count":true}"#,
    );
    let page = async |window| store.find(&log, Some(&name), &asked, window).await;
    let first = page(Window::After { key: None, limit: 2 }).await;
    assert_eq!((ids(&first).as_str(), first.count), ("5 2", 4), "all that match are counted");
    assert!(first.has_next && !first.has_previous);
    let key = |found: &Found, index: usize| found.picked[index].key.clone();
    let second = page(Window::After { key: Some(key(&first, 1)), limit: 2 }).await;
    assert_eq!(ids(&second), "3 1");
    assert!(!second.has_next && second.has_previous);
    let back = page(Window::Before { key: key(&second, 0), limit: 2 }).await;
    assert_eq!(ids(&back), "5 2");
    assert!(back.has_next && !back.has_previous);
    let numbered = page(Window::Offset { offset: 2, limit: 1 }).await;
    assert_eq!(ids(&numbered), "3");
    assert!(numbered.has_next && numbered.has_previous);
    let past = page(Window::Offset { offset: 10, limit: 5 }).await;
    assert_eq!((ids(&past).as_str(), past.has_next, past.has_previous), ("", false, true));
    // The document that a page ended with may be gone.
    store.storage.projections.drop_projection(&log, &name).await.expect("it is dropped");
    let after = page(Window::After { key: Some(key(&first, 1)), limit: 2 }).await;
    assert_eq!((after.picked.len(), after.count), (0, 0));
}

pub(super) async fn each_document_is_examined_once(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let padding = "x".repeat(200);
    let state = |n: usize| format!("{{\"a\":{},\"padding\":\"{padding}\"}}", n % 2);
    let saves = (0..100).map(|n| save(&format!("{n:03}"), &state(n)));
    store.save_all(&log, &name, saves.collect()).await;
    let ones = r#""filter":{"eq":{"path":"/state/a","value":1}}"#;
    // Stretches end by their bytes.
    let counted = query(&format!("{{{ones},\"count\":true}}"));
    let answer = store.answer(&log, Some(&name), &counted, whole()).await;
    assert_eq!((answer.found.count, answer.found.picked.len()), (50, 50));
    assert!((50..=100).contains(&answer.examined), "{}", answer.examined);
    let page = Window::After { key: None, limit: 10 };
    let answer = store.answer(&log, Some(&name), &query(&format!("{{{ones}}}")), page).await;
    assert_eq!(answer.found.picked.len(), 10);
    assert!(answer.examined <= 40, "{}", answer.examined);
}

pub(super) async fn counts_are_of_all_that_match(store: TestStore) {
    let (log, name, _) = scene(&store).await;
    let count = async |filter: &str| {
        let text = format!("{{\"filter\":{filter},\"count\":true,\"page\":{{\"limit\":1}}}}");
        store
            .find(&log, Some(&name), &query(&text), Window::After { key: None, limit: 1 })
            .await
            .count
    };
    assert_eq!(count(r#"{"eq":{"path":"/id","value":"9"}}"#).await, 0);
    assert_eq!(count(r#"{"eq":{"path":"/id","value":"1"}}"#).await, 1);
    assert_eq!(count(r#"{"and":[]}"#).await, 5);
    store.save_all(&log, &name, vec![save("1", "{}")]).await;
    assert_eq!(count(r#"{"and":[]}"#).await, 5, "an update adds none");
}

pub(super) async fn random_queries_find_what_the_reference_finds(store: TestStore) {
    agree(&store, 1_000).await;
}
