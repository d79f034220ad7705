//! Events that fail, over HTTP: told, retried, skipped; projectors that are built again, and deleted.

use serde_json::{Value, json};

use super::projectors::{define, entry, path, publish, until};
use crate::support::server::Server;

/// Adds numbers up, and does not take others.
fn sums(on_error: &str) -> String {
    format!(
        "export default {{
  source: {{ category: 'n' }}, on_error: '{on_error}', initial_state: {{ sum: 0 }},
  handlers: {{ added: (s, {{ payload }}) => {{
    if (typeof payload !== 'number') throw new TypeError('no number');
    s.sum += payload;
  }} }},
}};
"
    )
}

async fn post(server: &Server, action: &str) -> crate::support::server::Answer {
    server.post(&path(action), &json!(null)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_entry_is_told_retried_and_skipped() {
    let server = Server::start().await;
    define(&server, "sums", &sums("park")).await.expect(201);
    for (stream, payload) in [("a", json!(1)), ("b", json!("x")), ("b", json!(2)), ("a", json!(3))]
    {
        publish(&server, &format!("n/{stream}"), "added", payload).await;
    }
    let told = until(&server, "sums", |of| of["revisions"][0]["parked"]["events"] == 2).await;
    let revision = &told["revisions"][0];
    assert_eq!((&told["status"], &revision["parked"]["ids"]), (&json!("live"), &json!(1)));
    let parked = &revision["parked"]["entries"][0];
    assert_eq!((&parked["id"], &parked["events"]), (&json!("b"), &json!(2)));
    let fault = &parked["fault"];
    assert_eq!(
        (&fault["line"], &fault["position"], &fault["sequence_number"]),
        (&json!(4), &json!(0), &json!(2))
    );
    assert!(fault["message"].as_str().is_some_and(|message| message.contains("no number")));
    assert_eq!(entry(&server, "sums", "a", 4).await.expect(200).json()["state"], json!({"sum": 4}));
    entry(&server, "sums", "b", 4).await.problem(404, "entry-not-found");
    post(&server, "sums/retry?id=b").await.expect(200);
    post(&server, "sums/retry").await.expect(200);
    post(&server, "sums/retry?id=a").await.problem(409, "nothing-waits");
    post(&server, "sums/skip?id=a").await.problem(409, "nothing-waits");
    post(&server, "sums/skip").await.problem(409, "nothing-waits");
    post(&server, "sums/skip?id=").await.fault(422, "invalid-request", "id");
    let event = fault["event_id"].as_str().expect("it is told");
    let other = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    post(&server, "sums/skip?id=b&event_id=x").await.fault(422, "invalid-request", "event_id");
    post(&server, &format!("sums/skip?id=b&event_id={other}")).await.problem(409, "nothing-waits");
    post(&server, &format!("sums/skip?event_id={event}")).await.problem(409, "nothing-waits");
    post(&server, &format!("sums/skip?id=b&event_id={event}")).await.expect(200);
    let told = until(&server, "sums", |of| of["revisions"][0]["parked"]["ids"] == 0).await;
    let skipped = &told["revisions"][0]["skipped"][0];
    assert_eq!((&skipped["id"], &skipped["sequence_number"]), (&json!("b"), &json!(2)));
    assert_eq!(skipped["event_id"], fault["event_id"]);
    // Asked again, as if no answer had come.
    post(&server, &format!("sums/skip?id=b&event_id={event}")).await.expect(200);
    post(&server, "sums/skip?id=b").await.problem(409, "nothing-waits");
    assert_eq!(entry(&server, "sums", "b", 4).await.expect(200).json()["state"], json!({"sum": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulted_projector_skips_its_event_and_is_built_again() {
    let server = Server::start().await;
    define(&server, "sums", &sums("halt")).await.expect(201);
    for payload in [json!(1), json!("x"), json!(2)] {
        publish(&server, "n/a", "added", payload).await;
    }
    until(&server, "sums", |of| of["status"] == "faulted").await;
    post(&server, "sums/retry").await.expect(200);
    until(&server, "sums", |of| of["status"] == "faulted").await;
    post(&server, "sums/skip").await.expect(200);
    let told = until(&server, "sums", |of| of["status"] == "live").await;
    assert_eq!(told["revisions"][0]["skipped"].as_array().map(Vec::len), Some(1));
    let before = entry(&server, "sums", "a", 3).await.expect(200).json();
    assert_eq!((&before["state"], &before["version"]), (&json!({"sum": 3}), &json!(2)));
    // It is the same once it is built again: what was skipped is skipped.
    let told = post(&server, "sums/rebuild").await.expect(200).json();
    assert_eq!(told["revisions"].as_array().map(Vec::len), Some(2));
    let told = until(&server, "sums", |of| of["revision"] == 2 && of["status"] == "live").await;
    assert_eq!(told["revisions"][1]["skipped"], told["revisions"][0]["skipped"]);
    let after = entry(&server, "sums", "a", 3).await.expect(200);
    assert_eq!(after.json(), before);
    assert_ne!(after.header("etag"), "\"1.2\"", "of another revision");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_projector_fed_stays_until_it_is_dropped() {
    let server = Server::start().await;
    define(&server, "sums", &sums("halt")).await.expect(201);
    let last = publish(&server, "n/a", "added", json!(1)).await;
    entry(&server, "sums", "a", last).await.expect(200);
    let delete = async |path: &str| server.request(reqwest::Method::DELETE, path).send().await;
    delete(&path("sums")).await.expect(200);
    server.get(&path("sums")).await.problem(404, "projector-not-found");
    assert_eq!(server.get("/v1/logs/default/projectors").await.json(), json!({"projectors": []}));
    let entries = "/v1/logs/default/projections/sums/entries";
    let found = server.get(&format!("{entries}/a")).await.expect(200).json();
    assert_eq!(found["state"], json!({"sum": 1}));
    let save = json!({"source": {"log": true}, "state": 1});
    let refused = server.put(&format!("{entries}/a"), &save).await.problem(409, "projection-fed");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("drop the projection"))
    );
    // It answers until a new projector has caught up.
    define(&server, "sums", &sums("park")).await.expect(200);
    let told = until(&server, "sums", |of| of["revision"] == 2 && of["status"] == "live").await;
    assert_eq!(told["revisions"].as_array().map(Vec::len), Some(1));
    delete(&path("sums")).await.expect(200);
    let dropped = delete("/v1/logs/default/projections/sums").await.expect(200).json();
    assert_eq!(dropped, json!({"projection": "sums", "dropped": 1}));
    server.put(&format!("{entries}/a"), &save).await.expect(201);
    // At once.
    define(&server, "other", &sums("halt")).await.expect(201);
    delete(&format!("{}?drop=true", path("other"))).await.expect(200);
    let listed = server.get("/v1/logs/default/projections").await.expect(200).json();
    let names: Vec<&Value> = listed["projections"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|of| &of["projection"])
        .collect();
    assert_eq!(names, [&json!("sums")]);
}
