//! Who may do what: every operation of the OpenAPI document, with every kind of key that is not the right one.

use std::collections::BTreeSet;

use axum::{Router, http::HeaderMap, routing::get};
use everlog::http::{Edition, document};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{guarded::Guarded, server::Setup};

/// What needs no key: it says the same on every installation, or that this one is well.
const OPEN: [&str; 7] = [
    "get_service",
    "get_openapi",
    "get_sdk_openapi",
    "get_docs",
    "get_liveness",
    "get_readiness",
    "get_problem",
];
const ACTIONS: [&str; 5] = ["read", "append", "project", "monitor", "admin"];
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// An operation of the document.
#[derive(Debug, Clone)]
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The action that it says it needs; none if it needs no key.
    action: Option<String>,
}

impl Operation {
    fn of_log(&self) -> bool {
        self.path.contains("/logs/mine")
    }

    fn of_category(&self) -> bool {
        let of_body = ["publish_to_log", "create_ticket"];
        self.path.contains("/categories/cats") || of_body.contains(&self.id.as_str())
    }

    fn of_keys(&self) -> bool {
        self.path.starts_with("/v1/keys")
    }

    fn body(&self, key_log: &str) -> Value {
        let write = json!({"category": "cats", "stream": "tom", "events": [{"name": "purred"}]});
        match self.id.as_str() {
            "publish_to_log" => json!({"writes": [write]}),
            "create_ticket" => json!({"source": {"category": "cats"}}),
            "create_key" => json!({"scopes": [{"log": key_log, "actions": ["read"]}]}),
            _ => json!({}),
        }
    }
}

/// Every operation, with its path filled in.
fn operations(document: &Value, key_id: &str) -> Vec<Operation> {
    let names = [
        ("{log}", "mine"),
        ("{category}", "cats"),
        ("{stream}", "tom"),
        ("{projection}", "totals"),
        ("{projector}", "totals"),
        ("{id}", "tom"),
        ("{event_id}", "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71"),
        ("{position}", "0"),
        ("{revision}", "1"),
        ("{code}", "forbidden"),
        ("{key_id}", key_id),
    ];
    let mut found = Vec::new();
    for (template, members) in document["paths"].as_object().expect("there are paths") {
        let path = names.iter().fold(template.clone(), |path, (name, is)| path.replace(name, is));
        assert!(!path.contains('{'), "nothing to fill {template} in with");
        for method in METHODS {
            let operation = &members[method];
            if operation.is_null() {
                continue;
            }
            let mut asked = operation["security"].as_array().expect("it says who may").iter();
            let may_be_anyone = asked.len() == 0 || asked.any(|one| one == &json!({}));
            let action = operation["security"][0]["key"][0].as_str().map(str::to_owned);
            found.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                action: action.filter(|_| !may_be_anyone),
            });
        }
    }
    found
}

/// A key, who has it, and what it must be answered.
struct Case {
    who: &'static str,
    key: Option<String>,
    expected: fn(u16) -> bool,
}

/// The keys that an operation is tried with, all but one of them wrong.
async fn cases(guarded: &Guarded, operation: &Operation, spoilt: &[Case]) -> Vec<Case> {
    let action = operation.action.as_deref().expect("it needs a key");
    let log = if operation.of_log() { "mine" } else { "*" };
    let category = if operation.of_category() { "cats" } else { "*" };
    let others: Vec<_> = ACTIONS.into_iter().filter(|other| *other != action).collect();
    let unknown: fn(u16) -> bool = |status| status == 401;
    let refused: fn(u16) -> bool = |status| status == 403;
    let mut cases: Vec<_> =
        spoilt.iter().map(|case| Case { key: case.key.clone(), ..*case }).collect();
    cases.push(Case { who: "no key", key: None, expected: unknown });
    let right = guarded.key(log, category, &[action]).await;
    let mut wrong = right.clone();
    wrong.replace_range(17..20, if wrong[17..].starts_with("AAA") { "BBB" } else { "AAA" });
    cases.push(Case { who: "wrong secret", key: Some(wrong), expected: unknown });
    let key = guarded.key("theirs*", category, &[action]).await;
    // Which log a key is of stands in the body or the store: there it is said to be none, or no list has it.
    let elsewhere = |status| status == 403 || status == 404;
    let expected = if operation.of_keys() { elsewhere } else { refused };
    if operation.id != "list_keys" {
        cases.push(Case { who: "wrong log", key: Some(key), expected });
    }
    let key = guarded.key(log, "dogs", &[action]).await;
    cases.push(Case { who: "wrong category", key: Some(key), expected: refused });
    let key = guarded.key(log, category, &others).await;
    cases.push(Case { who: "wrong action", key: Some(key), expected: refused });
    let admitted = |status| status != 401 && status != 403;
    cases.push(Case { who: "right", key: Some(right), expected: admitted });
    cases
}

