//! Projectors over HTTP: defined with one request, run, looked at, changed without a gap.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, Server, Setup};

const PROFILES: &str = r#"export default {
  source: { category: "profiles" },
  initial_state: {},
  handlers: {
    "profile-created": (state, { payload }) => ({ ...state, name: payload.name, email: payload.email }),
    "date-of-birth-set": (state, { payload }) => ({ ...state, dob: payload.dob }),
  },
  update_metadata: (state, metadata, event) => ({ ...metadata, updated_at: event.occurred_at }),
};
"#;

const CART: &str = r#"export default {
  source: { category: "carts" },
  initial_state: { quantity: 0, total_cents: 0, lines: [] },
  handlers: {
    "item-added"(state, { payload: p }) {
      state.quantity += p.quantity;
      state.total_cents += p.quantity * p.unit_price_cents;
      state.lines.push({ sku: p.sku, quantity: p.quantity });
      if (state.lines.length > 2) state.lines.shift();
    },
    "cart-deleted": () => null,
  },
};
"#;

pub(super) fn path(projector: &str) -> String {
    format!("/v1/logs/default/projectors/{projector}")
}

pub(super) async fn define(server: &Server, projector: &str, module: &str) -> Answer {
    let call = server.request(Method::PUT, &path(projector));
    call.header("content-type", "text/javascript").raw(module.to_owned()).send().await
}

/// Publishes one event; its number.
pub(super) async fn publish(server: &Server, stream: &str, name: &str, payload: Value) -> i64 {
    let (category, stream) = stream.split_once('/').expect("a category and a stream");
    let events = format!("/v1/logs/default/categories/{category}/streams/{stream}/events");
    let body = json!({"events": [{"name": name, "payload": payload}]});
    let ack = server.post(&events, &body).await.expect(201).json();
    ack["sequence_number"].as_i64().expect("a number")
}

/// An entry, as soon as it holds an event.
pub(super) async fn entry(server: &Server, projection: &str, id: &str, number: i64) -> Answer {
    let query = format!("min_sequence_number={number}&wait=30");
    server.get(&format!("/v1/logs/default/projections/{projection}/entries/{id}?{query}")).await
}

