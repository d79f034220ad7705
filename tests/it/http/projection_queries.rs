//! Queries of projections over HTTP: pages both ways, counts, links, and what is refused.

use serde_json::{Value, json};

use crate::support::server::{Answer, Server};

const TOTALS: &str = "/v1/logs/default/projections/totals";

/// Six entries, of which the last is of another projection.
async fn scene() -> Server {
    let server = Server::start().await;
    for (id, total, name) in
        [("a", 3, "charleston"), ("b", 1, "Berlin"), ("c", 3, "Boston"), ("d", 2, "charlotte")]
    {
        let state = json!({"total": total, "name": name, "tags": [id, "x"]});
        let body = json!({"source": {"category": "airports", "stream": id}, "state": state});
        server.put(&format!("{TOTALS}/entries/{id}"), &body).await.expect(201);
    }
    let nameless = json!({"source": {"log": true}, "state": {}});
    server.put(&format!("{TOTALS}/entries/e"), &nameless).await.expect(201);
    let other = "/v1/logs/default/projections/others/entries/a";
    server.put(other, &nameless).await.expect(201);
    server
}

async fn search(server: &Server, query: &Value) -> Answer {
    server.post(&format!("{TOTALS}/search"), query).await
}

fn ids(page: &Value) -> String {
    let entries = page["entries"].as_array().expect("a page has entries");
    entries.iter().filter_map(|entry| entry["id"].as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn pages_go_both_ways_and_join() {
    let server = scene().await;
    let asked = |page: Value| {
        json!({
            "filter": {"exists": {"path": "/state/total"}},
            "sort": [{"path": "/state/total", "order": "desc"}, {"path": "/state/name"}],
            "page": page, "count": true,
        })
    };
    let first = search(&server, &asked(json!({"limit": 2}))).await.expect(200).json();
    assert_eq!((ids(&first).as_str(), &first["count"]), ("c a", &json!(4)));
    let place =
        |page: &Value| (page["page"]["has_next"].clone(), page["page"]["has_previous"].clone());
    assert_eq!(place(&first), (json!(true), json!(false)));
    assert_eq!(first["page"]["previous"], Value::Null);
    let after = asked(json!({"limit": 2, "after": first["page"]["next"]}));
    let second = search(&server, &after).await.expect(200).json();
    assert_eq!((ids(&second).as_str(), place(&second)), ("d b", (json!(false), json!(true))));
    assert_eq!(second["page"]["next"], Value::Null);
    let before = asked(json!({"limit": 2, "before": second["page"]["previous"]}));
    let back = search(&server, &before).await.expect(200).json();
    assert_eq!((&back["entries"], &back["page"]), (&first["entries"], &first["page"]));
    let numbered =
        search(&server, &asked(json!({"number": 2, "size": 3}))).await.expect(200).json();
    assert_eq!(ids(&numbered), "b");
    // What comes after a page may be gone: the way back is not.
    let keep = asked(json!({"limit": 2, "after": first["page"]["next"]}));
    for id in ["b", "d"] {
        let path = format!("{TOTALS}/entries/{id}");
        server.request(reqwest::Method::DELETE, &path).send().await.expect(200);
    }
    let empty = search(&server, &keep).await.expect(200).json();
    assert_eq!((ids(&empty).as_str(), place(&empty)), ("", (json!(false), json!(true))));
    let back = asked(json!({"limit": 9, "before": empty["page"]["previous"]}));
    assert_eq!(ids(&search(&server, &back).await.expect(200).json()), "c a", "all that is left");
    // A cursor is of its query, its projection and its log.
    let mut other = after.clone();
    other["sort"][0]["order"] = json!("asc");
    search(&server, &other).await.fault(422, "invalid-request", "#/page/after");
    let elsewhere = server.post("/v1/logs/default/projections/search", &after).await;
    elsewhere.fault(422, "invalid-request", "#/page/after");
    let mut changed = after.clone();
    changed["page"]["after"] = json!(format!("{}A", first["page"]["next"].as_str().expect("one")));
    search(&server, &changed).await.fault(422, "invalid-request", "#/page/after");
}

#[tokio::test]
async fn a_similarity_ranks_and_tells_its_score() {
    let server = scene().await;
    let similarity = json!({"path": "/state/name", "to": "charlston"});
    let query = json!({
        "filter": {"similar": {"path": "/state/name", "to": "charlston", "at_least": 0.3}},
        "sort": [{"similarity": similarity, "order": "desc"}], "select": ["/state/name"],
    });
    let page = search(&server, &query).await.expect(200).json();
    assert_eq!(ids(&page), "a d");
    let scores: Vec<f64> = page["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["score"].as_f64().expect("a score"))
        .collect();
    assert!(scores[0] > 0.5 && scores[0] > scores[1] && scores[1] >= 0.3, "{scores:?}");
    assert_eq!(page["entries"][0]["state"], json!({"name": "charleston"}), "what was selected");
}

#[tokio::test]
async fn a_query_may_be_a_link_and_span_all_names() {
    let server = scene().await;
    let found = server.get(&format!("{TOTALS}/entries")).await.expect(200).json();
    assert_eq!(ids(&found), "a b c d e");
    let query = "%7B%22filter%22%3A%7B%22eq%22%3A%7B%22path%22%3A%22%2Fid%22%2C%22value%22%3A%22b%22%7D%7D%7D";
    let found = server.get(&format!("{TOTALS}/entries?query={query}")).await.expect(200).json();
    assert_eq!(ids(&found), "b");
    let tag = server.get(&format!("{TOTALS}/entries")).await.header("etag").to_owned();
    let again = server.getting(&format!("{TOTALS}/entries")).header("if-none-match", &tag);
    again.send().await.expect(304);
    for (query, status, code) in [
        ("%7B", 400, "malformed-request"),
        ("%5B%5D", 422, "invalid-request"),
        ("%7B%22page%22%3A%7B%22limit%22%3A0%7D%7D", 422, "invalid-request"),
    ] {
        let answer = server.get(&format!("{TOTALS}/entries?query={query}")).await;
        answer.fault(status, code, "query");
    }
    let all = "/v1/logs/default/projections/search";
    let found = server.post(all, &json!({})).await.expect(200).json();
    assert_eq!(ids(&found), "a a b c d e");
    assert_eq!(found["entries"][0]["name"], "others");
    let nobody = server.post("/v1/logs/default/projections/nobody/search", &json!({})).await;
    let empty = json!({"next": null, "previous": null, "has_next": false, "has_previous": false});
    assert_eq!(nobody.expect(200).json(), json!({"entries": [], "page": empty}));
}

#[tokio::test]
async fn counts_take_a_filter_alone() {
    let server = scene().await;
    let count = async |path: &str, body: &Value| server.post(path, body).await;
    let totals = format!("{TOTALS}/count");
    let filter = json!({"filter": {"eq": {"path": "/state/total", "value": 3}}});
    assert_eq!(count(&totals, &filter).await.expect(200).json(), json!({"count": 2}));
    let all = "/v1/logs/default/projections/count";
    assert_eq!(count(all, &json!({})).await.expect(200).json(), json!({"count": 6}));
    count(&totals, &json!({"sort": []})).await.fault(422, "invalid-request", "#/sort");
    count(&totals, &json!([])).await.problem(422, "invalid-request");
}

#[tokio::test]
async fn a_bad_query_is_told_where_it_is_bad() {
    let server = scene().await;
    for (query, place) in [
        (json!({"filter": {"equals": {"path": "/id"}}}), "#/filter/equals"),
        (json!({"filter": {"and": [{"eq": {"path": "id"}}]}}), "#/filter/and/0/eq/path"),
        (
            json!({"filter": {"matches": {"path": "/id", "pattern": "("}}}),
            "#/filter/matches/pattern",
        ),
        (json!({"page": {"number": 0}}), "#/page/number"),
        (json!({"page": {"after": "AAAA"}}), "#/page/after"),
        (json!({"sort": [{"path": "/state", "order": "down"}]}), "#/sort/0/order"),
        (json!({"where": 1}), "#/where"),
    ] {
        search(&server, &query).await.fault(422, "invalid-request", place);
    }
    let large = json!({"filter": {"in": {"path": "/id", "values": vec!["x".repeat(100); 700]}}});
    search(&server, &large).await.problem(413, "too-large");
    let several = json!({"filter": {"eq": {"path": "id"}}, "page": {"limit": 0}});
    let problem = search(&server, &several).await.problem(422, "invalid-request");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(2), "all that is wrong is told");
    let text = r#"{"filter":{"eq":{"path":"/state/n","value":9223372036854775808}}}"#;
    let call =
        server.posting(&format!("{TOTALS}/search")).header("content-type", "application/json");
    call.raw(text).send().await.fault(422, "invalid-request", "#/filter/eq/value");
}
