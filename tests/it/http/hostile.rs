//! Nothing of a user's is ever part of a statement: what Postgres is asked are the files of statements, whatever
//! stands in the strings of requests.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use everlog::{
    storage::{Storage, postgres::PostgresStore},
    testing::StaticClock,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    postgres::{CONNECTIONS, Database},
    proxy::Proxy,
    server::{Server, Setup},
};

/// It ends a string in each way there is, and goes on as a statement.
const HOSTILE: &str = r#"x'; DROP TABLE event; --"$$`\\' OR 1=1 /*%_"#;

fn encoded() -> String {
    HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The files of statements, what begins and ends transactions, and what connections are asked.
fn known() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage/postgres/sql");
    let files = fs::read_dir(folder)
        .expect("the statements")
        .map(|file| fs::read_to_string(file.expect("a file").path()).expect("a statement"));
    let others = [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "COMMIT",
        "ROLLBACK",
        // What is asked of a new connection, and whether one is still there.
        "SHOW synchronous_commit",
        "",
    ];
    files.chain(others.map(str::to_owned)).collect()
}

async fn events(server: &Server, x: &str) {
    let stream = format!("/v1/logs/default/categories/{x}/streams/{x}");
    let event = json!({"name": HOSTILE, "payload": HOSTILE, "metadata": {HOSTILE: HOSTILE}});
    let condition = json!({"no_event_matching": {"names": ["other"], "metadata": {HOSTILE: "x"}}});
    let body = json!({"events": [event], "condition": condition});
    server.post(&format!("{stream}/events"), &body).await.expect(201);
    for path in [
        format!("{stream}/events?name={x}&metadata.{x}={x}"),
        format!("/v1/logs/default/categories?prefix={x}"),
        format!("{stream}/events/latest"),
    ] {
        let answer = server.get(&path).await.expect(200);
        assert!(answer.text().contains("DROP TABLE"), "{path}: {}", answer.text());
    }
}

/// Every string of a query and of a declaration.
fn queries() -> Vec<Value> {
    let path = format!("/state/{}", HOSTILE.replace('/', "~1"));
    let of = |operator: &str, member: &str, value: Value| json!({"filter": {operator: {"path": path, member: value}}});
    let mut queries: Vec<Value> = ["eq", "ge", "le", "prefix", "text_contains"]
        .map(|operator| of(operator, "value", json!(HOSTILE)))
        .to_vec();
    queries.extend([
        of("in", "values", json!([HOSTILE])),
        json!({"filter": {"json_contains": {"path": "/state", "value": {HOSTILE: HOSTILE}}}}),
        json!({"filter": {"has_key": {"path": "/state", "key": HOSTILE}}}),
        json!({"filter": {"matches": {"path": path, "pattern": "DROP TABLE event; --\"[$]{2}`"}}}),
        json!({"filter": {"similar": {"path": path, "to": HOSTILE, "at_least": 1}}}),
        json!({"sort": [{"path": path}, {"similarity": {"path": path, "to": HOSTILE}}], "select": [path]}),
        json!({"sort": [{"similarity": {"path": path, "to": HOSTILE}, "order": "desc"}]}),
    ]);
    queries
}

async fn projections(server: &Server, x: &str) {
    let projection = format!("/v1/logs/default/projections/{x}");
    let state = json!({HOSTILE: HOSTILE});
    let source = json!({"category": HOSTILE, "stream": HOSTILE});
    let body = json!({"source": source, "state": state, "metadata": state});
    server.put(&format!("{projection}/entries/{x}"), &body).await.expect(201);
    let path = format!("/state/{}", HOSTILE.replace('/', "~1"));
    for indexed in [false, true] {
        if indexed {
            let field = json!([{"path": path, "order": "asc"}]);
            let declaration = json!({"indexes": [
                {"name": HOSTILE, "fields": field},
                {"name": format!("{HOSTILE} 2"), "similarity": path},
            ]});
            server.put(&projection, &declaration).await.expect(200);
            while !server.get(&projection).await.expect(200).json()["indexes"]
                .as_array()
                .is_some_and(|all| all.iter().all(|index| index["ready"] == true))
            {}
        }
        for query in queries() {
            let found = server.post(&format!("{projection}/search"), &query).await.expect(200);
            assert_eq!(found.json()["entries"][0]["state"], state, "{query}");
        }
        let located = server.get(&format!("{projection}/entries?category={x}&stream={x}")).await;
        assert_eq!(located.expect(200).json()["entries"][0]["id"], HOSTILE);
    }
    for query in [json!({"page": {"after": HOSTILE}}), json!({"filter": {HOSTILE: {}}})] {
        server.post(&format!("{projection}/search"), &query).await.problem(422, "invalid-request");
    }
    server.get(&format!("/v1/logs/default/projections?prefix={x}")).await.expect(200);
    server.request(Method::DELETE, &projection).send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_the_files_whatever_is_asked() {
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database.options()).await;
    let clock = Arc::new(StaticClock::default());
    let store = PostgresStore::open(proxy.options(), CONNECTIONS, clock.clone()).await;
    let storage = Storage::new(Arc::new(store.expect("the store opens through the proxy")));
    let server = Setup { storage, clock, ..Setup::memory() }.start().await;
    let x = encoded();
    events(&server, &x).await;
    projections(&server, &x).await;
    let heard = proxy.heard();
    let strange: Vec<_> = heard.difference(&known()).cloned().collect();
    assert_eq!(strange, Vec::<String>::new());
    assert!(heard.len() > 30, "they were heard: {}", heard.len());
    assert!(!heard.iter().any(|statement| statement.contains("DROP TABLE")));
}
