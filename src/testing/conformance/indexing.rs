//! Declared indexes: built, kept, replaced, dropped; and that queries are served by them.

use super::{
    queries::query,
    saving::{id, name, save},
    store::TestStore,
};
use crate::{
    model::{Change, Edit, Guard, Json, Log, ProjectionName},
    query::{index, pick::Window},
    storage::indexes::{Declared, Unfinished},
};

/// Makes these the indexes of a name, and builds them.
pub(super) async fn declare(store: &TestStore, log: &Log, name: &ProjectionName, text: &str) {
    begin(store, log, name, text).await;
    finish(store, log, name).await;
}

/// Builds and removes what is to be built or removed.
pub(super) async fn finish(store: &TestStore, log: &Log, name: &ProjectionName) {
    while step(store, log, name).await {}
}

async fn begin(store: &TestStore, log: &Log, name: &ProjectionName, text: &str) {
    let indexes = index::parse(&Json::stored(text)).expect("a test states a declaration");
    store.storage.projections.declare(log, name, &indexes).await.expect("they are declared");
}

/// What is to be built or removed for a name.
async fn unfinished(store: &TestStore, log: &Log, name: &ProjectionName) -> Vec<Unfinished> {
    let unfinished = store.storage.projections.unfinished().await.expect("it is told");
    unfinished.into_iter().filter(|work| work.log == log.name && work.name == *name).collect()
}

/// One step of each that is unfinished; whether there was one.
async fn step(store: &TestStore, log: &Log, name: &ProjectionName) -> bool {
    let unfinished = unfinished(store, log, name).await;
    for work in &unfinished {
        store.storage.projections.build(log, work).await.expect("it is built");
    }
    !unfinished.is_empty()
}

async fn indexes(store: &TestStore, log: &Log, name: &ProjectionName) -> Vec<Declared> {
    let mut view = store.storage.projections.projections(log).await.expect("a view opens");
    let found = view.indexes(name).await;
    view.close().await;
    found.expect("they are told")
}

const BY_COLOUR: &str = r#"{"indexes":[{"name":"by_colour","fields":
    [{"path":"/state/colour"},{"path":"/state/size","order":"desc"}]}]}"#;
const RED: &str = r#"{"filter":{"eq":{"path":"/state/colour","value":"red"}},
    "sort":[{"path":"/state/size","order":"desc"}],"page":{"limit":1000}}"#;

/// What a query finds, and which index served it.
async fn served(
    store: &TestStore,
    log: &Log,
    name: &ProjectionName,
    text: &str,
) -> (String, Option<String>) {
    let asked = query(text);
    let window = Window::After { key: None, limit: 1_000 };
    let answer = store.answer(log, Some(name), &asked, window).await;
    let ids = answer.found.picked.iter().map(|picked| picked.document.id.to_string());
    (ids.collect::<Vec<_>>().join(" "), answer.index)
}

fn thing(id: &str, colour: &str, size: i64) -> crate::model::Save {
    save(id, &format!("{{\"colour\":\"{colour}\",\"size\":{size}}}"))
}

pub(super) async fn an_index_serves_when_it_is_built(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let things = (0..30).map(|n| thing(&n.to_string(), ["red", "blue", "green"][n % 3], 1));
    store.save_all(&log, &name, things.collect()).await;
    begin(&store, &log, &name, BY_COLOUR).await;
    let all = "0 12 15 18 21 24 27 3 6 9".to_owned();
    assert_eq!(served(&store, &log, &name, RED).await, (all.clone(), None));
    assert!(!indexes(&store, &log, &name).await[0].built);
    finish(&store, &log, &name).await;
    let declared = indexes(&store, &log, &name).await.remove(0);
    assert!(declared.built && declared.documents == 30);
    assert_eq!(served(&store, &log, &name, RED).await, (all, Some("by_colour".to_owned())));
}