/// Keys that were good once.
async fn spoilt(guarded: &Guarded) -> Vec<Case> {
    let scopes = json!([{"actions": ACTIONS}]);
    let end = guarded.server.clock.advance(1_000_000).to_string();
    guarded.server.clock.advance(-1_000_000);
    let soon = json!({"scopes": scopes, "expires_at": end});
    let (expired, _) = guarded.make(&soon).await;
    let (revoked, id) = guarded.make(&json!({"scopes": scopes})).await;
    guarded.revoke(&id).await.expect(200);
    guarded.server.clock.advance(1_000_000);
    let unknown = |status| status == 401;
    vec![
        Case { who: "expired", key: Some(expired), expected: unknown },
        Case { who: "revoked", key: Some(revoked), expected: unknown },
    ]
}

async fn status(base: &str, operation: &Operation, key: Option<&str>, body: &Value) -> u16 {
    let url = format!("{base}{}", operation.path);
    let mut request = crate::support::client::client().request(operation.method.clone(), url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let json = request.header("content-type", "application/json").body(body.to_string());
    json.send().await.expect("it answers").status().as_u16()
}

/// Every operation of the document that a server lets somebody do who may not, or does not let whoever may.
async fn faults(guarded: &Guarded, base: &str, document: &Value) -> Vec<String> {
    let (_, key_id) =
        guarded.make(&json!({"scopes": [{"log": "mine", "actions": ["read"]}]})).await;
    let spoilt = spoilt(guarded).await;
    let mut faults = Vec::new();
    for operation in operations(document, &key_id) {
        if operation.action.is_none() {
            if !OPEN.contains(&operation.id.as_str()) {
                faults.push(format!("{} is open to anyone", operation.id));
            }
            continue;
        }
        for case in cases(guarded, &operation, &spoilt).await {
            let body = operation.body("mine");
            let status = status(base, &operation, case.key.as_deref(), &body).await;
            if !(case.expected)(status) {
                faults.push(format!("{}: {} is answered {status}", operation.id, case.who));
            }
        }
    }
    faults
}

fn whole() -> Value {
    serde_json::from_str(document(Edition::Full)).expect("it is JSON")
}

async fn guarded() -> (Guarded, String) {
    let guarded = Guarded::start().await;
    let root = guarded.root.clone();
    guarded.by(&root, Method::PUT, "/v1/logs/mine").json(&json!({})).send().await.expect(201);
    let base = format!("http://{}", guarded.server.address);
    (guarded, base)
}

#[tokio::test]
async fn every_operation_asks_for_its_action_in_its_log_and_category() {
    let (guarded, base) = guarded().await;
    let faults = faults(&guarded, &base, &whole()).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let open: BTreeSet<_> = operations(&whole(), "x")
        .into_iter()
        .filter_map(|operation| operation.action.is_none().then_some(operation.id))
        .collect();
    assert_eq!(open, OPEN.map(str::to_owned).into());
}

/// A document with one operation of this path.
fn alone(path: &str, security: &Value) -> Value {
    json!({"paths": {path: {"get": {"operationId": "get_leak", "security": security}}}})
}

/// The control: doors that are not shut, or not quite.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the planted server is no task of a service")]
async fn an_unguarded_route_is_caught() {
    let half_shut = |headers: HeaderMap| async move {
        let known = headers.contains_key("authorization");
        if known {
            (axum::http::StatusCode::OK, "all of it")
        } else {
            (axum::http::StatusCode::UNAUTHORIZED, "")
        }
    };
    let leaks = Router::new()
        .route("/v1/logs/mine/leak", get(|| async { "all of it" }))
        .route("/v1/logs/mine/half", get(half_shut));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let base = format!("http://{}", listener.local_addr().expect("it has an address"));
    let serving = tokio::spawn(async move { axum::serve(listener, leaks).await });
    let read = || json!([{"key": ["read"]}]);

    let (guarded, real) = guarded().await;
    let found = faults(&guarded, &base, &alone("/v1/logs/{log}/leak", &read())).await;
    for who in ["no key", "wrong secret", "expired", "revoked", "wrong log", "wrong category"] {
        let fault = format!("get_leak: {who} is answered 200");
        assert!(found.contains(&fault), "{fault} is not among {found:?}");
    }
    let found = faults(&guarded, &base, &alone("/v1/logs/{log}/half", &read())).await;
    assert!(!found.iter().any(|fault| fault.contains("no key")), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("wrong action")), "{found:?}");
    let found = faults(&guarded, &base, &alone("/v1/logs/{log}/leak", &json!([]))).await;
    assert_eq!(found, ["get_leak is open to anyone"]);
    serving.abort();

    // The real one, of which the document says what is not so.
    let mut wrong = whole();
    wrong["paths"]["/v1/logs/{log}/events"]["get"]["security"][0]["key"][0] = json!("append");
    let found = faults(&guarded, &real, &wrong).await;
    let both = ["read_log: wrong action is answered 200", "read_log: right is answered 403"];
    assert_eq!(found, both);
}

