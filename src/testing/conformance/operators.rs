//! What each operator of a query holds of, over values of every type: the rows of the table in which the two adapters
//! of `logicblocks.event.store` were compared, each with the rule that is ours.

use super::{
    saving::{name, save},
    store::TestStore,
};
use crate::model::{Log, ProjectionName, Save};

/// One document has each of these as `a`, and one has no `a`.
const VALUES: [&str; 16] = [
    "null",
    "5",
    "10",
    "5.0",
    "\"\"",
    "\"a\"",
    "\"abc\"",
    "\"5\"",
    "true",
    "false",
    "0",
    "[\"a\",\"b\"]",
    "[1,2]",
    "{\"k\":\"v\",\"a\":1}",
    "[]",
    "{}",
];

/// A store with the values, and what is asked of it.
struct Scene {
    store: TestStore,
    log: Log,
    name: ProjectionName,
}

impl Scene {
    async fn new(store: TestStore) -> Self {
        let (log, name) = (store.log().await, name());
        let mut saves: Vec<Save> = VALUES
            .iter()
            .zip(10..)
            .map(|(value, id)| save(&id.to_string(), &format!("{{\"a\":{value}}}")))
            .collect();
        saves.push(save("99", "{}"));
        store.save_all(&log, &name, saves).await;
        Self { store, log, name }
    }

    /// The values of which a filter holds; `-` where there is none.
    async fn found(&self, filter: &str) -> String {
        let text = format!("{{\"filter\":{filter}}}");
        let ids = self.store.ids(&self.log, &self.name, &text).await;
        let value = |id: &str| {
            let index = id.parse::<usize>().expect("a number") - 10;
            VALUES.get(index).map_or("-", |value| *value).to_owned()
        };
        ids.split(' ').filter(|id| !id.is_empty()).map(value).collect::<Vec<_>>().join(" ")
    }

    async fn of(&self, operator: &str, value: &str) -> String {
        let path = "\"path\":\"/state/a\"";
        self.found(&format!("{{\"{operator}\":{{{path},\"value\":{value}}}}}")).await
    }

    /// All values but some.
    fn but(left_out: &[&str]) -> String {
        let all = VALUES.iter().copied().chain(["-"]);
        all.filter(|value| !left_out.contains(value)).collect::<Vec<_>>().join(" ")
    }
}

pub(super) async fn eq_compares_numbers_by_value_and_types_strictly(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("eq", "5").await, "5 5.0");
    assert_eq!(scene.of("eq", "5.0").await, "5 5.0");
    assert_eq!(scene.of("eq", "\"5\"").await, "\"5\"");
    assert_eq!(scene.of("eq", "true").await, "true");
    assert_eq!(scene.of("eq", "1").await, "");
    assert_eq!(scene.of("eq", "false").await, "false");
    assert_eq!(scene.of("eq", "0").await, "0");
}

pub(super) async fn eq_null_finds_null_and_absent_alone(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("eq", "null").await, "null -");
    let exists = r#"{"and":[{"eq":{"path":"/state/a"}},{"exists":{"path":"/state/a"}}]}"#;
    assert_eq!(scene.found(exists).await, "null");
    assert_eq!(scene.found(r#"{"not":{"exists":{"path":"/state/a"}}}"#).await, "-");
}

pub(super) async fn eq_compares_arrays_and_objects_deeply(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("eq", "[1,2.0]").await, "[1,2]");
    assert_eq!(scene.of("eq", "[2,1]").await, "");
    assert_eq!(scene.of("eq", "[]").await, "[]");
    assert_eq!(scene.of("eq", r#"{"a":1,"k":"v"}"#).await, r#"{"k":"v","a":1}"#);
    assert_eq!(scene.of("eq", "{}").await, "{}");
    let whole = r#"{"eq":{"path":"/state","value":{"a":[]}}}"#;
    assert_eq!(scene.found(whole).await, "[]", "the whole state");
}

pub(super) async fn ne_holds_of_all_that_eq_does_not(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("ne", "5").await, Scene::but(&["5", "5.0"]));
    assert_eq!(scene.of("ne", "\"a\"").await, Scene::but(&["\"a\""]));
}

pub(super) async fn ne_null_holds_of_what_is_there_and_not_null(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("ne", "null").await, Scene::but(&["null", "-"]));
}