pub(super) async fn an_index_follows_what_is_saved_and_deleted(store: TestStore) {
    let (log, name) = (store.log().await, name());
    declare(&store, &log, &name, BY_COLOUR).await;
    let found = async || served(&store, &log, &name, RED).await.0;
    store.save_all(&log, &name, vec![thing("a", "red", 1), thing("b", "red", 2)]).await;
    assert_eq!(found().await, "b a");
    store.save_all(&log, &name, vec![thing("a", "red", 3), thing("b", "blue", 2)]).await;
    assert_eq!(found().await, "a");
    let delete = Change::Delete { id: id("a"), guard: Guard::default() };
    let edit = Edit { changes: vec![delete], bytes: 0 };
    store.storage.projections.edit(&log, &name, &[edit]).await.expect("it is deleted");
    assert_eq!(found().await, "");
    store.save_all(&log, &name, vec![thing("a", "red", 1), save("c", "{}")]).await;
    assert_eq!(found().await, "a");
    // Each edit of one batch sees what the edit before it did.
    let save = |save| Edit { changes: vec![Change::Save(save)], bytes: 0 };
    let batch =
        [save(thing("a", "blue", 1)), save(thing("a", "red", 9)), save(thing("d", "red", 5))];
    store.storage.projections.edit(&log, &name, &batch).await.expect("they are saved");
    assert_eq!(found().await, "a d");
    let absent = r#"{"filter":{"eq":{"path":"/state/colour"}},"sort":[{"path":"/state/size","order":"desc"}]}"#;
    assert_eq!(
        served(&store, &log, &name, absent).await,
        ("c".to_owned(), Some("by_colour".to_owned()))
    );
}

pub(super) async fn an_index_is_built_beside_edits(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let things = (0..1_200).map(|n| thing(&format!("{n:04}"), "red", n));
    store.save_all(&log, &name, things.collect()).await;
    begin(&store, &log, &name, BY_COLOUR).await;
    // Before, between and after what is built already.
    let mut saved = 0;
    while step(&store, &log, &name).await {
        let ids = ["0001", "0600", "1100", "2000"];
        let things = ids.map(|id| thing(id, ["red", "blue"][saved % 2], -1));
        store.save_all(&log, &name, things.to_vec()).await;
        saved += 1;
    }
    assert!(saved > 2, "it took steps");
    let (found, index) = served(&store, &log, &name, RED).await;
    let mut expected: Vec<String> = (0..1_200).rev().map(|n| format!("{n:04}")).collect();
    expected.retain(|id| !["0001", "0600", "1100"].contains(&id.as_str()));
    if saved % 2 == 1 {
        expected.extend(["0001", "0600", "1100", "2000"].map(str::to_owned));
    }
    assert_eq!(index.as_deref(), Some("by_colour"));
    expected.truncate(1_000);
    assert_eq!(found, expected.join(" "));
}

pub(super) async fn a_declaration_keeps_what_it_repeats(store: TestStore) {
    let (log, name) = (store.log().await, name());
    store.save_all(&log, &name, vec![thing("a", "red", 1)]).await;
    let of = |name: &str, path: &str| {
        format!("{{\"name\":\"{name}\",\"fields\":[{{\"path\":\"{path}\"}}]}}")
    };
    let list = |of: &[String]| format!("{{\"indexes\":[{}]}}", of.join(","));
    declare(&store, &log, &name, &list(&[of("a", "/state/a"), of("b", "/state/b")])).await;
    let before = indexes(&store, &log, &name).await;
    begin(&store, &log, &name, &list(&[of("b", "/state/other"), of("a", "/state/a")])).await;
    let after = indexes(&store, &log, &name).await;
    assert_eq!(after[0], before[0], "it stays as it was");
    assert_eq!(after[1].index.name.as_str(), "b");
    assert!(!after[1].built && after[1].id != before[1].id, "it begins anew");
    assert_eq!(unfinished(&store, &log, &name).await.len(), 2, "one to remove, one to build");
    finish(&store, &log, &name).await;
    begin(&store, &log, &name, &list(&[])).await;
    assert!(indexes(&store, &log, &name).await.is_empty());
    finish(&store, &log, &name).await;
}

pub(super) async fn a_dropped_projection_has_no_index(store: TestStore) {
    let (log, name) = (store.log().await, name());
    store.save_all(&log, &name, vec![thing("a", "red", 1)]).await;
    declare(&store, &log, &name, BY_COLOUR).await;
    store.storage.projections.drop_projection(&log, &name).await.expect("it is dropped");
    assert!(indexes(&store, &log, &name).await.is_empty());
    store.save_all(&log, &name, vec![thing("b", "red", 1)]).await;
    declare(&store, &log, &name, BY_COLOUR).await;
    let found = served(&store, &log, &name, RED).await;
    assert_eq!(found, ("b".to_owned(), Some("by_colour".to_owned())), "nothing of what was");
}

