//! Methods, media types, compression, single events, and the service's own resources.

use std::io::Read;

use everlog::http::{Edition, error::Kind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{JOE, Server};

#[tokio::test]
async fn an_event_is_found_by_its_id_and_by_its_position() {
    let server = Server::start().await;
    server.fill(JOE, 2).await;
    let event = server.get(&format!("{JOE}/events/1")).await.expect(200).json();
    let members: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "id",
        "name",
        "payload",
        "metadata",
        "occurred_at",
        "observed_at",
        "recorded_at",
        "category",
        "stream",
        "position",
        "sequence_number",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    let id = event["id"].as_str().unwrap();
    for id in [id.to_owned(), id.to_uppercase()] {
        let found = server.get(&format!("/v1/logs/default/events/{id}")).await.expect(200);
        assert_eq!(found.json(), event);
    }
    server.get(&format!("{JOE}/events/2")).await.problem(404, "event-not-found");
    let nobody = "/v1/logs/default/categories/profiles/streams/nobody/events/0";
    server.get(nobody).await.problem(404, "event-not-found");
    let unknown = "/v1/logs/default/events/019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    server.get(unknown).await.problem(404, "event-not-found");
    server.put("/v1/logs/other", &json!({})).await.expect(201);
    let elsewhere = format!("/v1/logs/other/events/{id}");
    server.get(&elsewhere).await.problem(404, "event-not-found");
}

#[tokio::test]
async fn what_is_no_id_or_no_position_is_refused() {
    let server = Server::start().await;
    for position in ["-1", "9007199254740992", "x", "1.5", "99999999999999999999"] {
        let answer = server.get(&format!("{JOE}/events/{position}")).await;
        answer.fault(422, "invalid-request", "position");
    }
    server.get(&format!("{JOE}/events/9007199254740991")).await.problem(404, "event-not-found");
    server.get("/v1/logs/default/events/17").await.fault(422, "invalid-request", "event_id");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    server.fill(JOE, 2).await;
    for path in [
        JOE.to_owned(),
        format!("{JOE}/events"),
        format!("{JOE}/events/0"),
        format!("{JOE}/events/latest"),
        "/v1/logs/default".to_owned(),
        "/openapi.json".to_owned(),
    ] {
        let get = server.get(&path).await.expect(200);
        let head = server.request(Method::HEAD, &path).send().await.expect(200);
        assert!(head.bytes.is_empty());
        for header in ["etag", "content-type", "cache-control", "content-length", "link"] {
            assert_eq!(head.header(header), get.header(header), "{path}: {header}");
        }
    }
    let nobody = "/v1/logs/default/categories/profiles/streams/nobody";
    let head = server.request(Method::HEAD, nobody).send().await.expect(404);
    assert!(head.bytes.is_empty());
}

#[tokio::test]
async fn options_and_refused_methods_say_what_is_allowed() {
    let server = Server::start().await;
    for (path, allowed) in [
        (format!("{JOE}/events"), vec!["GET", "HEAD", "POST"]),
        (JOE.to_owned(), vec!["GET", "HEAD"]),
        ("/v1/logs/default".to_owned(), vec!["GET", "HEAD", "PUT"]),
        ("/openapi.json".to_owned(), vec!["GET", "HEAD"]),
        ("/v1/logs".to_owned(), vec!["GET", "HEAD"]),
    ] {
        for (method, status) in
            [(Method::OPTIONS, 204), (Method::DELETE, 405), (Method::PATCH, 405)]
        {
            let answer = server.request(method.clone(), &path).send().await.expect(status);
            let mut allow: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
            allow.sort_unstable();
            assert_eq!(allow, allowed, "{method} {path}");
            if status == 405 {
                answer.problem(405, "method-not-allowed");
            } else {
                assert!(answer.bytes.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn there_is_a_problem_where_there_is_no_resource() {
    let server = Server::start().await;
    for path in ["/v2/logs", "/v1", "/v1/logs/default/nothing", "/favicon.ico", "/v1/logs/"] {
        server.get(path).await.problem(404, "route-not-found");
    }
    server.get("/problems/no-such-code").await.problem(404, "route-not-found");
}

#[tokio::test]
async fn events_are_given_in_the_type_that_is_accepted() {
    let server = Server::start().await;
    server.fill(JOE, 3).await;
    let get =
        |path: String, accept: &'static str| server.getting(&path).header("accept", accept).send();
    let events = format!("{JOE}/events");
    for accept in [
        "*/*",
        "application/json",
        "text/html, application/*;q=0.5",
        "application/json;q=0.9, application/x-ndjson;q=0.1",
    ] {
        let answer = get(events.clone(), accept).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
        let vary = answer.headers.get_all("vary").iter().any(|value| value == "accept");
        assert!(vary, "a cache must know that the type was chosen: {:?}", answer.headers);
    }
    for accept in ["application/x-ndjson", "application/json;q=0.5, application/x-ndjson"] {
        let answer = get(events.clone(), accept).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson", "{accept}");
        assert_eq!(answer.lines().len(), 3);
    }
    for accept in ["text/html", "application/json;q=0", "image/*"] {
        get(events.clone(), accept).await.problem(406, "not-acceptable");
    }
    for path in [
        JOE.to_owned(),
        format!("{JOE}/events/0"),
        format!("{JOE}/events/latest"),
        "/v1/logs".to_owned(),
        "/v1/logs/default".to_owned(),
        "/v1/logs/default/categories".to_owned(),
    ] {
        get(path, "application/x-ndjson").await.problem(406, "not-acceptable");
    }
    get(format!("{JOE}/export"), "application/json").await.problem(406, "not-acceptable");
}

#[tokio::test]
async fn answers_are_compressed_as_is_accepted() {
    let server = Server::start().await;
    server.fill(JOE, 200).await;
    for path in [format!("{JOE}/events?limit=200"), format!("{JOE}/export")] {
        let plain = server.get(&path).await.expect(200);
        assert_eq!(plain.header("content-encoding"), "");
        let get =
            |coding: &'static str| server.getting(&path).header("accept-encoding", coding).send();
        let gzip = get("gzip").await.expect(200);
        assert_eq!(gzip.header("content-encoding"), "gzip");
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(gzip.bytes.as_slice()).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain.bytes);
        let zstd = get("zstd").await.expect(200);
        assert_eq!(zstd.header("content-encoding"), "zstd");
        assert_eq!(zstd::decode_all(zstd.bytes.as_slice()).unwrap(), plain.bytes);
        let br = get("br").await.expect(200);
        assert_eq!(br.header("content-encoding"), "br");
        assert!(br.bytes.len() * 2 < plain.bytes.len());
        assert_eq!(get("identity").await.expect(200).bytes, plain.bytes);
    }
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let server = Server::start().await;
    let mut ids = std::collections::HashSet::new();
    for path in ["/", "/livez", "/v1/logs", "/nothing", JOE] {
        let answer = server.get(path).await;
        assert!(ids.insert(answer.header("request-id").to_owned()), "{path}");
    }
}

#[tokio::test]
async fn the_service_tells_where_things_are_and_that_it_is_well() {
    let server = Server::start().await;
    let service = server.get("/").await.expect(200).json();
    for link in ["logs", "default_log", "openapi", "livez", "readyz"] {
        server.get(service["links"][link].as_str().unwrap()).await.expect(200);
    }
    assert_eq!(server.get("/readyz").await.expect(200).json(), json!({"status": "ok"}));
    let verbose = server.get("/readyz?verbose=true").await.expect(200).json();
    assert!(verbose["store"].as_str().unwrap().starts_with("memory"));
    let document = server.get("/openapi.json").await.expect(200);
    assert_eq!(document.text(), everlog::http::document(Edition::Full));
    assert_eq!(document.header("content-type"), "application/json");
    let for_sdks = server.get("/openapi.sdk.json").await.expect(200);
    assert_eq!(for_sdks.text(), everlog::http::document(Edition::Sdk));
}

#[tokio::test]
async fn every_problem_is_explained_under_its_type() {
    let server = Server::start().await;
    for kind in Kind::ALL {
        let row = kind.row();
        let answer = server.get(&format!("/problems/{}", row.code)).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        let text = answer.text();
        for part in [row.code, row.title, row.advice, row.status.as_str()] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}

#[tokio::test]
async fn a_log_is_created_once_and_keeps_its_lanes() {
    let server = Server::start().await;
    let log = server.put("/v1/logs/a", &json!({})).await.expect(201).json();
    assert_eq!((&log["ordering"], &log["lanes"]), (&json!("log"), &json!(1)));
    assert_eq!(
        (&log["require_condition"], &log["last_sequence_number"]),
        (&json!(false), &json!(0))
    );
    let again = server.request(Method::PUT, "/v1/logs/a").send().await.expect(200).json();
    assert_eq!(again, log);
    let log = server.put("/v1/logs/b", &json!({"ordering": "category"})).await.expect(201).json();
    assert_eq!(log["lanes"], 8);
    server.put("/v1/logs/b", &json!({"ordering": "category"})).await.expect(200);
    for other in [json!({"ordering": "stream"}), json!({"ordering": "category", "lanes": 4})] {
        server.put("/v1/logs/b", &other).await.problem(409, "log-settings-conflict");
    }
    let changed = server.put("/v1/logs/b", &json!({"require_condition": true})).await.expect(200);
    assert_eq!(changed.json()["require_condition"], true);
    assert_eq!(server.get("/v1/logs/b").await.expect(200).json(), changed.json());
    for (body, place) in [
        (json!({"ordering": "time"}), "#/ordering"),
        (json!({"ordering": "stream", "lanes": 0}), "#/lanes"),
        (json!({"ordering": "stream", "lanes": 65}), "#/lanes"),
        (json!({"lanes": 2}), "#/lanes"),
        (json!({"lane": 2}), "#/lane"),
        (json!({"require_condition": "yes"}), "#/require_condition"),
    ] {
        server.put("/v1/logs/new", &body).await.fault(422, "invalid-request", place);
    }
    server.get("/v1/logs/new").await.problem(404, "log-not-found");
    assert_eq!(server.get("/v1/logs").await.json()["page"]["next"], Value::Null);
}