pub(super) async fn comparisons_are_of_one_type(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("gt", "5").await, "10");
    assert_eq!(scene.of("ge", "5").await, "5 10 5.0");
    assert_eq!(scene.of("lt", "5").await, "0");
    assert_eq!(scene.of("le", "5").await, "5 5.0 0");
    assert_eq!(scene.of("gt", "\"a\"").await, "\"abc\"");
    assert_eq!(scene.of("ge", "\"a\"").await, "\"a\" \"abc\"");
    assert_eq!(scene.of("lt", "\"a\"").await, "\"\" \"5\"");
    assert_eq!(scene.of("le", "\"\"").await, "\"\"");
}

pub(super) async fn in_compares_as_eq_does(store: TestStore) {
    let scene = Scene::new(store).await;
    let among = async |values: &str| {
        scene.found(&format!("{{\"in\":{{\"path\":\"/state/a\",\"values\":{values}}}}}")).await
    };
    assert_eq!(among("[5,\"a\",true]").await, "5 5.0 \"a\" true");
    assert_eq!(among("[]").await, "");
    assert_eq!(among("[null,[1,2]]").await, "null [1,2] -");
}

pub(super) async fn contains_finds_elements_and_others_find_the_rest(store: TestStore) {
    let scene = Scene::new(store).await;
    assert_eq!(scene.of("contains", "\"a\"").await, "[\"a\",\"b\"]", "no text, no key");
    assert_eq!(scene.of("contains", "2.0").await, "[1,2]");
    assert_eq!(scene.of("contains", "[\"a\"]").await, "");
    assert_eq!(scene.of("contains", "null").await, "");
    let key = r#"{"has_key":{"path":"/state/a","key":"a"}}"#;
    assert_eq!(scene.found(key).await, r#"{"k":"v","a":1}"#);
    assert_eq!(scene.of("text_contains", "\"b\"").await, "\"abc\"");
    assert_eq!(scene.of("prefix", "\"a\"").await, "\"a\" \"abc\"");
    assert_eq!(scene.of("json_contains", "[\"b\"]").await, "[\"a\",\"b\"]");
    assert_eq!(scene.of("json_contains", "{\"a\":1}").await, r#"{"k":"v","a":1}"#);
}

pub(super) async fn patterns_are_searched_for_in_strings_alone(store: TestStore) {
    let scene = Scene::new(store).await;
    let matches = async |pattern: &str, not: bool| {
        let filter = format!(r#"{{"matches":{{"path":"/state/a","pattern":"{pattern}"}}}}"#);
        scene.found(&if not { format!("{{\"not\":{filter}}}") } else { filter }).await
    };
    assert_eq!(matches("b", false).await, "\"abc\"", "it need not begin so");
    assert_eq!(matches("^[0-9]+$", false).await, "\"5\"", "no number");
    assert_eq!(matches("(?i)A", false).await, "\"a\" \"abc\"");
    assert_eq!(matches(r"\\ba\\b", false).await, "\"a\"", "a border of words");
    assert_eq!(matches("a", true).await, Scene::but(&["\"a\"", "\"abc\""]));
}

pub(super) async fn strings_are_ordered_by_code_point(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let texts = ["B", "Z", "_", "a", "b", "ba", "e", "é", "日", "😀"];
    let saves = texts.iter().rev().map(|text| save(text, &format!("{{\"a\":\"{text}\"}}")));
    store.save_all(&log, &name, saves.collect()).await;
    let all = texts.join(" ");
    assert_eq!(store.ids(&log, &name, "{}").await, all);
    assert_eq!(store.ids(&log, &name, r#"{"sort":[{"path":"/state/a"}]}"#).await, all);
    let above = r#"{"filter":{"gt":{"path":"/state/a","value":"_"}}}"#;
    assert_eq!(store.ids(&log, &name, above).await, "a b ba e é 日 😀");
}

pub(super) async fn sources_are_compared_as_they_are_written(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let of = |id: &str, source: &str| {
        let source = match source {
            "" => crate::model::Source::Log,
            category => {
                crate::model::Source::Category(crate::model::CategoryName::stored(category))
            }
        };
        Save { source, ..save(id, "1") }
    };
    store.save_all(&log, &name, vec![of("1", "a"), of("2", "b"), of("3", "")]).await;
    let found =
        async |filter: &str| store.ids(&log, &name, &format!("{{\"filter\":{filter}}}")).await;
    assert_eq!(found(r#"{"eq":{"path":"/source","value":{"category":"a"}}}"#).await, "1");
    assert_eq!(found(r#"{"ne":{"path":"/source","value":{"category":"a"}}}"#).await, "2 3");
    let among = r#"{"in":{"path":"/source","values":[{"category":"b"},{"log":true}]}}"#;
    assert_eq!(found(among).await, "2 3");
}
