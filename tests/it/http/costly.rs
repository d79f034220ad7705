//! Queries that cost much: each within its limits, and nobody else waits for them.

use serde_json::{Value, json};

use crate::support::server::{Server, Setup};

const TOTALS: &str = "/v1/logs/default/projections/totals";

async fn save(server: &Server, id: &str, text: &str) {
    let body = json!({"source": {"log": true}, "state": {"text": text}});
    server.put(&format!("{TOTALS}/entries/{id}"), &body).await.expect(201);
}

fn matches(pattern: &str) -> Value {
    json!({"matches": {"path": "/state/text", "pattern": pattern}})
}

/// On a server of one thread: were the pattern tried on it, nothing would be answered meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pattern_that_takes_long_does_not_stop_the_server() {
    let server = Server::start().await;
    // Each letter by a step of a generator (Knuth's MMIX): patterns that count get no hold on it.
    let mut x = 1_u64;
    let letter = |_| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if x >> 63 == 1 { 'a' } else { 'b' }
    };
    save(&server, "long", &(0..4_096).map(letter).collect::<String>()).await;
    let query = json!({"filter": matches("(?:a[ab]{0,60}){0,60}[cd]")});
    let search = server.posting(&format!("{TOTALS}/search")).json(&query).send();
    let mut search = std::pin::pin!(search);
    let mut answered = 0;
    let found = loop {
        tokio::select! {
            biased;
            found = &mut search => break found,
            answer = server.get("/livez") => {
                answer.expect(200);
                answered += 1;
            }
        }
    };
    assert_eq!(found.expect(200).json()["entries"], json!([]));
    assert!(answered > 20, "{answered} answers while the pattern was tried");
}

#[tokio::test]
async fn patterns_and_parts_have_limits() {
    let server = Server::start().await;
    let search = async |filter: Value| {
        server.post(&format!("{TOTALS}/search"), &json!({ "filter": filter })).await
    };
    save(&server, "a", "abc").await;
    let patterns = |count| json!({"or": vec![matches("b"); count]});
    search(patterns(4)).await.expect(200);
    search(patterns(5)).await.fault(422, "invalid-request", "#/filter/or/4/matches");
    let parts = |count| json!({"json_contains": {"path": "/state", "value": vec![1; count]}});
    search(parts(999)).await.expect(200);
    search(parts(1_000)).await.fault(422, "invalid-request", "#/filter/json_contains/value");
    let both = json!({"and": [parts(500), parts(500)]});
    search(both).await.fault(422, "invalid-request", "#/filter/and/1/json_contains/value");
    // A pattern looks at the first 16 KiB of a text.
    for (id, length) in [("in", 16_383), ("out", 16_384)] {
        save(&server, id, &format!("{}Z", "z".repeat(length))).await;
    }
    let found = search(matches("Z")).await.expect(200).json();
    assert_eq!(
        (&found["entries"][0]["id"], &found["page"]["has_next"]),
        (&json!("in"), &json!(false))
    );
    assert_eq!(found["entries"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_page_ends_with_its_bytes_and_a_numbered_one_is_refused() {
    let server = Setup::memory().limits(|limits| limits.page_bytes = 1_000).start().await;
    for id in 0..9 {
        save(&server, &id.to_string(), &"x".repeat(900)).await;
    }
    let search = async |page: Value| {
        server.post(&format!("{TOTALS}/search"), &json!({ "page": page })).await
    };
    let mut page = json!({"limit": 100});
    for id in 0..9 {
        let found = search(page).await.expect(200).json();
        let ids: Vec<_> = found["entries"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| &entry["id"])
            .collect();
        assert_eq!(ids, [&json!(id.to_string())]);
        page = json!({"limit": 100, "after": found["page"]["next"]});
    }
    assert_eq!(page["after"], Value::Null, "that was the last");
    search(json!({"number": 2, "size": 3})).await.expect(200);
    let refused = search(json!({"number": 1, "size": 9})).await.problem(422, "query-too-broad");
    assert_eq!(
        (&refused["limit"], &refused["maximum"]),
        (&json!("numbered_page_bytes"), &json!(8_000))
    );
}
