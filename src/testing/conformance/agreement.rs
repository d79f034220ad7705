//! Agreement: random queries of random documents, held to the reference page by page.

use super::{
    indexing::{declare, finish},
    queries::{REACH, query, whole},
    saving::{name, save},
    store::TestStore,
};
use crate::{
    model::{Json, Log, Projection, ProjectionName, Save},
    query::{
        Query,
        pick::{self, Found, Pick, Window},
    },
    storage::find::{FindError, Reach},
    testing::random,
};

/// Documents of one set, and queries that are asked of it.
const DOCUMENTS: usize = 60;
const QUERIES: usize = 60;

/// Asks for at least so many pages, each of which must be what the reference has there; tells how many it asked
/// for.
pub async fn agree(store: &TestStore, pages: usize) -> usize {
    let log = store.log().await;
    let (mut asked, mut by_index) = (0, 0);
    while asked < pages {
        let (name, other) = (name(), name());
        let id = |n: usize| format!("{}{}", ["a", "B", "é", "Z", "z"][n % 5], n / 5);
        let saves = (0..DOCUMENTS)
            .map(|n| Save { metadata: Json::stored(&object(1)), ..save(&id(n), &object(2)) });
        let saves: Vec<Save> = saves.collect();
        // Rows of what was there before an index are built, those of later saves are kept.
        store.save_all(&log, &name, saves[..DOCUMENTS / 2].to_vec()).await;
        let (indexes, first) = (indexes(), random::below(2) == 0);
        if first {
            declare(store, &log, &name, &declaration(&indexes)).await;
        }
        let mut documents = store.save_all(&log, &name, saves.clone()).await;
        for (document, save) in documents.iter().zip(&saves) {
            assert_eq!((&document.state, &document.metadata), (&save.state, &save.metadata));
        }
        if !first {
            declare(store, &log, &name, &declaration(&indexes)).await;
        }
        // One more name, for queries of all.
        documents.extend(store.save_all(&log, &other, saves[..DOCUMENTS / 3].to_vec()).await);
        for turn in 0..QUERIES {
            let of = (turn % 2 == 0).then_some(&name);
            let text = match indexes.get(random::below(4)) {
                Some(fields) if of.is_some() => served(fields, &saves),
                _ => format!("{{\"filter\":{},\"sort\":[{}]}}", filter(2), sort()),
            };
            let query = query(&text);
            let wanted = documents.iter().filter(|found| of.is_none_or(|name| found.name == *name));
            let expected = reference(wanted, &query);
            let walked = walk(store, &log, of, &query, &expected).await;
            (asked, by_index) = (asked + walked.0, by_index + walked.1);
            let counted = Query { count: true, ..query };
            let answer = store.answer(&log, of, &counted, whole()).await;
            assert_eq!(answer.found, expected, "{text}: {}", answer.plan);
            asked += 1;
            by_index += usize::from(answer.index.is_some());
        }
        for name in [&name, &other] {
            let dropped = store.storage.projections.drop_projection(&log, name).await;
            dropped.expect("they are dropped");
            finish(store, &log, name).await;
        }
    }
    assert!(by_index > asked / 50, "indexes served {by_index} queries of {asked} pages");
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
    // A border: as far as a sort looks.
    if random::below(24) == 0 {
        let length = 253 + random::below(4);
        return format!("\"{}{}\"", "a".repeat(length), ["", "b", "c"][random::below(3)]);
    }
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

/// A field of an index, or of a sort: its path and its order.
type Field = (&'static str, &'static str);

fn field() -> Field {
    (path(), ["asc", "desc"][random::below(2)])
}

fn written((path, order): &Field) -> String {
    format!("{{\"path\":\"{path}\",\"order\":\"{order}\"}}")
}

/// Up to three indexes of fields, each another. One more has no field: it is of a similarity.
fn indexes() -> Vec<Vec<Field>> {
    let index = |_| {
        let mut fields: Vec<Field> = (0..=random::below(3)).map(|_| field()).collect();
        fields.sort_unstable();
        fields.dedup_by_key(|(path, _)| *path);
        fields
    };
    let mut indexes: Vec<Vec<Field>> = (0..3).map(index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}

fn declaration(indexes: &[Vec<Field>]) -> String {
    let index = |(n, fields): (usize, &Vec<Field>)| {
        let fields = fields.iter().map(written).collect::<Vec<_>>().join(",");
        format!("{{\"name\":\"{n}\",\"fields\":[{fields}]}}")
    };
    let alike = format!("{{\"name\":\"alike\",\"similarity\":\"{}\"}}", path());
    let indexes = indexes.iter().enumerate().map(index).chain([alike]);
    format!("{{\"indexes\":[{}]}}", indexes.collect::<Vec<_>>().join(","))
}

/// A query that an index may serve: values for its first fields, perhaps a range, and a sort by the rest.
fn served(fields: &[Field], states: &[Save]) -> String {
    let fixed = random::below(fields.len() + 1);
    let timeless = |(path, _): &&Field| !path.contains("_at");
    let mut filters: Vec<String> = fields[..fixed]
        .iter()
        .filter(timeless)
        .map(|(path, _)| {
            format!("{{\"eq\":{{\"path\":\"{path}\",\"value\":{}}}}}", known(path, states))
        })
        .collect();
    if let Some((path, _)) = fields.get(fixed).filter(timeless) {
        let known = known(path, states);
        filters.push(match random::below(4) {
            0 => format!("{{\"in\":{{\"path\":\"{path}\",\"values\":[{known},{}]}}}}", value(0)),
            1 => format!("{{\"prefix\":{{\"path\":\"{path}\",\"value\":\"a\"}}}}"),
            2 if known.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) => {
                let than = ["gt", "ge", "lt", "le"][random::below(4)];
                format!("{{\"{than}\":{{\"path\":\"{path}\",\"value\":{known}}}}}")
            }
            _ => filter(0),
        });
    }
    let sort: Vec<String> = match random::below(3) {
        0 => Vec::new(),
        1 => fields.iter().map(written).collect(),
        _ => fields[fixed..].iter().map(written).collect(),
    };
    format!("{{\"filter\":{{\"and\":[{}]}},\"sort\":[{}]}}", filters.join(","), sort.join(","))
}

/// A value that some document has there.
fn known(path: &str, saves: &[Save]) -> String {
    let save = &saves[random::below(saves.len())];
    let path = crate::query::path::read_path(path).expect("it is a path");
    let document = Projection {
        name: ProjectionName::stored("any"),
        id: save.id.clone(),
        source: save.source.clone(),
        state: save.state.clone(),
        metadata: save.metadata.clone(),
        version: 2,
        sequence_number: None,
        created_at: super::store::time("2026-01-01T00:00:00Z"),
        updated_at: super::store::time("2026-01-01T00:00:00Z"),
    };
    path.find(&document).map_or("null".to_owned(), |found| found.to_string())
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

/// Every page, forwards and backwards, joins to what the reference finds; how many pages there were, and how many
/// of them came by an index.
async fn walk(
    store: &TestStore,
    log: &Log,
    name: Option<&ProjectionName>,
    query: &Query,
    expected: &Found,
) -> (usize, usize) {
    let (mut pages, mut by_index) = (0, 0);
    let limit = 1 + random::below(5);
    // Some pages end with their bytes.
    let page_bytes = [usize::MAX, usize::MAX, 80, 1][random::below(4)];
    let mut page = async |window| {
        let reach = Reach { page_bytes, ..REACH };
        let answer = match store.reach(log, name, query, window, reach).await {
            Err(FindError::TooLarge(most)) => return Err(most),
            answer => answer.expect("they are found"),
        };
        (pages, by_index) = (pages + 1, by_index + usize::from(answer.index.is_some()));
        Ok(answer.found)
    };
    let (mut walked, mut key) = (Vec::new(), None);
    loop {
        let found = page(Window::After { key: key.clone(), limit }).await.expect("it has room");
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
        let found = page(Window::Before { key: key.clone(), limit }).await.expect("it has room");
        assert!(found.has_next, "what the key was of");
        back.splice(0..0, found.picked);
        key = back.first().map_or(key, |picked| picked.key.clone());
        if !found.has_previous {
            break;
        }
    }
    assert_eq!(back, expected.picked);
    let (number, size) = (random::below(4), 1 + random::below(5));
    let due = |count| expected.picked.iter().take(count);
    match page(Window::Offset { offset: number * size, limit: size }).await {
        Ok(found) => {
            let due: Vec<_> = due((number + 1) * size).skip(number * size).cloned().collect();
            assert_eq!(found.picked, due);
        }
        Err(most) => {
            let held = due((number + 1) * size).map(|picked| pick::bytes(&picked.document));
            assert!(held.sum::<usize>() > most, "it would have had room");
        }
    }
    (pages, by_index)
}

/// What a query finds in documents that no store had: the reference.
fn reference<'a>(documents: impl Iterator<Item = &'a Projection>, query: &Query) -> Found {
    let mut pick = Pick::new(&query.filter, &query.sort, whole(), usize::MAX);
    documents.cloned().for_each(|document| pick.look(document));
    pick.found()
}
