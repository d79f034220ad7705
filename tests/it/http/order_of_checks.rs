//! Which answer wins when several things are wrong.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{JOE, Server};

#[tokio::test]
async fn a_method_is_judged_before_the_log_the_log_before_the_type_the_type_before_the_body() {
    let server = Server::start().await;
    let nowhere = "/v1/logs/nowhere/categories/c/streams/s/events";
    let send = |method: Method, path: &str, media_type: &str| {
        let call = server.request(method, path).header("content-type", media_type);
        call.header("if-match", "any").body("[").send()
    };
    send(Method::DELETE, nowhere, "text/plain").await.problem(405, "method-not-allowed");
    send(Method::POST, nowhere, "text/plain").await.problem(404, "log-not-found");
    let joe = format!("{JOE}/events");
    send(Method::POST, &joe, "text/plain").await.problem(415, "unsupported-media-type");
    send(Method::POST, &joe, "application/json").await.problem(400, "malformed-request");
    for path in ["/events", "/categories/c/events", "/events/latest", "/export", "/categories"] {
        let path = format!("/v1/logs/nowhere{path}");
        server.get(&path).await.problem(404, "log-not-found");
    }
}

#[tokio::test]
async fn the_body_is_judged_before_the_conditions() {
    let server = Server::start().await;
    let call = server.posting(&format!("{JOE}/events")).header("if-match", "\"9\"");
    let answer = call.json(&json!({"events": [{"name": ""}]})).send().await;
    answer.fault(422, "invalid-request", "#/events/0/name");
}

#[tokio::test]
async fn a_replay_is_answered_before_its_conditions_are_judged() {
    let server = Server::start().await;
    let path = format!("{JOE}/events");
    let body = json!({
        "events": [{"name": "e", "id": "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71"}],
        "condition": {"stream_is_empty": true},
    });
    let send = || server.posting(&path).header("if-none-match", "*").json(&body).send();
    send().await.expect(201);
    assert_eq!(send().await.expect(200).json()["replayed"], true);
    let mut other = body.clone();
    other["events"][0]["name"] = json!("other");
    let call = server.posting(&path).header("if-none-match", "*").json(&other);
    call.send().await.problem(409, "event-id-conflict");
}

/// Idempotence is for ever: a rule that came later does not stand against what is stored.
#[tokio::test]
async fn a_replay_is_known_before_a_condition_is_required() {
    let server = Server::start().await;
    let id = "0197a1c5-e7d2-7c3e-9f10-2b6f0a4d8e71";
    let body = json!({"events": [{"name": "e", "id": id}]});
    let path = format!("{JOE}/events");
    server.post(&path, &body).await.expect(201);
    server.put("/v1/logs/default", &json!({"require_condition": true})).await.expect(200);
    assert_eq!(server.post(&path, &body).await.expect(200).json()["replayed"], true);
    let other = json!({"events": [{"name": "e"}]});
    server.post(&path, &other).await.problem(428, "condition-required");
}

#[tokio::test]
async fn what_is_acceptable_is_judged_on_writes_and_single_events_too() {
    let server = Server::start().await;
    let call = server.posting(&format!("{JOE}/events")).header("accept", "text/csv");
    call.json(&json!({"events": [{"name": "e"}]})).send().await.problem(406, "not-acceptable");
    assert_eq!(server.written().await, 0);
    for path in ["/events/0?nonsense=1", "/events/latest?nonsense=1", "/events?nonsense=1"] {
        let call = server.getting(&format!("{JOE}{path}")).header("accept", "text/csv");
        call.send().await.problem(406, "not-acceptable");
    }
}
