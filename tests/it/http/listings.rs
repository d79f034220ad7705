//! Listings of logs, categories and streams.

use serde_json::{Value, json};

use crate::support::server::Server;

const STREAMS: &str = "/v1/logs/default/categories/c/streams";

async fn names(server: &Server, first: &str, list: &str, member: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut url = Some(first.to_owned());
    while let Some(here) = url {
        let page = server.get(&here).await.expect(200).json();
        let entries = page[list].as_array().expect("a list");
        names.extend(entries.iter().filter_map(|e| e[member].as_str().map(str::to_owned)));
        url = page["page"]["next"].as_str().map(str::to_owned);
        assert!(names.len() < 1_000, "the links go in a circle at {here}");
    }
    names
}

#[tokio::test]
async fn streams_are_listed_by_name_by_prefix_and_page_by_page() {
    let server = Server::start().await;
    for stream in ["b", "a%2F2", "a%2F1", "a", "%C3%A9", "a&b=c"] {
        server.fill(&format!("{STREAMS}/{stream}"), 2).await;
    }
    server.fill("/v1/logs/default/categories/other/streams/zzz", 1).await;
    let all = ["a", "a&b=c", "a/1", "a/2", "b", "é"];
    for query in ["", "?limit=1", "?limit=2", "?limit=6"] {
        assert_eq!(names(&server, &format!("{STREAMS}{query}"), "streams", "stream").await, all);
    }
    let listed = async |query: &str| {
        names(&server, &format!("{STREAMS}?{query}"), "streams", "stream").await
    };
    assert_eq!(listed("prefix=a%2F&limit=1").await, ["a/1", "a/2"]);
    assert_eq!(listed("prefix=a%26&limit=1").await, ["a&b=c"]);
    assert_eq!(listed("cursor=a%2F1").await, ["a/2", "b", "é"]);
    assert_eq!(listed("prefix=nothing").await, [""; 0]);
    let page = server.get(STREAMS).await.json();
    let entry = &page["streams"][0];
    assert_eq!((&entry["position"], &entry["events"]), (&json!(1), &json!(2)));
    assert_eq!(entry["last_sequence_number"], 8);
    let own = server.get(&format!("{STREAMS}/a")).await.expect(200).json();
    assert_eq!(own, *entry);
}

#[tokio::test]
async fn categories_are_listed_and_counted_only_if_asked() {
    let server = Server::start().await;
    for (category, count) in [("b", 3), ("a", 2), ("ab", 1)] {
        server.fill(&format!("/v1/logs/default/categories/{category}/streams/s"), count).await;
    }
    let path = "/v1/logs/default/categories";
    for query in ["", "?limit=1", "?limit=1&count=true"] {
        let listed = names(&server, &format!("{path}{query}"), "categories", "category").await;
        assert_eq!(listed, ["a", "ab", "b"]);
    }
    let prefixed = format!("{path}?prefix=a&limit=1");
    assert_eq!(names(&server, &prefixed, "categories", "category").await, ["a", "ab"]);
    let page = server.get(path).await.json();
    assert_eq!(page["categories"][0].get("events"), None);
    let page = server.get(&format!("{path}?count=true&limit=2")).await.json();
    assert_eq!(page["categories"][0]["events"], 2);
    let next = page["page"]["next"].as_str().unwrap();
    assert_eq!(server.get(next).await.json()["categories"][0]["events"], 3);
    let one = server.get(&format!("{path}/b?count=true")).await.expect(200).json();
    assert_eq!((&one["events"], &one["last_sequence_number"]), (&json!(3), &json!(3)));
}

#[tokio::test]
async fn logs_are_listed() {
    let server = Server::start().await;
    for log in ["b", "a"] {
        server.put(&format!("/v1/logs/{log}"), &json!({})).await.expect(201);
    }
    for query in ["", "?limit=1"] {
        let listed = names(&server, &format!("/v1/logs{query}"), "logs", "log").await;
        assert_eq!(listed, ["a", "b", "default"]);
    }
    let listed = names(&server, "/v1/logs?prefix=d&limit=1", "logs", "log").await;
    assert_eq!(listed, ["default"]);
    let empty = server.get("/v1/logs?prefix=x").await.expect(200).json();
    assert_eq!(empty, json!({"logs": [], "page": {"next": Value::Null}}));
}

#[tokio::test]
async fn a_listing_refuses_what_it_cannot_take() {
    let server = Server::start().await;
    for (query, status, code, place) in [
        ("limit=0", 422, "invalid-request", "limit"),
        ("limit=ten", 400, "malformed-request", "limit"),
        ("prefix=%00", 422, "invalid-request", "prefix"),
        ("prefix=a&prefix=b", 422, "invalid-request", "prefix"),
        ("order=desc", 422, "invalid-request", "order"),
        ("cursor=%FF", 400, "malformed-request", "cursor"),
    ] {
        for path in ["/v1/logs", "/v1/logs/default/categories", STREAMS] {
            server.get(&format!("{path}?{query}")).await.fault(status, code, place);
        }
    }
    let counted = server.get("/v1/logs/default/categories?count=maybe").await;
    counted.fault(422, "invalid-request", "count");
    server.get(&format!("{STREAMS}?count=true")).await.fault(422, "invalid-request", "count");
}