#[tokio::test]
async fn a_publish_to_many_categories_needs_a_scope_for_each() {
    let (guarded, _) = guarded().await;
    let key = guarded.key("mine", "c*", &["append"]).await;
    let write =
        |category: &str| json!({"category": category, "stream": "s", "events": [{"name": "n"}]});
    let path = "/v1/logs/mine/events";
    let both = json!({"writes": [write("cats"), write("cows")]});
    guarded.post(&key, path, &both).await.expect(201);
    let third = json!({"writes": [write("cats"), write("dogs")]});
    guarded.post(&key, path, &third).await.fault(403, "forbidden", "#/writes/1/category");
    let log = guarded.get(&guarded.root, "/v1/logs/mine").await.json();
    assert_eq!(log["last_sequence_number"], 2, "nothing is written of what is refused");
}

#[tokio::test]
async fn a_condition_does_not_tell_of_what_one_may_not_know() {
    let (guarded, _) = guarded().await;
    let key = guarded.key("mine", "cats", &["append"]).await;
    let path = "/v1/logs/mine/categories/cats/streams/tom/events";
    let publish = |condition: Value| json!({"events": [{"name": "n"}], "condition": condition});
    let elsewhere = [
        json!({"stream_is_empty": true, "stream": {"category": "dogs", "stream": "rex"}}),
        json!({"no_event_matching": {"source": {"log": true}}}),
        json!({"not": {"no_event_matching": {"source": {"category": "dogs"}}}}),
    ];
    for condition in elsewhere {
        let answer = guarded.post(&key, path, &publish(condition.clone())).await;
        let problem = answer.problem(403, "forbidden");
        let pointer = problem["errors"][0]["pointer"].as_str().expect("it points");
        assert!(pointer.starts_with("#/condition"), "{problem}");
    }
    let here = json!({"no_event_matching": {"source": {"category": "cats"}}});
    guarded.post(&key, path, &publish(here)).await.expect(201);
    let scopes = json!([{"log": "mine", "category": "cats", "actions": ["append"]},
                        {"log": "mine", "category": "dogs", "actions": ["read"]}]);
    let (both, _) = guarded.make(&json!({"scopes": scopes})).await;
    let condition = json!({"no_event_matching": {"source": {"category": "dogs"}}});
    guarded.post(&both, path, &publish(condition)).await.expect(201);
}

