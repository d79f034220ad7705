//! What may be kept: tags, lifetimes and 304.

use crate::support::server::{Answer, JOE, Server, Setup};

const FOR_EVER: &str = "public, max-age=31536000, immutable";

async fn again(server: &Server, path: &str, tag: &str) -> Answer {
    server.getting(path).header("if-none-match", tag).send().await
}

#[tokio::test]
async fn a_closed_page_may_be_kept_for_ever() {
    let (setup, _folder) = Setup::lasting().await;
    let server = setup.start().await;
    server.fill(JOE, 5).await;
    for source in ["/v1/logs/default", "/v1/logs/default/categories/profiles", JOE] {
        for query in ["limit=2", "limit=2&name=e", "limit=2&recorded_until=2027-01-01T00:00:00Z"] {
            let path = format!("{source}/events?{query}");
            let page = server.get(&path).await.expect(200);
            assert_eq!(page.header("cache-control"), FOR_EVER, "{path}");
            let tag = page.header("etag").to_owned();
            server.fill(JOE, 1).await;
            let same = again(&server, &path, &tag).await.expect(304);
            assert_eq!((same.bytes.len(), same.header("etag")), (0, tag.as_str()));
            assert_eq!(same.header("cache-control"), FOR_EVER);
            let other = server.get(&path).await.expect(200);
            assert_eq!(other.json()["events"], page.json()["events"]);
        }
    }
}

#[tokio::test]
async fn a_page_at_the_head_is_asked_for_again_with_its_tag() {
    for path in [
        format!("{JOE}/events"),
        format!("{JOE}/events?limit=2"),
        format!("{JOE}/events?after=1"),
        format!("{JOE}/events?direction=backwards&limit=1"),
        "/v1/logs/default/events".to_owned(),
        format!("{JOE}/events/latest"),
        JOE.to_owned(),
    ] {
        let server = Server::start().await;
        server.fill(JOE, 2).await;
        let page = server.get(&path).await.expect(200);
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        let tag = page.header("etag").to_owned();
        again(&server, &path, &tag).await.expect(304);
        again(&server, &path, &format!("\"x\", {tag}")).await.expect(304);
        again(&server, &path, "*").await.expect(304);
        again(&server, &path, "\"x\"").await.expect(200);
        server.fill(JOE, 1).await;
        assert_ne!(again(&server, &path, &tag).await.expect(200).header("etag"), tag, "{path}");
    }
}

#[tokio::test]
async fn an_event_may_be_kept_for_ever() {
    let (setup, _folder) = Setup::lasting().await;
    let server = setup.start().await;
    server.fill(JOE, 2).await;
    let event = server.get(&format!("{JOE}/events/0")).await.expect(200);
    assert_eq!(event.header("cache-control"), FOR_EVER);
    let id = event.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(event.header("etag"), format!("\"{id}\""));
    let by_id = format!("/v1/logs/default/events/{id}");
    let same = server.get(&by_id).await.expect(200);
    assert_eq!(same.bytes, event.bytes);
    again(&server, &by_id, event.header("etag")).await.expect(304);
}

#[tokio::test]
async fn the_tag_of_a_stream_goes_into_if_match() {
    let server = Server::start().await;
    server.fill(JOE, 3).await;
    for path in [JOE, "/v1/logs/default", "/v1/logs/default/categories/profiles"] {
        let tag = server.get(path).await.expect(200).header("etag").to_owned();
        assert_eq!(tag, if path == JOE { "\"2\"" } else { "\"3\"" }, "{path}");
    }
    let body = serde_json::json!({"events": [{"name": "e"}]});
    let call = server.posting(&format!("{JOE}/events")).header("if-match", "\"2\"");
    call.json(&body).send().await.expect(201);
}

#[tokio::test]
async fn what_a_memory_holds_is_asked_for_again() {
    let server = Server::start().await;
    server.fill(JOE, 2).await;
    for path in [format!("{JOE}/events?limit=1"), format!("{JOE}/events/0")] {
        assert_eq!(server.get(&path).await.expect(200).header("cache-control"), "no-cache");
    }
}

#[tokio::test]
async fn a_category_is_revalidated_and_a_log_is_given_whole() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    let path = "/v1/logs/default/categories/profiles";
    let tag = server.get(path).await.expect(200).header("etag").to_owned();
    let again = || server.getting(path).header("if-none-match", &tag);
    again().send().await.expect(304);
    server.fill(JOE, 1).await;
    again().send().await.expect(200);

    let log = "/v1/logs/default";
    let tag = server.get(log).await.header("etag").to_owned();
    server.put(log, &serde_json::json!({"require_condition": true})).await.expect(200);
    let call = server.getting(log).header("if-none-match", &tag);
    assert_eq!(call.send().await.expect(200).json()["require_condition"], true);
}
