//! Pages by cursor: the rows of the table in which the two adapters of `logicblocks.event.store` were compared, each
//! with the rule that is ours.

use std::time::Duration;

use super::{
    indexing::declare,
    queries::{REACH, ids, query},
    saving::{id, name, save},
    store::TestStore,
};
use crate::{
    model::{Change, Edit, Guard, Log, ProjectionName},
    query::pick::{Found, Window},
    storage::find::{FindError, Reach},
};

/// A store with documents whose ids are in another order than they were saved in, and what is asked of it.
struct Scene {
    store: TestStore,
    log: Log,
    name: ProjectionName,
}

impl Scene {
    async fn new(store: TestStore) -> Self {
        let (log, name) = (store.log().await, name());
        let states = [
            ("c", r#"{"n":1,"x":{"y":2},"text":"xyz"}"#),
            ("a", r#"{"n":2,"x":{"y":1},"text":"abc"}"#),
            ("d", r#"{"x":{"y":1},"text":"xya"}"#),
            ("b", r#"{"n":null,"x":{"y":2}}"#),
        ];
        let saves = states.iter().map(|(id, state)| save(id, state));
        store.save_all(&log, &name, saves.collect()).await;
        Self { store, log, name }
    }

    async fn page(&self, text: &str, window: Window) -> Found {
        self.store.find(&self.log, Some(&self.name), &query(text), window).await
    }

    /// The ids of all pages of two, forwards, and again backwards from the last.
    async fn walk(&self, text: &str) -> (String, String) {
        let (mut forwards, mut key) = (Vec::new(), None);
        loop {
            let found = self.page(text, Window::After { key, limit: 2 }).await;
            forwards.push(ids(&found));
            key = found.picked.last().map(|picked| picked.key.clone());
            if !found.has_next {
                break;
            }
        }
        let mut backwards = Vec::new();
        // After the last one.
        let mut key = key.map(|key| [key.as_slice(), &[0]].concat());
        while let Some(before) = key {
            let found = self.page(text, Window::Before { key: before, limit: 2 }).await;
            backwards.insert(0, ids(&found));
            key = found.picked.first().map(|first| first.key.clone());
            key = key.filter(|_| found.has_previous);
        }
        (forwards.join("|"), backwards.join("|"))
    }

    async fn delete(&self, text: &str) {
        let change = Change::Delete { id: id(text), guard: Guard::default() };
        let edit = Edit { changes: vec![change], bytes: 0 };
        let done = self.store.storage.projections.edit(&self.log, &self.name, &[edit]).await;
        done.expect("it is deleted");
    }

    async fn key(&self, text: &str, index: usize) -> Vec<u8> {
        let found = self.page(text, Window::After { key: None, limit: 10 }).await;
        found.picked[index].key.clone()
    }
}

const BY_N: &str = r#"{"sort":[{"path":"/state/n"}]}"#;

pub(super) async fn without_a_sort_pages_are_in_the_order_of_ids(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.walk("{}").await, ("a b|c d".to_owned(), "a b|c d".to_owned()));
}

pub(super) async fn a_page_before_is_in_the_same_order(store: TestStore) {
    let scene = Scene::new(store).await;
    let before = scene.key(BY_N, 3).await;
    let found = scene.page(BY_N, Window::Before { key: before, limit: 2 }).await;
    assert_eq!(ids(&found), "d c");
    let before = scene.key(BY_N, 0).await;
    let found = scene.page(BY_N, Window::Before { key: before, limit: 2 }).await;
    assert_eq!((ids(&found).as_str(), found.has_previous, found.has_next), ("", false, true));
}

pub(super) async fn a_page_goes_on_where_a_document_was(store: TestStore) {
    let scene = Scene::new(store).await;
    for text in ["{}", BY_N] {
        let key = scene.key(text, 1).await;
        let expected = scene.page(text, Window::After { key: Some(key.clone()), limit: 9 }).await;
        let gone = scene.page(text, Window::After { key: None, limit: 9 }).await;
        let gone = gone.picked[1].document.clone();
        scene.delete(gone.id.as_str()).await;
        let after = scene.page(text, Window::After { key: Some(key), limit: 9 }).await;
        assert_eq!(ids(&after), ids(&expected), "{text}");
        scene.store.save_all(&scene.log, &scene.name, vec![save("b", "{}")]).await;
    }
}

pub(super) async fn a_page_goes_on_where_a_document_moved_from(store: TestStore) {
    let scene = Scene::new(store).await;
    let key = scene.key(BY_N, 2).await;
    let moved = save("c", r#"{"n":99}"#);
    scene.store.save_all(&scene.log, &scene.name, vec![moved]).await;
    let after = scene.page(BY_N, Window::After { key: Some(key), limit: 9 }).await;
    assert_eq!(ids(&after), "a c", "the cursor is a place, and not a document");
}

pub(super) async fn a_page_goes_on_after_what_the_filter_excludes_now(store: TestStore) {
    let scene = Scene::new(store).await;
    let text = r#"{"filter":{"exists":{"path":"/state/text"}}}"#;
    let key = scene.key(text, 1).await;
    let excluded = save("c", "{}");
    scene.store.save_all(&scene.log, &scene.name, vec![excluded]).await;
    let after = scene.page(text, Window::After { key: Some(key), limit: 9 }).await;
    assert_eq!(ids(&after), "d");
}

pub(super) async fn names_have_pages_of_their_own(store: TestStore) {
    let scene = Scene::new(store).await;
    let other = name();
    let saves = ["a", "b", "c", "d", "e"].map(|id| save(id, "{}"));
    scene.store.save_all(&scene.log, &other, saves.to_vec()).await;
    let of = async |name| {
        let window = Window::After { key: None, limit: 9 };
        scene.store.find(&scene.log, name, &query("{}"), window).await.picked
    };
    let (one, all) = (of(Some(&scene.name)).await, of(None).await);
    assert_eq!((one.len(), all.len()), (4, 9));
    for (index, picked) in all.iter().enumerate() {
        let window = Window::After { key: Some(picked.key.clone()), limit: 9 };
        let after = scene.store.find(&scene.log, None, &query("{}"), window).await;
        assert_eq!(after.picked, all[index + 1..], "of two with one id each has its place");
    }
}

pub(super) async fn null_and_absent_are_first_and_nothing_is_lost(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.walk(BY_N).await, ("b d|c a".to_owned(), "b d|c a".to_owned()));
    let desc = r#"{"sort":[{"path":"/state/n","order":"desc"}]}"#;
    assert_eq!(scene.walk(desc).await, ("a c|b d".to_owned(), "a c|b d".to_owned()));
}

pub(super) async fn mixed_directions_have_pages(store: TestStore) {
    let scene = Scene::new(store).await;
    let mixed = r#"{"sort":[{"path":"/state/x/y","order":"desc"},{"path":"/state/n"}]}"#;
    assert_eq!(scene.walk(mixed).await, ("b c|d a".to_owned(), "b c|d a".to_owned()));
    let with_id = r#"{"sort":[{"path":"/state/x/y"},{"path":"/id","order":"desc"}]}"#;
    assert_eq!(scene.walk(with_id).await, ("d a|c b".to_owned(), "d a|c b".to_owned()));
}

pub(super) async fn similarity_has_pages(store: TestStore) {
    let scene = Scene::new(store).await;
    let alike = r#"{"sort":[{"similarity":{"path":"/state/text","to":"xyz"},"order":"desc"}]}"#;
    assert_eq!(scene.walk(alike).await, ("c d|a b".to_owned(), "c d|a b".to_owned()));
}

pub(super) async fn a_page_ends_with_its_bytes(store: TestStore) {
    let scene = Scene::new(store).await;
    let by_y = r#"{"sort":[{"path":"/state/x/y"},{"path":"/id","order":"desc"}]}"#;
    let page = async |text: &str, window, page_bytes| {
        let (name, query) = (Some(&scene.name), query(text));
        scene.store.reach(&scene.log, name, &query, window, Reach { page_bytes, ..REACH }).await
    };
    for indexed in [false, true] {
        if indexed {
            let fields = r#"[{"path":"/state/x/y"},{"path":"/id","order":"desc"}]"#;
            let declaration = format!(r#"{{"indexes":[{{"name":"y","fields":{fields}}}]}}"#);
            declare(&scene.store, &scene.log, &scene.name, &declaration).await;
        }
        // The states have 21 to 32 bytes as they are counted, the metadata of each four.
        for (text, page_bytes, forwards, backwards) in [
            ("{}", 1, "a|b|c|d", "d|c|b|a"),
            (by_y, 1, "d|a|c|b", "b|c|a|d"),
            ("{}", 100, "a b|c d", "c d|a b"),
            (by_y, 100, "d a|c b", "c b|d a"),
        ] {
            let (mut pages, mut key) = (Vec::new(), None);
            loop {
                let answer = page(text, Window::After { key, limit: 4 }, page_bytes).await;
                let answer = answer.expect("they are found");
                assert_eq!(answer.index.is_some(), indexed && text == by_y);
                pages.push(ids(&answer.found));
                key = answer.found.picked.last().map(|picked| picked.key.clone());
                if !answer.found.has_next {
                    break;
                }
            }
            assert_eq!(pages.join("|"), forwards, "{text} {page_bytes}");
            let (mut pages, mut before) = (Vec::new(), vec![0xff]);
            loop {
                let window = Window::Before { key: before, limit: 4 };
                let found = page(text, window, page_bytes).await.expect("they are found").found;
                pages.push(ids(&found));
                before = found.picked[0].key.clone();
                if !found.has_previous {
                    break;
                }
            }
            assert_eq!(pages.join("|"), backwards, "{text} {page_bytes}");
            let numbered = |limit| Window::Offset { offset: 1, limit };
            let refused = page(text, numbered(3), 1).await;
            assert!(matches!(refused, Err(FindError::TooLarge(_))), "{text}");
            let late = Reach { time: Duration::ZERO, ..REACH };
            let (name, asked) = (Some(&scene.name), query(text));
            let late = scene.store.reach(&scene.log, name, &asked, numbered(3), late).await;
            assert!(matches!(late, Err(FindError::TooLong(0))), "{text}");
            let found = page(text, numbered(1), 20).await.expect("as much as has room").found;
            assert_eq!((found.picked.len(), found.has_next), (1, true));
        }
    }
}