#[tokio::test]
async fn decoded_names_are_judged() {
    let (guarded, _) = guarded().await;
    let key = guarded.key("mine", "a/b", &["read", "append"]).await;
    let stream = |category: &str| format!("/v1/logs/mine/categories/{category}/streams/s/events");
    let body = json!({"events": [{"name": "n"}]});
    guarded.post(&key, &stream("a%2Fb"), &body).await.expect(201);
    guarded.post(&key, &stream("%61%2f%62"), &body).await.expect(201);
    for other in ["a", "a%252Fb", "a%5Cb", "A%2FB", "a%2Fb%20", "a%EF%BC%8Fb", "*"] {
        guarded.post(&key, &stream(other), &body).await.problem(403, "forbidden");
    }
    // A log, or a category, that is named as all of them are.
    let root = &guarded.root;
    guarded.by(root, Method::PUT, "/v1/logs/*").json(&json!({})).send().await.expect(201);
    guarded
        .get(&guarded.key("m*", "*", &["read"]).await, "/v1/logs/*")
        .await
        .problem(403, "forbidden");
}

#[tokio::test]
async fn what_is_refused_is_told_from_what_is_not_there() {
    let (guarded, _) = guarded().await;
    let key = guarded.key("mine", "*", &["read"]).await;
    guarded.get(&key, "/v1/logs/nowhere").await.problem(403, "forbidden");
    guarded.get(&guarded.root, "/v1/logs/nowhere").await.problem(404, "log-not-found");
    let none = guarded.server.get("/v1/logs/nowhere").await;
    none.problem(401, "unauthenticated");
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"everlog\"");
    let wrong = guarded.get("evl_x_y", "/v1/logs/mine").await;
    wrong.problem(401, "unauthenticated");
    assert_eq!(
        wrong.header("www-authenticate"),
        "Bearer realm=\"everlog\", error=\"invalid_token\""
    );
    // 405 and a path that is none come first; a body comes last.
    guarded
        .server
        .request(Method::PATCH, "/v1/logs/mine")
        .send()
        .await
        .problem(405, "method-not-allowed");
    guarded.server.get("/v1/nowhere").await.problem(404, "route-not-found");
    let path = "/v1/logs/mine/events";
    guarded.by(&key, Method::POST, path).raw("{").send().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_key_is_sent_once_and_as_a_bearer() {
    let (guarded, _) = guarded().await;
    let get = |value: &str| guarded.server.getting("/v1/logs/mine").header("authorization", value);
    let root = &guarded.root;
    get(&format!("bearer  {root}")).send().await.expect(200);
    for value in [root.clone(), format!("Basic {root}"), "Bearer".to_owned(), "Bearer ".to_owned()]
    {
        get(&value).send().await.problem(401, "unauthenticated");
    }
    let twice = get(&format!("Bearer {root}")).header("authorization", &format!("Bearer {root}"));
    twice.send().await.problem(401, "unauthenticated");
    guarded.server.get(&format!("/v1/logs/mine?key={root}")).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn what_never_changes_is_private_where_keys_are_asked_for() {
    let (setup, _folder) = Setup::lasting().await;
    let guarded = Guarded::over(setup).await;
    let path = "/v1/logs/default/categories/cats/streams/tom/events";
    let body = json!({"events": [{"name": "n"}]});
    guarded.post(&guarded.root, path, &body).await.expect(201);
    let event = guarded.get(&guarded.root, &format!("{path}/0")).await.expect(200);
    assert_eq!(event.header("cache-control"), "private, max-age=31536000, immutable");
}

#[tokio::test]
async fn verbose_health_and_metrics_are_for_monitors() {
    let (guarded, _) = guarded().await;
    let server = &guarded.server;
    server.get("/readyz").await.expect(200);
    server.get("/readyz?verbose=true").await.problem(401, "unauthenticated");
    let reader = guarded.key("*", "*", &["read", "admin"]).await;
    guarded.get(&reader, "/readyz?verbose").await.problem(403, "forbidden");
    let monitor = guarded.key("*", "*", &["monitor"]).await;
    guarded.get(&monitor, "/readyz?verbose").await.expect(200);
    guarded.get(&monitor, "/metrics").await.expect(200);
}
