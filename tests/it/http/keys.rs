//! Keys as administrators make, list and revoke them, and what ends with one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{frames::Frames, guarded::Guarded, server::Server};

fn ids(list: &Value) -> Vec<String> {
    let keys = list["keys"].as_array().expect("a list");
    keys.iter().map(|key| key["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_secret_is_shown_once() {
    let guarded = Guarded::start().await;
    let input = json!({"description": "the shop", "scopes": [{"log": "shop", "actions": ["read"]}],
                       "expires_at": "2100-01-01T00:00:00Z"});
    let made = guarded.post(&guarded.root, "/v1/keys", &input).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let (location, mut made) = (made.header("location").to_owned(), made.json());
    let key = made["key"].take();
    let secret = key.as_str().and_then(|key| key.rsplit('_').next()).expect("a key");
    assert_eq!(secret.len(), 43);
    let kept = guarded.get(&guarded.root, &location).await.expect(200);
    made.as_object_mut().expect("an object").remove("key");
    assert_eq!(kept.json(), made);
    assert_eq!(made["scopes"], json!([{"log": "shop", "category": "*", "actions": ["read"]}]));
    let listed = guarded.get(&guarded.root, "/v1/keys").await.expect(200);
    for answer in [kept, listed] {
        assert!(!answer.text().contains(secret));
    }
}

#[tokio::test]
async fn a_key_works_at_once_and_no_longer_once_it_is_revoked() {
    let guarded = Guarded::start().await;
    let (key, id) = guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await;
    guarded.get(&key, "/v1/logs/default").await.expect(200);
    let revoked = guarded.revoke(&id).await.expect(200).json();
    assert_eq!(revoked["revoked_at"], guarded.server.clock.advance(0).to_string());
    guarded.get(&key, "/v1/logs/default").await.problem(401, "unauthenticated");
    guarded.server.clock.advance(1_000_000);
    assert_eq!(guarded.revoke(&id).await.expect(200).json(), revoked, "it stays as it was");
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let guarded = Guarded::start().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await.1);
    }
    made.sort();
    let (mut listed, mut next) = (Vec::new(), json!("/v1/keys?limit=2"));
    while let Some(path) = next.as_str() {
        let page = guarded.get(&guarded.root, path).await.expect(200).json();
        listed.extend(ids(&page));
        next = page["page"]["next"].clone();
    }
    assert_eq!(listed, made);
}

#[tokio::test]
async fn administrators_of_some_logs_make_keys_for_those_alone() {
    let guarded = Guarded::start().await;
    let theirs = guarded.key("shop-*", "*", &["admin"]).await;
    let scopes = |logs: &[&str]| {
        let scope = |log: &&str| json!({"log": log, "actions": ["append", "admin"]});
        json!({"scopes": logs.iter().map(scope).collect::<Vec<_>>()})
    };
    let made = guarded.post(&theirs, "/v1/keys", &scopes(&["shop-1", "shop-a*"])).await.expect(201);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    for (logs, place) in [
        (&["shop-1", "bank"][..], "#/scopes/1/log"),
        (&["*"], "#/scopes/0/log"),
        (&["shop*"], "#/scopes/0/log"),
    ] {
        guarded.post(&theirs, "/v1/keys", &scopes(logs)).await.fault(403, "forbidden", place);
    }
    let (_, other) = guarded.make(&scopes(&["shop-1", "bank"])).await;
    let path = format!("/v1/keys/{other}");
    guarded.get(&theirs, &path).await.problem(404, "key-not-found");
    let revoke = guarded.by(&theirs, Method::POST, &format!("{path}/revoke"));
    revoke.send().await.problem(404, "key-not-found");
    let listed = ids(&guarded.get(&theirs, "/v1/keys").await.expect(200).json());
    assert!(listed.contains(&id) && !listed.contains(&other), "{listed:?}");
    // Who administers a category administers no log.
    let narrow = guarded.key("shop-*", "cats", &["admin"]).await;
    guarded.get(&narrow, "/v1/keys").await.problem(403, "forbidden");
}

