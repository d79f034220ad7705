//! Names in URLs and bodies: any Unicode, one segment each, decoded once.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use everlog::app::Access;

use crate::support::{
    raw,
    server::{JOE, Server, Setup},
};

const NAMES: [&str; 14] = [
    "a/b", "100%", "%2F", "a b", "a+b", "\"q\"", "😀", "日本", "...", "a?b#c", "a&b=c", "{x}", "é",
    "latest",
];

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn names_of_all_kinds_go_through_urls_and_come_back() {
    let server = Server::start().await;
    for name in NAMES {
        let segment = encoded(name);
        let log = format!("/v1/logs/{segment}");
        server.put(&log, &json!({})).await.expect(201);
        let stream = format!("{log}/categories/{segment}/streams/{segment}");
        let body = json!({"events": [{"name": name}, {"name": name}]});
        let answer = server.post(&format!("{stream}/events"), &body).await.expect(201);
        let ack = answer.json();
        for member in ["log", "category", "stream"] {
            assert_eq!(ack[member], name);
        }
        let event = server.get(answer.header("location")).await.expect(200).json();
        for member in ["name", "category", "stream"] {
            assert_eq!(event[member], name);
        }
        let page = server.get(&format!("{stream}/events?limit=1&name={segment}")).await.expect(200);
        let next = page.json()["page"]["next"].as_str().unwrap().to_owned();
        assert_eq!(server.get(&next).await.expect(200).json()["events"][0]["position"], 1);
        let listed = server.get(&format!("{log}/categories/{segment}/streams")).await.json();
        assert_eq!(listed["streams"][0]["stream"], name);
    }
}

#[tokio::test]
async fn an_encoded_slash_stays_in_its_segment() {
    let server = Server::start().await;
    server.fill("/v1/logs/default/categories/c/streams/a%2Fevents", 1).await;
    let stream = server.get("/v1/logs/default/categories/c/streams/a%2fevents").await.expect(200);
    assert_eq!(stream.json()["stream"], "a/events");
    let split = server.get("/v1/logs/default/categories/c/streams/a/events").await;
    split.problem(404, "stream-not-found");
    // Decoded once: %252F is the name %2F.
    server.fill("/v1/logs/default/categories/c/streams/%252F", 1).await;
    let listed = server.get("/v1/logs/default/categories/c/streams?prefix=%25").await.json();
    assert_eq!(listed["streams"][0]["stream"], "%2F");
}

#[tokio::test]
async fn what_is_no_name_is_refused_in_urls() {
    let server = Server::start().await;
    let long = "x".repeat(256);
    for segment in ["%2E", "%2E%2E", ".", "..", "$all", "%24x", "a%00b", "%0A", "%C2%85", &long] {
        for (path, place) in [
            (format!("/v1/logs/default/categories/c/streams/{segment}/events"), "stream"),
            (format!("/v1/logs/default/categories/{segment}/events"), "category"),
            (format!("/v1/logs/{segment}/events"), "log"),
        ] {
            let answer = raw::get(server.address, &path).await;
            answer.fault(422, "invalid-request", place);
        }
        let put = format!(
            "PUT /v1/logs/{segment} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        raw::send(server.address, put).await.fault(422, "invalid-request", "log");
    }
    for path in ["/v1/logs/%FF/events", "/v1/logs/default/categories/%C3%28/streams/s/events"] {
        raw::get(server.address, path).await.problem(400, "malformed-request");
    }
    assert_eq!(server.get("/v1/logs").await.json()["logs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_name_is_refused_in_bodies() {
    let server = Server::start().await;
    let long = "é".repeat(128);
    for name in ["", ".", "..", "$all", "a\0b", "a\nb", "\u{85}", &long] {
        let event = json!({"events": [{"name": "ok"}, {"name": name}]});
        let answer = server.post(&format!("{JOE}/events"), &event).await;
        answer.fault(422, "invalid-request", "#/events/1/name");
        let write = |category: &str, stream: &str| json!({"writes": [{"category": category, "stream": stream, "events": [{"name": "e"}]}]});
        let path = "/v1/logs/default/events";
        let answer = server.post(path, &write("c", name)).await;
        answer.fault(422, "invalid-request", "#/writes/0/stream");
        let answer = server.post(path, &write(name, "s")).await;
        answer.fault(422, "invalid-request", "#/writes/0/category");
    }
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn only_loopback_hosts_are_served_while_there_is_no_authentication() {
    let server = Server::start().await;
    let get = |host: &'static str| server.getting("/v1/logs").header("host", host).send();
    for host in
        ["evil.example", "evil.example:80", "localhost.evil.example", "192.168.0.1", "[::2]"]
    {
        get(host).await.problem(403, "host-not-allowed");
    }
    for host in ["localhost", "LOCALHOST:4100", "127.0.0.1", "127.8.8.8:1", "[::1]:4100"] {
        get(host).await.expect(200);
    }
    let hostless = raw::send(server.address, "GET /v1/logs HTTP/1.0\r\n\r\n").await;
    hostless.problem(403, "host-not-allowed");
    let open = Setup { door: Access::Anyone.into(), ..Setup::memory() }.start().await;
    open.getting("/v1/logs").header("host", "db.example").send().await.expect(200);
}
