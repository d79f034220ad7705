//! Projections over HTTP: saved, read, guarded, deleted, dropped, listed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, Server};

const TOTALS: &str = "/v1/logs/default/projections/totals";

fn entry(state: &Value) -> Value {
    json!({"source": {"category": "profiles", "stream": "joe"}, "state": state})
}

async fn put(server: &Server, id: &str, body: &Value) -> Answer {
    server.put(&format!("{TOTALS}/entries/{id}"), body).await
}

/// Saves or deletes under a header.
async fn guarded(server: &Server, method: Method, header: (&str, &str)) -> Answer {
    let path = format!("{TOTALS}/entries/1");
    let call = server.request(method.clone(), &path).header(header.0, header.1);
    if method == Method::PUT {
        call.json(&entry(&json!(1))).send().await
    } else {
        call.send().await
    }
}

#[tokio::test]
async fn an_entry_is_saved_and_read_with_its_version() {
    let server = Server::start().await;
    let mut body = entry(&json!({"b": 1.0, "a": [1e2, "ü"]}));
    body["sequence_number"] = json!(17);
    let created = put(&server, "joe%2Fbloggs", &body).await.expect(201);
    assert_eq!(created.header("etag"), "\"1\"");
    let saved = created.json();
    let expected = json!({
        "name": "totals", "id": "joe/bloggs",
        "source": {"category": "profiles", "stream": "joe"},
        "state": {"a": [100, "ü"], "b": 1}, "metadata": null, "version": 1, "sequence_number": 17,
        "created_at": saved["created_at"], "updated_at": saved["created_at"],
    });
    assert_eq!(saved, expected);
    assert!(created.text().contains(r#""state":{"a":[100,"ü"],"b":1},"metadata":null"#));
    let got = server.get(&format!("{TOTALS}/entries/joe%2Fbloggs")).await.expect(200);
    assert_eq!((got.text(), got.header("etag")), (created.text(), "\"1\""));
    let call = server.getting(&format!("{TOTALS}/entries/joe%2Fbloggs"));
    call.header("if-none-match", "\"1\"").send().await.expect(304);

    let other = json!({"source": {"log": true}, "state": null, "metadata": {"by": "test"}});
    let replaced = put(&server, "joe%2Fbloggs", &other).await.expect(200);
    assert_eq!(replaced.header("etag"), "\"2\"");
    let replaced = replaced.json();
    assert_eq!(replaced["source"], expected["source"], "that of the first save");
    assert_eq!(replaced["state"], Value::Null);
    assert_eq!(replaced["metadata"], json!({"by": "test"}));
    assert_eq!(replaced["sequence_number"], Value::Null);
}

#[tokio::test]
async fn headers_guard_what_is_saved_and_deleted() {
    let server = Server::start().await;
    let absent = guarded(&server, Method::PUT, ("if-match", "*")).await;
    let problem = absent.problem(412, "entry-condition-failed");
    assert_eq!((&problem["actual_version"], absent.header("etag")), (&Value::Null, ""));
    assert!(problem.as_object().expect("an object").contains_key("actual_version"));
    guarded(&server, Method::PUT, ("if-none-match", "*")).await.expect(201);
    let there = guarded(&server, Method::PUT, ("if-none-match", "*")).await;
    let problem = there.fault(412, "entry-condition-failed", "If-None-Match");
    assert_eq!((&problem["actual_version"], there.header("etag")), (&json!(1), "\"1\""));
    guarded(&server, Method::PUT, ("if-match", "\"1\", \"7\"")).await.expect(200);
    guarded(&server, Method::PUT, ("if-match", "\"1\""))
        .await
        .problem(412, "entry-condition-failed");
    let weak = guarded(&server, Method::PUT, ("if-match", "W/\"2\"")).await;
    let told = weak.problem(412, "entry-condition-failed")["detail"].to_string();
    assert!(told.contains("weak tag"), "{told}");
    guarded(&server, Method::PUT, ("if-match", "one")).await.problem(400, "malformed-request");
    guarded(&server, Method::DELETE, ("if-match", "1"))
        .await
        .problem(412, "entry-condition-failed");
    let deleted = guarded(&server, Method::DELETE, ("if-match", "2")).await.expect(200).json();
    assert_eq!((&deleted["id"], &deleted["version"]), (&json!("1"), &json!(2)), "as it was");
    guarded(&server, Method::DELETE, ("prefer", "x")).await.problem(404, "entry-not-found");
    server.get(&format!("{TOTALS}/entries/1")).await.problem(404, "entry-not-found");
    let again = put(&server, "1", &entry(&json!(1))).await.expect(201);
    assert_eq!(again.header("etag"), "\"4\"", "no version is used twice");
}

#[tokio::test]
async fn many_are_saved_at_once_or_none() {
    let server = Server::start().await;
    let path = format!("{TOTALS}/entries");
    let one = |id: &str| json!({"id": id, "source": {"log": true}, "state": {"id": id}});
    put(&server, "b", &entry(&json!(0))).await.expect(201);
    let saved = server.post(&path, &json!({"entries": [one("a"), one("b")]})).await.expect(200);
    let expected = json!({"entries": [
        {"id": "a", "version": 1, "created": true}, {"id": "b", "version": 2, "created": false},
    ]});
    assert_eq!(saved.json(), expected);
    for (entries, place) in [
        (json!([]), "#/entries"),
        (json!([one("c"), one("c")]), "#/entries/1/id"),
        (json!([one("c"), one("")]), "#/entries/1/id"),
        (json!([one("c"), {"id": "d", "source": {}, "state": 1}]), "#/entries/1/source"),
        (json!([one("c"), {"id": "d", "source": {"log": true}}]), "#/entries/1"),
        (
            json!([one("c"), {"id": "d", "source": {"log": true}, "state": 1, "x": 1}]),
            "#/entries/1/x",
        ),
    ] {
        let body = json!({"entries": entries});
        server.post(&path, &body).await.fault(422, "invalid-request", place);
    }
    let many = json!({"entries": vec![one("c"); 10_001]});
    server.post(&path, &many).await.problem(413, "too-large");
    let listed = server.get(TOTALS).await.expect(200).json();
    let nothing = json!({"projection": "totals", "entries": 2, "indexes": []});
    assert_eq!(listed, nothing, "nothing was half-written");
}

#[tokio::test]
async fn what_an_entry_cannot_hold_is_refused_where_it_stands() {
    let server = Server::start().await;
    let call = async |text: &str| {
        let path = format!("{TOTALS}/entries/1");
        let call = server.request(Method::PUT, &path).header("content-type", "application/json");
        call.raw(text.to_owned()).send().await
    };
    for (state, place) in [
        ("{\"n\":[9223372036854775808]}", "#/state/n/0"),
        ("{\"n\":1e309}", "#/state/n"),
        ("\"\\u0000\"", "#/state"),
        ("{\"a\":1,\"a\":2}", "#/state/a"),
    ] {
        let text = format!("{{\"source\":{{\"log\":true}},\"state\":{state}}}");
        call(&text).await.fault(422, "invalid-request", place);
    }
    let deep =
        format!("{{\"source\":{{\"log\":true}},\"state\":{}1{}}}", "[".repeat(65), "]".repeat(65));
    call(&deep).await.problem(422, "invalid-request");
    let large = format!("{{\"source\":{{\"log\":true}},\"state\":\"{}\"}}", "x".repeat(1 << 20));
    let problem = call(&large).await.problem(413, "too-large");
    assert_eq!(problem["limit"], "event_bytes");
    call("{\"state\":1}").await.problem(422, "invalid-request");
    call("{").await.problem(400, "malformed-request");
    let body = json!({"source": {"log": true}, "state": 1, "sequence_number": 0});
    put(&server, "1", &body).await.fault(422, "invalid-request", "#/sequence_number");
    let name = "/v1/logs/default/projections/$x/entries/1";
    server.put(name, &entry(&json!(1))).await.fault(422, "invalid-request", "projection");
    put(&server, "%00", &entry(&json!(1))).await.fault(422, "invalid-request", "id");
    let elsewhere = "/v1/logs/nowhere/projections/totals/entries/1";
    server.put(elsewhere, &entry(&json!(1))).await.problem(404, "log-not-found");
    server.get(&format!("{TOTALS}/entries/1")).await.problem(404, "entry-not-found");
}

#[tokio::test]
async fn projections_are_listed_counted_and_dropped() {
    let server = Server::start().await;
    let projections = "/v1/logs/default/projections";
    for (name, count) in [("b", 2), ("a", 1), ("c d", 3)] {
        for id in 0..count {
            let name = name.replace(' ', "%20");
            let path = format!("{projections}/{name}/entries/{id}");
            server.put(&path, &entry(&json!(id))).await.expect(201);
        }
    }
    let first = server.get(&format!("{projections}?limit=2")).await.expect(200).json();
    let one =
        |name: &str, entries: i64| json!({"projection": name, "entries": entries, "indexes": []});
    assert_eq!(first["projections"], json!([one("a", 1), one("b", 2)]));
    let next = first["page"]["next"].as_str().expect("there is more");
    let rest = server.get(next).await.expect(200).json();
    assert_eq!(rest, json!({"projections": [one("c d", 3)], "page": {"next": null}}));
    let path = format!("{projections}/c%20d");
    let delete = async || server.request(Method::DELETE, &path).send().await.expect(200).json();
    assert_eq!(delete().await, json!({"projection": "c d", "dropped": 3}));
    assert_eq!(delete().await, json!({"projection": "c d", "dropped": 0}));
    assert_eq!(server.get(&path).await.expect(200).json(), one("c d", 0));
    server.get(&format!("{projections}/search")).await.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn an_entry_is_located_by_its_source() {
    let server = Server::start().await;
    put(&server, "1", &entry(&json!(1))).await.expect(201);
    put(&server, "2", &json!({"source": {"category": "profiles"}, "state": 2})).await.expect(201);
    let located = async |query: &str| server.get(&format!("{TOTALS}/entries?{query}")).await;
    let found = located("category=profiles&stream=joe").await.expect(200).json();
    assert_eq!(
        (&found["entries"][0]["id"], found["entries"].as_array().map(Vec::len)),
        (&json!("1"), Some(1))
    );
    assert_eq!(located("category=profiles").await.expect(200).json()["entries"][0]["id"], "2");
    located("category=profiles&stream=jane").await.problem(404, "entry-not-found");
    put(&server, "3", &entry(&json!(3))).await.expect(201);
    located("category=profiles&stream=joe").await.problem(409, "entry-ambiguous");
    located("stream=joe").await.fault(422, "invalid-request", "category");
    located("category=a&query=%7B%7D").await.fault(422, "invalid-request", "query");
    located("sort=a").await.fault(422, "invalid-request", "sort");
}
