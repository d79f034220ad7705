//! Bad input: each is refused with a problem that names the place, and leaves nothing written.

use futures_util::stream;
use serde_json::json;

use crate::support::{
    raw,
    server::{JOE, Server, Setup},
};

const MALFORMED: (u16, &str) = (400, "malformed-request");
const INVALID: (u16, &str) = (422, "invalid-request");

#[tokio::test]
async fn a_body_that_is_not_json_is_unreadable() {
    let server = Server::start().await;
    for (body, place) in [
        (b"".as_slice(), "#"),
        (b"{", "#"),
        (b"hello", "#"),
        (b"{} {}", "#"),
        (b"{\"events\":[{\"name\":\"e\",}]}", "#/events/0"),
        (b"{\"events\":[{\"name\":'e'}]}", "#/events/0/name"),
        (b"{\"events\":[{\"name\":\"e\",\"payload\":01}]}", "#/events/0/payload"),
        (b"{\"events\":[{\"name\":\"e\",\"payload\":NaN}]}", "#/events/0/payload"),
        (b"{\"events\":[{\"name\":\"e\",\"payload\":\"\x01\"}]}", "#/events/0/payload"),
        (b"{\"events\":[{\"name\":\"\xff\"}]}", "#/events/0/name"),
        (b"{\"events\":[{\"name\":\"e\",\"payload\":\"\xed\xa0\x80\"}]}", "#/events/0/payload"),
        (b"\xef\xbb\xbf{\"events\":[{\"name\":\"e\"}]}", "#"),
    ] {
        let answer = server.posting(&format!("{JOE}/events")).raw(body).send().await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(answer.status, 400, "{text}: {}", answer.text());
        let problem = answer.fault(MALFORMED.0, MALFORMED.1, place);
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("byte ") && detail.contains("line "), "{detail}");
    }
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn json_that_is_no_publish_is_refused_at_its_place() {
    let server = Server::start().await;
    let id = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    let digits = "1".repeat(41);
    for (body, place) in [
        ("null".to_owned(), "#"),
        ("[]".to_owned(), "#"),
        (r#"[[{"name":"e"}],null]"#.to_owned(), "#"),
        ("{}".to_owned(), "#"),
        (r#"{"events":null}"#.to_owned(), "#/events"),
        (r#"{"events":{}}"#.to_owned(), "#/events"),
        (r#"{"events":[]}"#.to_owned(), "#/events"),
        (r#"{"events":[1]}"#.to_owned(), "#/events/0"),
        (r#"{"events":[["e",1,2,null,null,null]]}"#.to_owned(), "#/events/0"),
        (r#"{"events":[{}]}"#.to_owned(), "#/events/0"),
        (r#"{"events":[{"name":1}]}"#.to_owned(), "#/events/0/name"),
        (r#"{"events":[{"name":"e","nme":1}]}"#.to_owned(), "#/events/0/nme"),
        (r#"{"events":[{"name":"e"}],"conditions":{}}"#.to_owned(), "#/conditions"),
        (r#"{"events":[{"name":"e","id":"x"}]}"#.to_owned(), "#/events/0/id"),
        (
            format!(r#"{{"events":[{{"name":"e","id":"{}"}}]}}"#, id.replace('-', "")),
            "#/events/0/id",
        ),
        (
            format!(r#"{{"events":[{{"name":"e","id":"{id}"}},{{"name":"e","id":"{id}"}}]}}"#),
            "#/events/1/id",
        ),
        (r#"{"events":[{"name":"e","name":"f"}]}"#.to_owned(), "#/events/0/name"),
        (
            r#"{"events":[{"name":"e","payload":{"a":{"b":1,"\u0062":2}}}]}"#.to_owned(),
            "#/events/0/payload/a/b",
        ),
        (r#"{"events":[{"name":"e","payload":["\ud800"]}]}"#.to_owned(), "#/events/0/payload/0"),
        (r#"{"events":[{"name":"e","payload":"\udc00\ud800"}]}"#.to_owned(), "#/events/0/payload"),
        (format!(r#"{{"events":[{{"name":"e","payload":{digits}}}]}}"#), "#/events/0/payload"),
        (r#"{"events":[{"name":"e","payload":1e401}]}"#.to_owned(), "#/events/0/payload"),
        (
            r#"{"events":[{"name":"e","occurred_at":"2020-01-01T00:00:00"}]}"#.to_owned(),
            "#/events/0/occurred_at",
        ),
        (
            r#"{"events":[{"name":"e","observed_at":"2020-02-30T00:00:00Z"}]}"#.to_owned(),
            "#/events/0/observed_at",
        ),
        (
            r#"{"events":[{"name":"e","observed_at":1577836800}]}"#.to_owned(),
            "#/events/0/observed_at",
        ),
        (
            r#"{"events":[{"name":"e","recorded_at":"2020-01-01T00:00:00Z"}]}"#.to_owned(),
            "#/events/0/recorded_at",
        ),
    ] {
        let answer = server.posting(&format!("{JOE}/events")).raw(body.clone()).send().await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        answer.fault(INVALID.0, INVALID.1, place);
    }
    let hint = json!({"events": [{"name": "e", "occurred_at": "2020-01-01T00:00:00"}]});
    let problem = server.post(&format!("{JOE}/events"), &hint).await.json();
    assert!(problem["detail"].as_str().unwrap().contains("offset"), "{problem}");
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn a_publish_of_many_streams_is_refused_at_its_place() {
    let server = Server::start().await;
    for (body, place) in [
        (json!({"writes": []}), "#/writes"),
        (json!({"events": [{"name": "e"}]}), "#/events"),
        (json!({"writes": [{"category": "c", "stream": "s", "events": []}]}), "#/writes/0/events"),
        (json!({"writes": [{"stream": "s", "events": [{"name": "e"}]}]}), "#/writes/0"),
        (json!({"writes": [["c", "s", [{"name": "e"}], null]]}), "#/writes/0"),
        (
            json!({"writes": [{"category": "c", "stream": "s", "events": [{"name": "e", "x": 1}]}]}),
            "#/writes/0/events/0/x",
        ),
    ] {
        let answer = server.post("/v1/logs/default/events", &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        answer.fault(INVALID.0, INVALID.1, place);
    }
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn what_is_over_a_limit_names_the_limit() {
    let setup = Setup::memory().limits(|limits| {
        limits.publish_events = 3;
        limits.event_bytes = 100;
        limits.request_bytes = 100_000;
    });
    let server = setup.start().await;
    let events = |n: usize| json!({"events": vec![json!({"name": "e"}); n]});
    let bytes = |n: usize| json!({"events": [{"name": "e", "payload": "x".repeat(n - 2)}]});
    let writes = |n: usize| {
        let write = |i: usize| json!({"category": "c", "stream": format!("s{i}"), "events": []});
        json!({"writes": (0..n).map(write).collect::<Vec<_>>()})
    };
    let joe = format!("{JOE}/events");
    let log = "/v1/logs/default/events".to_owned();
    for (path, body, limit, maximum) in [
        (&joe, events(4), "publish_events", 3),
        (&joe, bytes(101), "event_bytes", 100),
        (&log, writes(1001), "publish_streams", 1000),
        (&joe, json!({"events": [{"name": "x".repeat(100_000)}]}), "request_bytes", 100_000),
    ] {
        let problem = server.post(path, &body).await.problem(413, "too-large");
        assert_eq!((&problem["limit"], &problem["maximum"]), (&json!(limit), &json!(maximum)));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&maximum.to_string()), "{detail}");
    }
    assert_eq!(server.written().await, 0);
    // Metadata that is not sent counts for nothing.
    server.post(&joe, &bytes(100)).await.expect(201);
    server.post(&joe, &events(3)).await.expect(201);
}

#[tokio::test]
async fn a_body_without_a_length_is_counted_while_it_arrives() {
    let server = Setup::memory().limits(|limits| limits.request_bytes = 2_000).start().await;
    let chunks = |count: usize| {
        let first = r#"{"events":[{"name":"e","payload":[0"#.to_owned();
        let chunks = std::iter::once(first)
            .chain(std::iter::repeat_n(",1,1,1,1,1".to_owned(), count))
            .chain(std::iter::once("]}]}".to_owned()));
        let chunks = chunks.map(Ok::<_, std::io::Error>).collect::<Vec<_>>();
        reqwest::Body::wrap_stream(stream::iter(chunks))
    };
    let path = format!("{JOE}/events");
    let problem = server.posting(&path).raw(chunks(500)).send().await.problem(413, "too-large");
    assert_eq!(problem["limit"], "request_bytes");
    assert_eq!(server.written().await, 0);
    server.posting(&path).raw(chunks(100)).send().await.expect(201);
}

#[tokio::test]
async fn bodies_that_are_no_plain_json_are_of_an_unsupported_type() {
    let server = Server::start().await;
    let path = format!("{JOE}/events");
    let body = r#"{"events":[{"name":"e"}]}"#;
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonl", ""] {
        let call = server.posting(&path).header("content-type", media_type).body(body);
        let problem = call.send().await.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains("curl --json"), "{problem}");
    }
    server.posting(&path).body(body).send().await.problem(415, "unsupported-media-type");
    for coding in ["gzip", "zstd", "x"] {
        let answer =
            server.posting(&path).header("content-encoding", coding).raw(body).send().await;
        let problem = answer.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains("Content-Encoding"), "{problem}");
    }
    assert_eq!(server.written().await, 0);
    for media_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let call = server.posting(&path).header("content-type", media_type).body(body);
        call.send().await.expect(201);
    }
    let call = server.posting(&path).header("content-encoding", "identity").raw(body);
    call.send().await.expect(201);
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_not_written() {
    let server = Server::start().await;
    let head = format!(
        "POST {JOE}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\n"
    );
    let body = r#"{"events":[{"name":"e"}]}"#;
    let cut = format!("{head}Content-Length: 100\r\n\r\n{body}");
    raw::send_and_end(server.address, cut).await.problem(400, "malformed-request");
    let cut = format!("{head}Transfer-Encoding: chunked\r\n\r\n19\r\n{body}\r\n");
    raw::send_and_end(server.address, cut).await.problem(400, "malformed-request");
    let short = format!("{head}Content-Length: 20\r\n\r\n{body}");
    raw::send(server.address, short).await.fault(MALFORMED.0, MALFORMED.1, "#/events/0/name");
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn query_parameters_are_judged_each_by_its_name() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    for (query, (status, code), place) in [
        ("limt=1", INVALID, "limt"),
        ("limit=0", INVALID, "limit"),
        ("limit=-1", INVALID, "limit"),
        ("limit=1&limit=2", INVALID, "limit"),
        ("limit=x", MALFORMED, "limit"),
        ("limit=", MALFORMED, "limit"),
        ("direction=up", INVALID, "direction"),
        ("after=-1", INVALID, "after"),
        ("after=9007199254740992", INVALID, "after"),
        ("before=99999999999999999999", INVALID, "before"),
        ("after=abc", MALFORMED, "after"),
        ("after=1-xyz", MALFORMED, "after"),
        ("after=v0", MALFORMED, "after"),
        ("after_sequence_number=-1", INVALID, "after_sequence_number"),
        ("after_sequence_number=9007199254740992", INVALID, "after_sequence_number"),
        ("after_sequence_number=x", MALFORMED, "after_sequence_number"),
        ("name=", INVALID, "name"),
        ("name=$x", INVALID, "name"),
        ("name=a%00", INVALID, "name"),
        ("name=%ff", MALFORMED, "name"),
        ("occurred_from=2020-01-01T00:00:00", INVALID, "occurred_from"),
        ("observed_until=yesterday", INVALID, "observed_until"),
        ("recorded_from=2020-01-01T00:00:00+01:00", INVALID, "recorded_from"),
        ("tenant=t1", INVALID, "tenant"),
    ] {
        let answer = server.get(&format!("{JOE}/events?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        answer.fault(status, code, place);
    }
    let many = vec!["name=a"; 101].join("&");
    server.get(&format!("{JOE}/events?{many}")).await.fault(INVALID.0, INVALID.1, "name");
    let two = server.get(&format!("{JOE}/events?a=1&b=2")).await.problem(INVALID.0, INVALID.1);
    assert_eq!(two["errors"].as_array().unwrap().len(), 2, "all are told at once");
}

#[tokio::test]
async fn no_resource_takes_parameters_that_it_does_not_know() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    let events = format!("{JOE}/events");
    for path in [
        "/",
        "/livez",
        "/readyz",
        "/openapi.json",
        "/problems/internal",
        "/v1/logs",
        "/v1/logs/default",
        "/v1/logs/default/categories",
        "/v1/logs/default/categories/profiles",
        JOE,
        &events,
        &format!("{JOE}/export"),
        &format!("{JOE}/events/0"),
        &format!("{JOE}/events/latest"),
    ] {
        let answer = server.get(&format!("{path}?nonsense=1")).await;
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        answer.fault(INVALID.0, INVALID.1, "nonsense");
    }
    let body = json!({"events": [{"name": "e"}]});
    let answer = server.post(&format!("{events}?dry_run=true"), &body).await;
    answer.fault(INVALID.0, INVALID.1, "dry_run");
    let answer = server.put("/v1/logs/new?lanes=3", &json!({})).await;
    answer.fault(INVALID.0, INVALID.1, "lanes");
    assert_eq!(server.written().await, 1);
}
