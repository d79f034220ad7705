//! Agreement: random queries of random documents, held to the reference page by page.

use super::{
    queries::{query, whole},
    saving::{name, save},
    store::TestStore,
};
use crate::{
    model::{Json, Log, Projection, ProjectionName, Save},
    query::{
        Query,
        pick::{Found, Pick, Window},
    },
    testing::random,
};

/// Documents of one set, and queries that are asked of it.
const DOCUMENTS: usize = 60;
const QUERIES: usize = 60;

/// Asks for at least so many pages, each of which must be what the reference has there; tells how many it asked
/// for.
pub async fn agree(store: &TestStore, pages: usize) -> usize {
    let log = store.log().await;
    let mut asked = 0;
    while asked < pages {
        let (name, other) = (name(), name());
        let id = |n: usize| format!("{}{}", ["a", "B", "é", "Z", "z"][n % 5], n / 5);
        let saves = (0..DOCUMENTS)
            .map(|n| Save { metadata: Json::stored(&object(1)), ..save(&id(n), &object(2)) });
        let saves: Vec<Save> = saves.collect();
        let mut documents = store.save_all(&log, &name, saves.clone()).await;
        for (document, save) in documents.iter().zip(&saves) {
            assert_eq!((&document.state, &document.metadata), (&save.state, &save.metadata));
        }
        // One more name, for queries of all.
        documents.extend(store.save_all(&log, &other, saves[..DOCUMENTS / 3].to_vec()).await);
        for turn in 0..QUERIES {
            let of = (turn % 2 == 0).then_some(&name);
            let text = format!("{{\"filter\":{},\"sort\":[{}]}}", filter(2), sort());
            let query = query(&text);
            let wanted = documents.iter().filter(|found| of.is_none_or(|name| found.name == *name));
            let expected = reference(wanted, &query);
            asked += walk(store, &log, of, &query, &expected).await;
            let counted = Query { count: true, ..query };
            let found = store.find(&log, of, &counted, whole()).await;
            assert_eq!(found, expected, "{text}");
            asked += 1;
        }
        for name in [&name, &other] {
            let dropped = store.storage.projections.drop_projection(&log, name).await;
            dropped.expect("they are dropped");
        }
    }
    asked
}

/// A value that tells stores apart: of any type, and near a border of one.
fn value(depth: usize) -> String {
    const SCALARS: [&str; 29] = [
        "null",
        "true",
        "false",
        "0",
        "-0.0",
        "1",
        "1.0",
        "-1",
        "1.5",
        "0.1",
        "1e300",
        "-1e300",
        "5e-324",
        "9007199254740993",
        "9007199254740992",
        "9223372036854775807",
        "-9223372036854775807",
        "9.3e18",
        "\"\"",
        "\"a\"",
        "\"A\"",
        "\"b\"",
        "\"é\"",
        "\"z\"",
        "\"1\"",
        "\"ß\"",
        "\"日本\"",
        "\"😀\"",
        "\"a b c\"",
    ];
    match random::below(if depth == 0 { 8 } else { 10 }) {
        8 => {
            let elements = (0..random::below(3)).map(|_| value(depth - 1)).collect::<Vec<_>>();
            format!("[{}]", elements.join(","))
        }
        9 => object(depth - 1),
        _ => SCALARS[random::below(SCALARS.len())].to_owned(),
    }
}

