//! The state of a stream, over HTTP: now, as of a position, as of a time.

use serde_json::{Value, json};

use super::projectors::{define, entry, path, publish};
use crate::support::server::{Answer, Server};

const LOGINS: &str = "export default {
  source: { category: 'users' }, initial_state: { logins: 0 },
  handlers: {
    'logged-in': (s, e) => ({ logins: s.logins + 1, at: e.position }),
    odd: () => { throw new Error('odd'); },
    gone: () => null,
  },
};
";

async fn state(server: &Server, stream: &str, query: &str) -> Answer {
    let (category, stream) = stream.split_once('/').expect("a category and a stream");
    let streams = format!("/v1/logs/default/categories/{category}/streams/{stream}");
    server.get(&format!("{streams}/state?{query}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_what_the_events_make_of_it() {
    let server = Server::start().await;
    define(&server, "logins", LOGINS).await.expect(201);
    for _ in 0..3 {
        publish(&server, "users/joe", "logged-in", json!(null)).await;
    }
    let last = publish(&server, "users/joe", "renamed", json!(null)).await;
    let found = state(&server, "users/joe", "projector=logins").await.expect(200);
    let expected = json!({
        "projector": "logins", "revision": 1, "source": {"category": "users", "stream": "joe"},
        "id": "joe", "state": {"at": 2, "logins": 3}, "metadata": {}, "position": 3, "sequence_number": last, "events": 3,
    });
    assert_eq!((found.json(), found.header("cache-control")), (expected, "no-cache"));
    // As what is kept says.
    let kept = entry(&server, "logins", "joe", last).await.expect(200).json();
    assert_eq!(kept["state"], found.json()["state"]);
    let past =
        state(&server, "users/joe", "projector=logins&until_position=1").await.expect(200).json();
    assert_eq!(
        (&past["state"], &past["position"], &past["events"]),
        (&json!({"at": 1, "logins": 2}), &json!(1), &json!(2))
    );
    for time in ["occurred", "observed", "recorded"] {
        let before = format!("projector=logins&{time}_until=2025-12-31T23:59:59Z");
        state(&server, "users/joe", &before).await.problem(404, "entry-not-found");
        let after = format!("projector=logins&{time}_until=2027-01-01T00:00:00Z");
        assert_eq!(state(&server, "users/joe", &after).await.expect(200).json(), found.json());
    }
    // A paused projector answers, too.
    server.post(&format!("{}/pause", path("logins")), &json!(null)).await.expect(200);
    publish(&server, "users/joe", "logged-in", json!(null)).await;
    let found = state(&server, "users/joe", "projector=logins").await.expect(200).json();
    assert_eq!(found["state"], json!({"at": 4, "logins": 4}));
    publish(&server, "users/joe", "odd", json!(null)).await;
    let faulted =
        state(&server, "users/joe", "projector=logins").await.problem(409, "projector-faulted");
    let fault = &faulted["errors"][0];
    assert!(faulted["detail"].as_str().is_some_and(|detail| detail.contains("position 5")));
    assert_eq!((&fault["line"], &fault["detail"]), (&json!(5), &json!("Error: odd")));
    publish(&server, "users/joe", "gone", json!(null)).await;
    state(&server, "users/joe", "projector=logins&until_position=4").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_with_ids_of_its_own_makes_entries() {
    let server = Server::start().await;
    let text = "export default { source: { log: true }, id: (e) => e.payload, initial_state: 0, handlers: { e: (s) => s + 1 } };";
    define(&server, "by-payload", text).await.expect(201);
    for id in [json!(["a", "b"]), json!("b"), json!(null)] {
        publish(&server, "c/s", "e", id).await;
    }
    publish(&server, "c/other", "e", json!("a")).await;
    let found = state(&server, "c/s", "projector=by-payload").await.expect(200).json();
    let entry = |id: &str, n: i64| json!({"id": id, "state": n, "metadata": {}, "events": n});
    assert_eq!(found["entries"], json!([entry("a", 1), entry("b", 2)]), "of this stream alone");
    assert!(found.get("state").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_told() {
    let server = Server::start().await;
    define(&server, "logins", LOGINS).await.expect(201);
    state(&server, "users/joe", "projector=logins").await.problem(404, "stream-not-found");
    publish(&server, "users/joe", "gone", json!(null)).await;
    state(&server, "users/joe", "projector=logins").await.problem(404, "entry-not-found");
    state(&server, "users/joe", "projector=none").await.problem(404, "projector-not-found");
    let invalid = async |stream: &str, query: &str, place: &str| -> Value {
        state(&server, stream, query).await.fault(422, "invalid-request", place)
    };
    invalid("users/joe", "", "projector").await;
    invalid("users/joe", "projector=.", "projector").await;
    invalid("orders/1", "projector=logins", "projector").await;
    invalid("users/joe", "projector=logins&until_position=-1", "until_position").await;
    invalid("users/joe", "projector=logins&after=3", "after").await;
    let query = "projector=logins&occurred_until=yesterday";
    state(&server, "users/joe", query).await.fault(422, "invalid-request", "occurred_until");
}
