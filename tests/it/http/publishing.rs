//! Publishing: what is answered, on all three levels, and what a retry is answered.

use serde_json::{Value, json};

use crate::support::server::{JOE, Server};

fn one(name: &str) -> Value {
    json!({"events": [{"name": name, "payload": {"a": 1}}]})
}

#[tokio::test]
async fn a_publish_to_a_stream_is_acknowledged_with_all_its_numbers() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    let body = json!({"events": [{"name": "a"}, {"name": "b"}]});
    let answer = server.post(&format!("{JOE}/events"), &body).await.expect(201);
    assert_eq!(answer.header("location"), format!("{JOE}/events/1"));
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(answer.header("content-type"), "application/json");
    let ack = answer.json();
    let members: Vec<_> = ack.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected =
        ["log", "category", "stream", "position", "sequence_number", "replayed", "events"];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!((&ack["log"], &ack["category"]), (&json!("default"), &json!("profiles")));
    assert_eq!((&ack["stream"], &ack["replayed"]), (&json!("joe"), &json!(false)));
    assert_eq!((&ack["position"], &ack["sequence_number"]), (&json!(2), &json!(3)));
    let events = ack["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["position"], &events[0]["sequence_number"]), (&json!(1), &json!(2)));
    assert_eq!((&events[1]["position"], &events[1]["sequence_number"]), (&json!(2), &json!(3)));
    assert_eq!(events[0]["recorded_at"], "2026-01-01T00:00:00.000001Z");
    assert_eq!(events[0].as_object().unwrap().len(), 4);
    let first = server.get(answer.header("location")).await.expect(200).json();
    assert_eq!(first["id"], events[0]["id"]);
}

#[tokio::test]
async fn a_publish_to_a_category_writes_to_its_streams() {
    let server = Server::start().await;
    let body = json!({"writes": [
        {"stream": "a", "events": [{"name": "x"}, {"name": "y"}]},
        {"stream": "b", "events": [{"name": "z"}]},
    ]});
    let path = "/v1/logs/default/categories/accounts/events";
    let answer = server.post(path, &body).await.expect(201);
    assert_eq!(answer.header("etag"), "\"3\"");
    let location = "/v1/logs/default/categories/accounts/streams/a/events/0";
    assert_eq!(answer.header("location"), location);
    let ack = answer.json();
    assert_eq!((&ack["log"], &ack["sequence_number"]), (&json!("default"), &json!(3)));
    let writes = ack["writes"].as_array().unwrap();
    assert_eq!((&writes[0]["stream"], &writes[0]["position"]), (&json!("a"), &json!(1)));
    assert_eq!((&writes[1]["stream"], &writes[1]["position"]), (&json!("b"), &json!(0)));
    assert_eq!(writes[0]["category"], "accounts");
    assert_eq!(writes[0]["events"].as_array().unwrap().len(), 2);
    assert_eq!(writes[1]["events"][0]["sequence_number"], 3);
}

#[tokio::test]
async fn a_publish_to_a_log_writes_to_streams_of_any_category() {
    let server = Server::start().await;
    let body = json!({"writes": [
        {"category": "orders", "stream": "o-1", "events": [{"name": "placed"}]},
        {"category": "stock", "stream": "o-1", "events": [{"name": "reserved"}]},
    ]});
    let answer = server.post("/v1/logs/default/events", &body).await.expect(201);
    assert_eq!(answer.header("etag"), "\"2\"");
    let location = "/v1/logs/default/categories/orders/streams/o-1/events/0";
    assert_eq!(answer.header("location"), location);
    let ack = answer.json();
    assert_eq!(ack["writes"][1]["category"], "stock");
    assert_eq!(ack["writes"][1]["events"][0]["position"], 0);
    // The category is not said twice where the URL has it.
    let path = "/v1/logs/default/categories/orders/events";
    server.post(path, &body).await.fault(422, "invalid-request", "#/writes/0/category");
}

