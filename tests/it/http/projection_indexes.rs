//! Declared indexes over HTTP: what is declared is told, built and used; what cannot be is refused.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::Server;

const TOTALS: &str = "/v1/logs/default/projections/totals";

/// The projection, once all of its indexes are built.
async fn ready(server: &Server) -> Value {
    let built = async {
        loop {
            let projection = server.get(TOTALS).await.expect(200).json();
            let indexes = projection["indexes"].as_array().expect("they are told");
            if indexes.iter().all(|index| index["ready"] == true) {
                return projection;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), built).await.expect("they are built")
}

/// Four entries.
async fn scene() -> Server {
    let server = Server::start().await;
    let entry = |(id, country, total): (&str, &str, i64)| json!({"id": id, "source": {"log": true}, "state": {"country": country, "total": total, "name": id}});
    let entries = [("a", "SE", 1), ("b", "NO", 2), ("c", "SE", 3), ("d", "SE", 2)].map(entry);
    server.post(&format!("{TOTALS}/entries"), &json!({"entries": entries})).await.expect(200);
    server
}

fn declaration() -> Value {
    let fields = json!([{"path": "/state/country"}, {"path": "/state/total", "order": "desc"}]);
    json!({"indexes": [
        {"name": "by_country", "fields": fields}, {"name": "alike", "similarity": "/state/name"},
    ]})
}

#[tokio::test]
async fn an_index_is_declared_built_and_told_of() {
    let server = scene().await;
    let search = async |query: &Value| {
        server.post(&format!("{TOTALS}/search"), query).await.expect(200).json()
    };
    let page = |page: Value| {
        json!({
            "filter": {"eq": {"path": "/state/country", "value": "SE"}},
            "sort": [{"path": "/state/total", "order": "desc"}], "page": page, "explain": true,
        })
    };
    let before = search(&page(json!({"limit": 2}))).await;
    assert_eq!((&before["plan"]["index"], &before["plan"]["examined"]), (&json!(null), &json!(4)));
    server.put(TOTALS, &declaration()).await.expect(200);
    let fields = json!([
        {"path": "/state/country", "order": "asc"}, {"path": "/state/total", "order": "desc"},
    ]);
    let indexes = json!([
        {"name": "by_country", "fields": fields, "similarity": null, "ready": true, "added": 4},
        {"name": "alike", "fields": null, "similarity": "/state/name", "ready": true, "added": 4},
    ]);
    assert_eq!(
        ready(&server).await,
        json!({"projection": "totals", "entries": 4, "indexes": indexes})
    );
    let after = search(&page(json!({"limit": 1}))).await;
    let plan = &after["plan"];
    assert_eq!((&plan["index"], &plan["examined"]), (&json!("by_country"), &json!(2)));
    assert!(plan["plan"].as_str().is_some_and(|words| words.contains("`by_country`")), "{plan}");
    // A cursor of before the index goes on in it.
    let next = page(json!({"limit": 2, "after": before["page"]["next"]}));
    let next = search(&next).await;
    assert_eq!(next["entries"][0]["id"], "a");
    assert_eq!(
        (&next["plan"]["index"], &next["plan"]["examined"]),
        (&json!("by_country"), &json!(1))
    );
    let silent = search(&json!({})).await;
    assert_eq!(silent.get("plan"), None, "nobody asked");
}

#[tokio::test]
async fn what_is_no_index_is_refused_where_it_stands() {
    let server = scene().await;
    for (body, place) in [
        (json!({}), "#/indexes"),
        (json!({"indexes": {}}), "#/indexes"),
        (json!({"indexes": [{"name": "a"}]}), "#/indexes/0"),
        (json!({"indexes": [{"name": "$a", "similarity": "/id"}]}), "#/indexes/0/name"),
        (
            json!({"indexes": [{"name": "a", "fields": [{"path": "x"}]}]}),
            "#/indexes/0/fields/0/path",
        ),
        (
            json!({"indexes": [{"name": "a", "fields": [{"path": "/id"}], "unique": true}]}),
            "#/indexes/0/unique",
        ),
        (json!({"entries": []}), "#/entries"),
    ] {
        let answer = server.put(TOTALS, &body).await.problem(422, "invalid-request");
        let errors = answer["errors"].as_array().expect("they are told");
        assert!(errors.iter().any(|error| error["pointer"] == place), "{body}: {answer}");
    }
    let many: Vec<Value> =
        (0..17).map(|n| json!({"name": n.to_string(), "similarity": "/id"})).collect();
    server.put(TOTALS, &json!({"indexes": many})).await.fault(422, "invalid-request", "#/indexes");
    assert_eq!(server.get(TOTALS).await.expect(200).json()["indexes"], json!([]));
    let elsewhere = "/v1/logs/nowhere/projections/totals";
    server.put(elsewhere, &declaration()).await.problem(404, "log-not-found");
}

#[tokio::test]
async fn a_dropped_projection_has_no_indexes() {
    let server = scene().await;
    server.put(TOTALS, &declaration()).await.expect(200);
    ready(&server).await;
    server.request(Method::DELETE, TOTALS).send().await.expect(200);
    let empty = json!({"projection": "totals", "entries": 0, "indexes": []});
    assert_eq!(server.get(TOTALS).await.expect(200).json(), empty);
}
