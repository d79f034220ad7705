//! Pages of other origins (WHATWG Fetch, CORS): none, unless they are named.

use everlog::app::Door;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    guarded::Guarded,
    server::{Answer, JOE, Server, Setup},
};

const APP: &str = "https://app.example.com";
const ALLOW: &str = "access-control-allow-origin";

fn named() -> Setup {
    let setup = Setup::memory();
    let origins = [APP, "http://localhost:3000"].map(str::to_owned);
    let door = Door { origins: origins.into(), ..setup.door };
    Setup { door, ..setup }
}

async fn preflight(server: &Server, origin: &str) -> Answer {
    let call = server.request(Method::OPTIONS, &format!("{JOE}/events"));
    let call = call.header("origin", origin).header("access-control-request-method", "POST");
    call.header("access-control-request-headers", "authorization, if-match").send().await
}

async fn get(server: &Server, origin: &str, path: &str) -> Answer {
    server.getting(path).header("origin", origin).send().await
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_unless_it_is_named() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    for answer in [preflight(&server, APP).await, get(&server, APP, JOE).await] {
        let allowed: Vec<_> =
            answer.headers.keys().filter(|name| name.as_str().starts_with("access-")).collect();
        assert!(allowed.is_empty(), "{allowed:?}");
    }
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_do_what_the_api_has() {
    let server = named().start().await;
    server.fill(JOE, 1).await;
    let asked = preflight(&server, APP).await.expect(200);
    assert_eq!(asked.header(ALLOW), APP);
    for (name, needed) in [
        ("access-control-allow-methods", "GET,HEAD,POST,PUT,DELETE"),
        (
            "access-control-allow-headers",
            "authorization,content-type,if-match,if-none-match,idempotency-key",
        ),
    ] {
        let allowed = asked.header(name).to_ascii_lowercase();
        let lacking: Vec<_> =
            needed.split(',').filter(|one| !allowed.contains(&one.to_ascii_lowercase())).collect();
        assert!(lacking.is_empty(), "{name}: {allowed} lacks {lacking:?}");
    }
    let read = get(&server, APP, JOE).await.expect(200);
    assert_eq!(read.header(ALLOW), APP);
    assert!(read.header("access-control-expose-headers").contains("etag"));
    assert!(read.headers.get_all("vary").iter().any(|vary| vary == "origin"), "{:?}", read.headers);
    assert_eq!(read.header("access-control-allow-credentials"), "", "cookies are none of ours");
    // A failure can be read as well, and so can a tail.
    let missing = get(&server, APP, "/v1/logs/nowhere").await;
    missing.problem(404, "log-not-found");
    assert_eq!(missing.header(ALLOW), APP);
    let tail = server.getting(&format!("{JOE}/tail")).header("origin", APP).response().await;
    assert_eq!(tail.headers()[ALLOW], APP);
}

#[tokio::test]
async fn an_origin_is_the_whole_of_it() {
    let server = named().start().await;
    server.fill(JOE, 1).await;
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "null",
        "*",
    ] {
        for answer in [preflight(&server, origin).await, get(&server, origin, JOE).await] {
            assert_eq!(answer.header(ALLOW), "", "{origin}");
        }
    }
}

#[tokio::test]
async fn a_preflight_needs_no_key_and_what_it_is_for_does() {
    let guarded = Guarded::over(named()).await;
    preflight(&guarded.server, APP).await.expect(200);
    let post = guarded.server.posting(&format!("{JOE}/events")).header("origin", APP);
    let refused = post.json(&json!({"events": [{"name": "n"}]})).send().await;
    refused.problem(401, "unauthenticated");
    assert_eq!(refused.header(ALLOW), APP, "the page learns that it needs a key");
}
