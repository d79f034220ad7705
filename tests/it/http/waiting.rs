//! Long polls, and what becomes of requests when the service stops.

use std::sync::Arc;

use everlog::storage::Storage;
use serde_json::json;

use crate::support::{
    server::{JOE, Server, Setup},
    trouble::Troubled,
};

async fn watched() -> (Server, Arc<Troubled>) {
    let setup = Setup::memory();
    let troubled = Troubled::over(setup.storage.clone());
    let server = Setup { storage: Storage::new(troubled.clone()), ..setup }.start().await;
    troubled.forget_views();
    (server, troubled)
}

#[tokio::test]
async fn a_long_poll_returns_as_soon_as_there_is_an_event() {
    let (server, store) = watched().await;
    let url = format!("{JOE}/events?wait=60");
    let publish = async {
        store.a_view().await;
        server.fill(JOE, 1).await;
    };
    let (page, ()) = tokio::join!(server.get(&url), publish);
    let page = page.expect(200).json();
    assert_eq!(page["events"][0]["position"], 0);
    let after = page["page"]["after"].as_str().unwrap();
    let url = format!("{JOE}/events?after={after}&wait=60");
    store.forget_views();
    let (page, ()) = tokio::join!(server.get(&url), async {
        store.a_view().await;
        server.fill(JOE, 1).await;
    });
    assert_eq!(page.expect(200).json()["events"][0]["position"], 1);
}

#[tokio::test]
async fn a_long_poll_that_finds_an_event_does_not_wait() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    let page = server.get(&format!("{JOE}/events?wait=60")).await.expect(200).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_poll_passes_over_events_that_its_filter_refuses() {
    let (server, store) = watched().await;
    let url = format!("{JOE}/events?wait=60&name=wanted");
    let publish = async {
        store.a_view().await;
        server.fill(JOE, 3).await;
        let body = json!({"events": [{"name": "wanted"}]});
        server.post(&format!("{JOE}/events"), &body).await.expect(201);
    };
    let (page, ()) = tokio::join!(server.get(&url), publish);
    let page = page.expect(200).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!(page["events"][0]["position"], 3);
}

#[tokio::test]
async fn a_long_poll_without_an_event_ends_with_an_empty_page() {
    let server = Server::start().await;
    for wait in [0, 1] {
        let answer = server.get(&format!("{JOE}/events?wait={wait}")).await.expect(200);
        assert_eq!(answer.json()["events"], json!([]));
        assert_eq!(answer.json()["page"]["at_end"], true);
        assert_eq!(answer.header("cache-control"), "no-cache");
    }
    server.get(&format!("{JOE}/events")).await.problem(404, "stream-not-found");
}

#[tokio::test]
async fn a_wait_has_bounds_and_one_direction() {
    let server = Server::start().await;
    for query in ["wait=61", "wait=-1", "wait=1&direction=backwards"] {
        let answer = server.get(&format!("{JOE}/events?{query}")).await;
        answer.fault(422, "invalid-request", "wait");
    }
    server.get(&format!("{JOE}/events?wait=soon")).await.fault(400, "malformed-request", "wait");
}

#[tokio::test]
async fn a_stop_lets_a_request_finish_and_ends_a_long_poll() {
    let (mut server, store) = watched().await;
    store.hold();
    let body = json!({"events": [{"name": "e"}]});
    let mut publish = Box::pin(server.posting(&format!("{JOE}/events")).json(&body).send());
    let poll = server.getting("/v1/logs/default/events?wait=60").send();
    let stop = async {
        store.an_append().await;
        store.a_view().await;
        server.begin_stop();
    };
    let polled = tokio::select! {
        _ = &mut publish => unreachable!("the publish is held back"),
        (polled, ()) = async { tokio::join!(poll, stop) } => polled,
    };
    assert_eq!(polled.expect(200).json()["events"], json!([]), "the poll did not wait for it");
    store.release();
    publish.await.expect(201);
    server.stopped().await.expect("run returns without an error");
}

#[tokio::test]
async fn a_long_poll_ends_when_the_service_stops() {
    let (mut server, store) = watched().await;
    let poll = server.getting("/v1/logs/default/events?wait=60").send();
    let stop = async {
        store.a_view().await;
        server.begin_stop();
    };
    let (page, ()) = tokio::join!(poll, stop);
    assert_eq!(page.expect(200).json()["events"], json!([]));
    server.stopped().await.expect("run returns without an error");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_undo_its_publish() {
    let (server, store) = watched().await;
    store.hold();
    let body = json!({"events": [{"name": "e"}]});
    let publish = Box::pin(server.posting(&format!("{JOE}/events")).json(&body).send());
    tokio::select! {
        _ = publish => unreachable!("the publish is held back"),
        () = store.an_append() => {}
    }
    store.release();
    let page = server.get(&format!("{JOE}/events?wait=60")).await.expect(200).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_services_run_side_by_side_and_stop_one_by_one() {
    let (first, second) = (Server::start().await, Server::start().await);
    assert_ne!(first.address, second.address);
    first.fill(JOE, 2).await;
    second.fill(JOE, 1).await;
    assert_eq!((first.written().await, second.written().await), (2, 1));
    first.stop().await.expect("the first stops");
    assert_eq!(second.written().await, 1);
    second.stop().await.expect("the second stops");
}

#[tokio::test]
async fn the_service_runs_on_a_sqlite_file_and_again_on_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for count in [1, 2] {
        let (store, clock) = crate::support::sqlite::open_in(folder.path()).await;
        let setup = Setup { storage: Storage::new(store), clock, ..Setup::memory() };
        let server = setup.start().await;
        server.fill(JOE, 1).await;
        assert_eq!(server.written().await, count);
        server.stop().await.expect("the service stops");
    }
}