fn object(depth: usize) -> String {
    let keys = ["a", "b", "c d", "0"].into_iter().filter(|_| random::below(3) > 0);
    let members = keys.map(|key| format!("\"{key}\":{}", value(depth)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn path() -> &'static str {
    const PATHS: [&str; 12] = [
        "/state/a",
        "/state/b",
        "/state/c d",
        "/state/0",
        "/state/a/0",
        "/state/b/-1",
        "/state/a/b",
        "/id",
        "/version",
        "/state",
        "/metadata/a",
        "/created_at",
    ];
    PATHS[random::below(PATHS.len())]
}

fn filter(depth: usize) -> String {
    let leaf = |operator: &str, rest: &str| {
        format!("{{\"{operator}\":{{\"path\":\"{}\"{rest}}}}}", path())
    };
    // A time is compared with times alone.
    let timeless = |text: String| text.replace("/created_at", "/state/a");
    match random::below(if depth == 0 { 12 } else { 15 }) {
        0 => timeless(leaf("eq", &format!(",\"value\":{}", value(1)))),
        1 => timeless(leaf("ne", &format!(",\"value\":{}", value(1)))),
        2 => {
            let than = ["gt", "ge", "lt", "le"][random::below(4)];
            let operand = ["0", "1", "1.5", "9007199254740993", "\"a\"", "\"é\""][random::below(6)];
            timeless(leaf(than, &format!(",\"value\":{operand}")))
        }
        3 => timeless(leaf("in", &format!(",\"values\":[{},{}]", value(0), value(1)))),
        4 => leaf("contains", &format!(",\"value\":{}", value(0))),
        5 => leaf("json_contains", &format!(",\"value\":{}", value(1))),
        6 => leaf("has_key", ",\"key\":\"a\""),
        7 => leaf("exists", ""),
        8 => leaf("prefix", ",\"value\":\"a\",\"ignore_case\":true"),
        9 => leaf("text_contains", ",\"value\":\"b\""),
        10 => leaf("matches", ",\"pattern\":\"^[a-z]$\""),
        11 => leaf("similar", ",\"to\":\"a b\",\"at_least\":0.3"),
        12 => format!("{{\"not\":{}}}", filter(depth - 1)),
        13 => format!("{{\"and\":[{},{}]}}", filter(depth - 1), filter(depth - 1)),
        _ => format!("{{\"or\":[{},{}]}}", filter(depth - 1), filter(depth - 1)),
    }
}

fn sort() -> String {
    let field = |_| {
        let order = ["asc", "desc"][random::below(2)];
        if random::below(6) == 0 {
            return format!(
                "{{\"similarity\":{{\"path\":\"{}\",\"to\":\"a\"}},\"order\":\"{order}\"}}",
                path()
            );
        }
        format!("{{\"path\":\"{}\",\"order\":\"{order}\"}}", path())
    };
    (0..random::below(4)).map(field).collect::<Vec<_>>().join(",")
}

/// Every page, forwards and backwards, joins to what the reference finds; how many pages there were.
async fn walk(
    store: &TestStore,
    log: &Log,
    name: Option<&ProjectionName>,
    query: &Query,
    expected: &Found,
) -> usize {
    let mut pages = 1;
    let limit = 1 + random::below(5);
    let page = async |window| store.find(log, name, query, window).await;
    let (mut walked, mut key) = (Vec::new(), None);
    loop {
        let found = page(Window::After { key: key.clone(), limit }).await;
        pages += 1;
        assert_eq!(found.has_previous, !walked.is_empty());
        walked.extend(found.picked);
        key = walked.last().map(|picked| picked.key.clone());
        if !found.has_next {
            break;
        }
    }
    assert_eq!(walked, expected.picked);
    let mut key = vec![0xff];
    let mut back = Vec::new();
    loop {
        let found = page(Window::Before { key: key.clone(), limit }).await;
        pages += 1;
        assert!(found.has_next, "what the key was of");
        back.splice(0..0, found.picked);
        key = back.first().map_or(key, |picked| picked.key.clone());
        if !found.has_previous {
            break;
        }
    }
    assert_eq!(back, expected.picked);
    let (number, size) = (random::below(4), 1 + random::below(5));
    let found = page(Window::Offset { offset: number * size, limit: size }).await;
    let expected: Vec<_> = expected.picked.iter().skip(number * size).take(size).cloned().collect();
    assert_eq!(found.picked, expected);
    pages
}

/// What a query finds in documents that no store had: the reference.
fn reference<'a>(documents: impl Iterator<Item = &'a Projection>, query: &Query) -> Found {
    let mut pick = Pick::new(&query.filter, &query.sort, whole());
    documents.cloned().for_each(|document| pick.look(document));
    pick.found()
}