pub(super) async fn what_is_alike_is_found_by_its_pieces(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let names = ["CHARLESTON AFB", "CHARLOTTE", "charleston", "DALLAS", "", "Charlton"];
    let saves = names.iter().zip('a'..).map(|(text, id)| {
        save(&id.to_string(), &format!("{{\"name\":{}}}", Json::String((*text).to_owned())))
    });
    store.save_all(&log, &name, saves.collect()).await;
    let declaration = r#"{"indexes":[{"name":"alike","similarity":"/state/name"}]}"#;
    declare(&store, &log, &name, declaration).await;
    let sorted =
        r#""sort":[{"similarity":{"path":"/state/name","to":"charlston"},"order":"desc"}]"#;
    let similar = r#""filter":{"similar":{"path":"/state/name","to":"charlston","at_least":0.3}}"#;
    let alike = Some("alike".to_owned());
    let top = format!("{{{sorted},{similar}}}");
    assert_eq!(served(&store, &log, &name, &top).await, ("c f a b".to_owned(), alike.clone()));
    let unsorted = format!("{{{similar}}}");
    assert_eq!(served(&store, &log, &name, &unsorted).await.0, "a b c f");
    // Those that share nothing come after all others: there an index has no more to say.
    let all = format!("{{{sorted}}}");
    assert_eq!(served(&store, &log, &name, &all).await, ("c f a b d e".to_owned(), None));
    let two = Window::After { key: None, limit: 2 };
    let answer = store.answer(&log, Some(&name), &query(&all), two).await;
    assert_eq!((answer.index, answer.examined), (alike.clone(), 3));
    let last = answer.found.picked.last().map(|picked| picked.key.clone());
    let next = Window::After { key: last, limit: 1 };
    let answer = store.answer(&log, Some(&name), &query(&all), next).await;
    assert_eq!((answer.index, answer.examined), (alike, 2), "a page goes on where one ended");
    assert_eq!(answer.found.picked[0].document.id, id("a"));
}

pub(super) async fn what_is_alike_is_looked_through_to_its_end(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let things = (0..700).map(|n| {
        save(&format!("{n:03}"), &format!("{{\"name\":\"charleston\",\"rare\":{}}}", n == 699))
    });
    store.save_all(&log, &name, things.collect()).await;
    let declaration = r#"{"indexes":[{"name":"alike","similarity":"/state/name"}]}"#;
    declare(&store, &log, &name, declaration).await;
    let text = r#"{"filter":{"and":[{"eq":{"path":"/state/rare","value":true}},
            {"similar":{"path":"/state/name","to":"charlston","at_least":0.3}}]},
        "sort":[{"similarity":{"path":"/state/name","to":"charlston"},"order":"desc"}]}"#;
    let window = Window::After { key: None, limit: 2 };
    let answer = store.answer(&log, Some(&name), &query(text), window).await;
    assert_eq!(answer.found.picked.len(), 1);
    assert_eq!((answer.index.as_deref(), answer.examined), (Some("alike"), 700));
    assert!(!answer.found.has_next);
}

pub(super) async fn keys_are_counted_where_they_are_exact(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let things = (0..50).map(|n| {
        let n = i64::from(n);
        thing(&n.to_string(), ["red", "blue"][usize::from(n % 2 == 0)], n)
    });
    store.save_all(&log, &name, things.collect()).await;
    declare(&store, &log, &name, BY_COLOUR).await;
    let count = async |filter: &str| {
        let text = format!("{{\"filter\":{filter},\"count\":true}}");
        let window = Window::After { key: None, limit: 1 };
        let answer = store.answer(&log, Some(&name), &query(&text), window).await;
        (answer.found.count, answer.plan.contains("are counted"))
    };
    let red = r#"{"eq":{"path":"/state/colour","value":"red"}}"#;
    assert_eq!(count(red).await, (25, true));
    let small = r#"{"lt":{"path":"/state/size","value":10}}"#;
    assert_eq!(count(&format!("{{\"and\":[{red},{small}]}}")).await, (5, true));
    let odd = r#"{"matches":{"path":"/id","pattern":"1$"}}"#;
    assert_eq!(count(&format!("{{\"and\":[{red},{odd}]}}")).await, (5, false), "not by keys alone");
}