/// The projector, once something holds of it.
pub(super) async fn until(
    server: &Server,
    projector: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let look = async {
        loop {
            let found = server.get(&path(projector)).await.expect(200).json();
            if holds(&found) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("it comes to hold")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_projectors_work_from_one_request_each() {
    let server = Server::start().await;
    let defined = define(&server, "profiles", PROFILES).await.expect(201);
    assert_eq!((defined.header("etag"), &defined.json()["revision"]), ("\"1\"", &json!(1)));
    define(&server, "cart", CART).await.expect(201);
    let orders = json!({
        "source": {"category": "orders"}, "id": "event => event.occurred_at.slice(0, 10)",
        "initial_state": {"orders": 0, "cents": 0},
        "handlers": {"order-placed": "(s, e) => ({ orders: s.orders + 1, cents: s.cents + e.payload.total_cents })"},
    });
    server.put(&path("orders-per-day"), &orders).await.expect(201);
    let joe = json!({"name": "Joe", "email": "joe@example.com"});
    publish(&server, "profiles/joe", "profile-created", joe).await;
    publish(&server, "profiles/joe", "renamed", json!(null)).await;
    for (sku, quantity) in [("a", 1), ("b", 2), ("c", 3)] {
        let item = json!({"sku": sku, "quantity": quantity, "unit_price_cents": 250});
        publish(&server, "carts/1", "item-added", item).await;
    }
    publish(
        &server,
        "carts/2",
        "item-added",
        json!({"sku": "a", "quantity": 1, "unit_price_cents": 1}),
    )
    .await;
    publish(&server, "carts/2", "cart-deleted", json!(null)).await;
    for cents in [100, 250] {
        publish(&server, "orders/1", "order-placed", json!({"total_cents": cents})).await;
    }
    let last =
        publish(&server, "profiles/joe", "date-of-birth-set", json!({"dob": "2000-01-01"})).await;
    let joe = entry(&server, "profiles", "joe", last).await.expect(200);
    assert_eq!(joe.header("etag"), "\"1.2\"", "its revision, and the events that were applied");
    let found = joe.json();
    assert_eq!(
        found["state"],
        json!({"name": "Joe", "email": "joe@example.com", "dob": "2000-01-01"})
    );
    assert_eq!(
        (&found["name"], &found["version"], &found["sequence_number"]),
        (&json!("profiles"), &json!(2), &json!(last))
    );
    assert_eq!(found["source"], json!({"category": "profiles", "stream": "joe"}));
    assert_eq!(
        found["metadata"]["updated_at"], found["updated_at"],
        "the test's clock stands still"
    );
    let cart = entry(&server, "cart", "1", last).await.expect(200).json();
    let lines = json!([{"sku": "b", "quantity": 2}, {"sku": "c", "quantity": 3}]);
    assert_eq!(cart["state"], json!({"quantity": 6, "total_cents": 1500, "lines": lines}));
    entry(&server, "cart", "2", last).await.problem(404, "entry-not-found");
    let day = entry(&server, "orders-per-day", "2026-01-01", last).await.expect(200).json();
    assert_eq!(
        (&day["state"], &day["source"]),
        (&json!({"orders": 2, "cents": 350}), &json!({"category": "orders"}))
    );
    let status = server.get(&path("profiles")).await.expect(200).json();
    let revision = &status["revisions"][0];
    assert_eq!(
        (&status["status"], &revision["events"], &revision["lag"]),
        (&json!("live"), &json!(2), &json!({"events": 0, "seconds": 0.0}))
    );
    assert_eq!(
        (&revision["ignored"], &revision["definition"]),
        (&json!([{"name": "renamed", "events": 1}]), &json!(PROFILES))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fed_is_a_projection_like_any_other() {
    let server = Server::start().await;
    define(&server, "cart", CART).await.expect(201);
    define(&server, "profiles", PROFILES).await.expect(201);
    publish(&server, "profiles/joe", "profile-created", json!({"name": "Joe"})).await;
    let item = json!({"sku": "a", "quantity": 1, "unit_price_cents": 250});
    let last = publish(&server, "carts/1", "item-added", item).await;
    for (projection, id) in [("cart", "1"), ("profiles", "joe")] {
        entry(&server, projection, id, last).await.expect(200);
    }
    let query = json!({"filter": {"eq": {"path": "/name", "value": "cart"}}, "sort": [{"path": "/state/quantity"}]});
    let found =
        server.post("/v1/logs/default/projections/cart/search", &query).await.expect(200).json();
    assert_eq!(found["entries"][0]["id"], "1");
    let listed = server.get("/v1/logs/default/projections").await.expect(200).json();
    let names: Vec<_> = listed["projections"]
        .as_array()
        .expect("they are")
        .iter()
        .map(|one| (&one["projection"], &one["entries"]))
        .collect();
    assert_eq!(names, [(&json!("cart"), &json!(1)), (&json!("profiles"), &json!(1))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_given_back_as_it_was_sent() {
    let server = Server::start().await;
    define(&server, "profiles", PROFILES).await.expect(201);
    let sent = server.getting(&path("profiles")).header("accept", "text/javascript").send().await;
    assert_eq!((sent.text().as_str(), sent.header("content-type")), (PROFILES, "text/javascript"));
    assert_eq!(define(&server, "profiles", PROFILES).await.expect(200).header("etag"), "\"1\"");
    let json = json!({"source": {"log": true}, "handlers": {"*": "() => 1"}});
    server.put(&path("parts"), &json).await.expect(201);
    let parts = server.get(&path("parts")).await.expect(200).json();
    assert_eq!(
        (&parts["revisions"][0]["definition"], &parts["revisions"][0]["media_type"]),
        (&json, &json!("application/json"))
    );
    let module = server.getting(&path("parts")).header("accept", "text/javascript").send().await;
    module.problem(406, "not-acceptable");
    let listed = server.get("/v1/logs/default/projectors").await.expect(200).json();
    let names: Vec<_> = listed["projectors"]
        .as_array()
        .expect("they are")
        .iter()
        .map(|one| &one["projector"])
        .collect();
    assert_eq!(names, ["parts", "profiles"]);
    server.request(Method::DELETE, &path("parts")).send().await.expect(200);
    for call in [Method::GET, Method::DELETE] {
        server.request(call, &path("parts")).send().await.problem(404, "projector-not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_definition_is_told_with_its_line() {
    let server = Server::start().await;
    let told = |answer: &Answer, index: usize| answer.json()["errors"][index].clone();
    let broken = define(
        &server,
        "x",
        "export default {\n  handlers: {\n    a: (s) => { retrun s; },\n  } };",
    )
    .await;
    broken.problem(422, "invalid-request");
    let error = told(&broken, 0);
    assert_eq!(
        (&error["line"], &error["excerpt"]),
        (&json!(3), &json!("    a: (s) => { retrun s; },"))
    );
    assert!(
        error["detail"].as_str().is_some_and(|detail| detail.starts_with("SyntaxError")),
        "{error}"
    );
    for (module, pointer) in [
        ("export default {source: {log: true}, handlers: {a: 5}}", "#/handlers/a"),
        ("export default {source: {log: false}, handlers: {a() {}}}", "#/source"),
        ("export default {source: {category: '$x'}, handlers: {a() {}}}", "#/source/category"),
        (
            "export default {source: {log: true}, handlers: {a() {}}, limits: {call_ms: 251}}",
            "#/limits/call_ms",
        ),
        (
            "export default {source: {log: true}, handlers: {a() {}}, on_error: 'skip'}",
            "#/on_error",
        ),
        (
            "export default {source: {log: true}, handlers: {a() {}}, initialState: 1}",
            "#/initialState",
        ),
        ("", "#"),
        (
            "export default {source: {log: true}, handlers: {a() {}}, get id() { [].reverse.call({length: 2 ** 53 - 1}) }}",
            "#",
        ),
    ] {
        define(&server, "x", module).await.fault(422, "invalid-request", pointer);
    }
    let large = format!("// {}\nexport default {{}}", "x".repeat(65 << 10));
    define(&server, "x", &large).await.problem(413, "too-large");
    let call = server.request(Method::PUT, &path("x")).header("content-type", "text/plain");
    call.raw("export default {}").send().await.problem(415, "unsupported-media-type");
    server
        .request(Method::PUT, &path("x"))
        .header("content-type", "application/json")
        .raw("{")
        .send()
        .await
        .problem(400, "malformed-request");
    server.put(&path("preview"), &json!({})).await.problem(405, "method-not-allowed");
    server.put("/v1/logs/nowhere/projectors/x", &json!({})).await.problem(404, "log-not-found");
    assert_eq!(
        server.get("/v1/logs/default/projectors").await.expect(200).json(),
        json!({"projectors": []})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_projector_feeds_nobody_else_writes() {
    let server = Server::start().await;
    define(&server, "profiles", PROFILES).await.expect(201);
    let number = publish(&server, "profiles/joe", "profile-created", json!({"name": "Joe"})).await;
    entry(&server, "profiles", "joe", number).await.expect(200);
    let projection = "/v1/logs/default/projections/profiles";
    let saved = json!({"source": {"log": true}, "state": 1});
    let bulk = json!({"entries": [{"id": "a", "source": {"log": true}, "state": 1}]});
    for answer in [
        server.put(&format!("{projection}/entries/joe"), &saved).await,
        server.post(&format!("{projection}/entries"), &bulk).await,
        server.request(Method::DELETE, &format!("{projection}/entries/joe")).send().await,
        server.request(Method::DELETE, projection).send().await,
    ] {
        let problem = answer.problem(409, "projection-fed");
        assert!(
            !problem["detail"].as_str().is_some_and(|detail| detail.contains('\u{1}')),
            "{problem}"
        );
    }
    server.put("/v1/logs/default/projections/mine/entries/a", &saved).await.expect(201);
    define(&server, "mine", PROFILES).await.problem(409, "projection-occupied");
    // Once the projector is gone, with what it fed, the name is free.
    let gone = format!("{}?drop=true", path("profiles"));
    server.request(Method::DELETE, &gone).send().await.expect(200);
    server.get(&format!("{projection}/entries/joe")).await.problem(404, "entry-not-found");
    server.put(&format!("{projection}/entries/joe"), &saved).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_told_and_a_new_definition_mends_it() {
    let server = Server::start().await;
    let module = |body: &str| {
        format!(
            "export default {{ source: {{ category: 'c' }}, initial_state: {{n: 0}},\n  handlers: {{ e: (s, {{payload}}) => {{\n    {body}\n    s.n += payload; }} }} }};"
        )
    };
    define(&server, "sums", &module("if (payload === 3) throw new Error('three');"))
        .await
        .expect(201);
    for by in [1, 2, 3, 4] {
        publish(&server, "c/s", "e", json!(by)).await;
    }
    let faulted = until(&server, "sums", |found| found["status"] == "faulted").await;
    let fault = &faulted["revisions"][0]["fault"];
    assert_eq!(
        (&fault["sequence_number"], &fault["message"], &fault["line"]),
        (&json!(3), &json!("Error: three"), &json!(3))
    );
    let entries = "/v1/logs/default/projections/sums/entries/s";
    assert_eq!(
        server.get(entries).await.expect(200).json()["state"],
        json!({"n": 3}),
        "what comes before is there"
    );
    let behind = server.get(&format!("{entries}?min_sequence_number=4")).await;
    assert_eq!(behind.problem(503, "projection-behind")["sequence_number"], 2);
    // Tried again it fails again.
    server.post(&format!("{}/resume", path("sums")), &json!(null)).await.expect(200);
    define(&server, "sums", &module("")).await.expect(200);
    until(&server, "sums", |found| found["revision"] == 2).await;
    assert_eq!(entry(&server, "sums", "s", 4).await.expect(200).json()["state"], json!({"n": 10}));
    // The one before is kept, and can be taken back.
    let back = server
        .post(&format!("{}/revisions/1/activate", path("sums")), &json!(null))
        .await
        .expect(200)
        .json();
    assert_eq!(back["revision"], 1);
    assert_eq!(server.get(entries).await.expect(200).json()["state"], json!({"n": 3}));
    server
        .post(&format!("{}/revisions/7/activate", path("sums")), &json!(null))
        .await
        .problem(404, "projector-not-found");
    server.post(&format!("{}/revisions/x/activate", path("sums")), &json!(null)).await.fault(
        422,
        "invalid-request",
        "revision",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_projector_goes_on_where_it_stopped() {
    let server = Server::start().await;
    define(&server, "profiles", PROFILES).await.expect(201);
    let first = publish(&server, "profiles/joe", "profile-created", json!({"name": "Joe"})).await;
    entry(&server, "profiles", "joe", first).await.expect(200);
    let paused =
        server.post(&format!("{}/pause", path("profiles")), &json!(null)).await.expect(200);
    assert_eq!(paused.json()["status"], "paused");
    let second = publish(&server, "profiles/joe", "profile-created", json!({"name": "Jo"})).await;
    let query = format!("min_sequence_number={second}");
    server
        .get(&format!("/v1/logs/default/projections/profiles/entries/joe?{query}"))
        .await
        .problem(503, "projection-behind");
    server.post(&format!("{}/resume", path("profiles")), &json!(null)).await.expect(200);
    let joe = entry(&server, "profiles", "joe", second).await.expect(200).json();
    assert_eq!((&joe["state"]["name"], &joe["version"]), (&json!("Jo"), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn projectors_go_on_after_a_restart() {
    let (setup, folder) = Setup::lasting().await;
    let server = setup.start().await;
    publish(&server, "profiles/joe", "profile-created", json!({"name": "Joe"})).await;
    let first = publish(&server, "others/x", "y", json!(null)).await;
    define(&server, "profiles", PROFILES).await.expect(201);
    // It passes what its source does not hold, also what was there before it.
    entry(&server, "profiles", "joe", first).await.expect(200);
    server.stop().await.expect("it stops");
    let (store, clock) = crate::support::sqlite::open_in(folder.path()).await;
    let storage = everlog::storage::Storage::new(store);
    let server = Setup { storage, clock, ..Setup::memory() }.start().await;
    let second = publish(&server, "profiles/joe", "profile-created", json!({"name": "Jo"})).await;
    let joe = entry(&server, "profiles", "joe", second).await.expect(200).json();
    assert_eq!((&joe["state"]["name"], &joe["version"]), (&json!("Jo"), &json!(2)));
}

/// Readers see the old one or the new one, and nothing between, while events are published.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_takes_over_without_a_gap() {
    let server = Server::start().await;
    let module = |by: i64| {
        format!(
            "export default {{ source: {{ category: 'c' }}, initial_state: {{n: 0, by: {by}}}, handlers: {{ e: (s) => ({{...s, n: s.n + s.by}}) }} }};"
        )
    };
    define(&server, "sums", &module(1)).await.expect(201);
    let mut events = publish(&server, "c/s", "e", json!(null)).await;
    entry(&server, "sums", "s", events).await.expect(200);
    let mut seen = Vec::new();
    define(&server, "sums", &module(1_000)).await.expect(200);
    let changes = async {
        loop {
            events = publish(&server, "c/s", "e", json!(null)).await;
            let page = server
                .post("/v1/logs/default/projections/sums/search", &json!({}))
                .await
                .expect(200)
                .json();
            let state = &page["entries"][0]["state"];
            let (n, by) =
                (state["n"].as_i64().expect("a sum"), state["by"].as_i64().expect("a number"));
            assert!(n % by == 0 && n / by <= events, "{state}");
            seen.push((by, n / by));
            if by == 1_000 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), changes).await.expect("it takes over");
    let counts: Vec<i64> = seen.iter().map(|(_, count)| *count).collect();
    assert!(counts.is_sorted(), "nobody sees less than before: {counts:?}");
    let found = entry(&server, "sums", "s", events).await.expect(200).json();
    assert_eq!(found["state"]["n"], events * 1_000);
}