#[tokio::test]
async fn a_refused_write_of_many_writes_none() {
    let server = Server::start().await;
    let body = json!({"writes": [
        {"category": "orders", "stream": "o-1", "events": [{"name": "placed"}]},
        {"category": "stock", "stream": "o-1", "events": [{"name": "reserved"}],
         "condition": {"stream_exists": true}},
    ]});
    let answer = server.post("/v1/logs/default/events", &body).await;
    let problem = answer.problem(409, "write-condition-failed");
    assert_eq!(problem["failed"][0]["pointer"], "#/writes/1/condition");
    assert_eq!(problem["failed"][0]["category"], "stock");
    assert!(problem.get("actual_position").is_none(), "that is for one stream: {problem}");
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn a_stream_stands_in_a_request_once() {
    let server = Server::start().await;
    let write = json!({"category": "orders", "stream": "o-1", "events": [{"name": "placed"}]});
    let body = json!({"writes": [write, write]});
    let answer = server.post("/v1/logs/default/events", &body).await;
    answer.fault(422, "invalid-request", "#/writes/1/stream");
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn a_representation_is_given_to_who_prefers_it() {
    let server = Server::start().await;
    let path = format!("{JOE}/events");
    for preference in ["return=representation", "respond-async, return=\"representation\""] {
        let call = server.posting(&path).header("prefer", preference).json(&one("a"));
        let answer = call.send().await.expect(201);
        assert_eq!(answer.header("preference-applied"), "return=representation");
        let given = &answer.json()["events"][0];
        assert_eq!(*given, server.get(answer.header("location")).await.json());
    }
    let call = server.posting(&path).header("prefer", "return=minimal").json(&one("a"));
    let answer = call.send().await.expect(201);
    assert_eq!(answer.header("preference-applied"), "");
    assert_eq!(answer.json()["events"][0].get("payload"), None);
    let body = json!({"writes": [{"stream": "x", "events": [{"name": "a", "payload": [1]}]}]});
    let call = server.posting("/v1/logs/default/categories/c/events").json(&body);
    let answer = call.header("prefer", "return=representation").send().await.expect(201);
    assert_eq!(answer.json()["writes"][0]["events"][0]["payload"], json!([1]));
}

#[tokio::test]
async fn a_publish_sent_again_is_answered_again_and_stored_once() {
    let server = Server::start().await;
    let id = "019A1C5E-7d2b-7c3e-9f10-2b6f0a4d8e71";
    let body = json!({"events": [{"name": "a", "id": id, "payload": {"x": 1, "y": 2}}]});
    let path = format!("{JOE}/events");
    let first = server.post(&path, &body).await.expect(201);
    assert_eq!(first.json()["events"][0]["id"], id.to_lowercase());
    server.fill(JOE, 2).await;
    // Members may come in another order.
    let again = r#"{"events":[{"payload":{"y":2,"x":1},"name":"a","id":"019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71"}]}"#;
    let replay = server.posting(&path).raw(again).send().await.expect(200);
    for header in ["etag", "location"] {
        assert_eq!(replay.header(header), first.header(header), "{header}");
    }
    let (mut first, replay) = (first.json(), replay.json());
    assert_eq!(replay["replayed"], true);
    first["replayed"] = json!(true);
    assert_eq!(replay, first);
    assert_eq!(server.written().await, 3);
}

#[tokio::test]
async fn an_id_with_other_content_or_in_another_stream_is_a_conflict() {
    let server = Server::start().await;
    let id = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    let body = |payload: Value| json!({"events": [{"name": "a", "id": id, "payload": payload}]});
    let path = format!("{JOE}/events");
    server.post(&path, &body(json!(1))).await.expect(201);
    let problem = server.post(&path, &body(json!(2))).await.problem(409, "event-id-conflict");
    assert_eq!(problem["event_id"], id);
    let other = "/v1/logs/default/categories/profiles/streams/ann/events";
    server.post(other, &body(json!(1))).await.problem(409, "event-id-conflict");
    let overlap = json!({"events": [{"name": "a", "id": id, "payload": 1}, {"name": "b"}]});
    server.post(&path, &overlap).await.problem(409, "event-id-conflict");
    assert_eq!(server.written().await, 1);
}

#[tokio::test]
async fn an_idempotency_key_bare_or_quoted_is_one_key() {
    let server = Server::start().await;
    let path = format!("{JOE}/events");
    let send = |key: &'static str, body: Value| {
        server.posting(&path).header("idempotency-key", key).json(&body).send()
    };
    let two = json!({"events": [{"name": "a"}, {"name": "b"}]});
    let first = send("order-1", two.clone()).await.expect(201).json();
    let second = send("\"order-1\"", two.clone()).await.expect(200).json();
    assert_eq!(first["events"], second["events"]);
    for other in [
        json!({"events": [{"name": "a"}]}),
        json!({"events": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
        json!({"events": [{"name": "a"}, {"name": "other"}]}),
    ] {
        send("order-1", other).await.problem(422, "idempotency-key-reused");
    }
    let elsewhere = "/v1/logs/default/categories/profiles/streams/ann/events";
    let call = server.posting(elsewhere).header("idempotency-key", "order-1").json(&two);
    call.send().await.problem(422, "idempotency-key-reused");
    assert_eq!(server.written().await, 2);
    send("order-2", two).await.expect(201);
    assert_eq!(server.written().await, 4);
}

#[tokio::test]
async fn an_unreadable_idempotency_key_is_refused() {
    let server = Server::start().await;
    let path = format!("{JOE}/events");
    let long = "k".repeat(256);
    for key in ["", "\"\"", "\"open", "a\"b", &long] {
        let call = server.posting(&path).header("idempotency-key", key).json(&one("a"));
        call.send().await.fault(400, "malformed-request", "Idempotency-Key");
    }
    let call = server.posting(&path).header("idempotency-key", "a").header("idempotency-key", "b");
    let answer = call.json(&one("a")).send().await;
    answer.fault(400, "malformed-request", "Idempotency-Key");
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn times_come_back_in_utc_and_default_to_each_other() {
    let server = Server::start().await;
    let body = json!({"events": [
        {"name": "a", "observed_at": "2020-05-01T12:00:00.1234567+02:00"},
        {"name": "b", "occurred_at": "2019-12-31T23:59:59Z"},
    ]});
    server.post(&format!("{JOE}/events"), &body).await.expect(201);
    let page = server.get(&format!("{JOE}/events")).await.expect(200).json();
    let (a, b) = (&page["events"][0], &page["events"][1]);
    assert_eq!(a["observed_at"], "2020-05-01T10:00:00.123456Z");
    assert_eq!(a["occurred_at"], a["observed_at"]);
    assert_eq!(b["occurred_at"], "2019-12-31T23:59:59.000000Z");
    assert_eq!(b["observed_at"], b["recorded_at"]);
}