#[tokio::test]
async fn what_a_key_cannot_be_is_refused_at_its_place() {
    let server = Server::start().await;
    let scope = |scope: Value| json!({"scopes": [scope]});
    let long = "x".repeat(256);
    for (input, place) in [
        (json!({"scopes": []}), "#/scopes"),
        (json!({"scopes": vec![json!({"actions": ["read"]}); 101]}), "#/scopes"),
        (scope(json!({"actions": []})), "#/scopes/0/actions"),
        (scope(json!({"actions": ["read", "write"]})), "#/scopes/0/actions/1"),
        (scope(json!({"log": "", "actions": ["read"]})), "#/scopes/0/log"),
        (scope(json!({"log": long, "actions": ["read"]})), "#/scopes/0/log"),
        (scope(json!({"category": "a\u{0}", "actions": ["read"]})), "#/scopes/0/category"),
        (
            json!({"scopes": [{"actions": ["read"]}], "expires_at": "1999-01-01T00:00:00Z"}),
            "#/expires_at",
        ),
        (json!({"scopes": [{"actions": ["read"]}], "expires_at": "soon"}), "#/expires_at"),
        (json!({"scopes": [{"actions": ["read"]}], "description": "a\u{0}"}), "#/description"),
        (
            json!({"scopes": [{"actions": ["read"]}], "description": "x".repeat(1001)}),
            "#/description",
        ),
    ] {
        server.post("/v1/keys", &input).await.fault(422, "invalid-request", place);
    }
    assert_eq!(server.get("/v1/keys").await.expect(200).json()["keys"], json!([]));
    for id in ["nobody", "000000000000", "%00", "a%2Fb", "%E2%82%AC"] {
        server.get(&format!("/v1/keys/{id}")).await.problem(404, "key-not-found");
    }
}

/// It is far larger than what sockets hold: the server has not sent all of it when the key ends.
#[tokio::test]
async fn an_export_is_cut_off_with_its_key() {
    let guarded = Guarded::start().await;
    let path = "/v1/logs/default/categories/cats/streams/tom";
    let body = json!({"events": [{"name": "n", "payload": "x".repeat(1_000_000)}]});
    for _ in 0..32 {
        guarded.post(&guarded.root, &format!("{path}/events"), &body).await.expect(201);
    }
    let (key, id) = guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await;
    for ends in [false, true] {
        let export = guarded.by(&key, Method::GET, &format!("{path}/export"));
        let mut answer = export.response().await;
        let mut bytes = answer.chunk().await.expect("it begins").map_or(0, |chunk| chunk.len());
        if ends {
            guarded.revoke(&id).await.expect(200);
        }
        let cut = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes += chunk.len(),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert_eq!((cut, bytes < 32_000_000), (ends, ends), "{bytes}");
    }
}

#[tokio::test]
async fn a_tail_ends_with_its_key() {
    let guarded = Guarded::start().await;
    let (revoked, id) = guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await;
    let now = guarded.server.clock.advance(1_000_000);
    guarded.server.clock.advance(-1_000_000);
    let expiring = json!({"scopes": [{"actions": ["read"]}], "expires_at": now.to_string()});
    let (expiring, _) = guarded.make(&expiring).await;
    let other = guarded.key("*", "*", &["read"]).await;
    let projection = "/v1/logs/default/projections/totals/tail";
    let log = "/v1/logs/default/tail";
    let open = async |key: &str, path: &str| {
        let mut frames = Frames::open(guarded.by(key, Method::GET, path)).await;
        while frames.next().await.expect("it goes on").event != "caught-up" {}
        frames
    };
    let mut ending =
        [open(&revoked, log).await, open(&revoked, projection).await, open(&expiring, log).await];
    let mut going_on = open(&other, log).await;
    guarded.revoke(&id).await.expect(200);
    guarded.server.clock.advance(1_000_000);
    for frames in &mut ending {
        let last = frames.next().await.expect("it says why it ends");
        assert_eq!((last.event.as_str(), &last.data), ("bye", &json!({"reason": "key-ended"})));
        assert!(frames.next().await.is_none());
    }
    let body = json!({"events": [{"name": "n"}]});
    let stream = "/v1/logs/default/categories/cats/streams/tom/events";
    guarded.post(&guarded.root, stream, &body).await.expect(201);
    assert_eq!(going_on.next().await.expect("it goes on").data["name"], "n");
    guarded.get(&expiring, log).await.problem(401, "unauthenticated");
}
