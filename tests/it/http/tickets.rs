//! Tickets: what a browser opens one tail with, and nothing else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    frames::Frames,
    guarded::Guarded,
    server::{Answer, Server, Setup},
};

const TICKETS: &str = "/v1/logs/default/tickets";
const CATS: &str = "/v1/logs/default/categories/cats";
const SECOND: i64 = 1_000_000;

async fn ticket(guarded: &Guarded, key: &str, target: &Value) -> String {
    let made = guarded.post(key, TICKETS, target).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    made.json()["url"].as_str().expect("a URL").to_owned()
}

/// Opens a tail as a browser does, and closes it.
async fn status(guarded: &Guarded, url: &str) -> u16 {
    let call = guarded.server.getting(url).header("accept", "text/event-stream");
    call.response().await.status().as_u16()
}

#[tokio::test]
async fn a_ticket_opens_its_tail_within_a_minute_and_again_for_hours() {
    let guarded = Guarded::start().await;
    let cats = json!({"source": {"category": "cats"}});
    let (used, unused) = (
        ticket(&guarded, &guarded.root, &cats).await,
        ticket(&guarded, &guarded.root, &cats).await,
    );
    assert!(used.starts_with(&format!("{CATS}/tail?ticket=evt_")), "{used}");
    let clock = &guarded.server.clock;
    clock.advance(59 * SECOND);
    assert_eq!(status(&guarded, &used).await, 200);
    clock.advance(SECOND);
    assert_eq!(status(&guarded, &unused).await, 401, "nobody used it within a minute");
    assert_eq!(status(&guarded, &used).await, 200);
    clock.advance((12 * 60 * 60 - 61) * SECOND);
    assert_eq!(status(&guarded, &format!("{used}&after=now&name=n")).await, 200);
    clock.advance(SECOND);
    guarded.server.get(&used).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_ticket_opens_nothing_else() {
    let guarded = Guarded::start().await;
    let url = ticket(&guarded, &guarded.root, &json!({"source": {"category": "cats"}})).await;
    let (_, query) = url.split_once('?').expect("it has a query");
    for path in [
        "/v1/logs/default/tail",
        "/v1/logs/default/categories/dogs/tail",
        "/v1/logs/default/categories/cats/streams/tom/tail",
        "/v1/logs/default/projections/cats/tail",
        "/v1/logs/default/projectors/cats/tail",
        "/v1/logs/default/categories/cats/events",
        "/v1/logs/default/categories/cats/export",
        "/v1/logs/default",
    ] {
        // A tail that opened would never end: its head is enough.
        assert_eq!(status(&guarded, &format!("{path}?{query}")).await, 401, "{path}");
    }
    let body = json!({"writes": [{"stream": "tom", "events": [{"name": "n"}]}]});
    let publish = guarded.server.post(&format!("{CATS}/events?{query}"), &body).await;
    publish.problem(401, "unauthenticated");
    for query in
        ["ticket=", "ticket=evt_x_y", &query.replace("evt_", "evl_"), &query[..query.len() - 1]]
    {
        let answer = guarded.server.get(&format!("{CATS}/tail?{query}")).await;
        answer.problem(401, "unauthenticated");
    }
    // A key is no ticket, and the ticket no key.
    let text = query.trim_start_matches("ticket=");
    guarded.get(text, CATS).await.problem(401, "unauthenticated");
    let root = guarded.server.get(&format!("{CATS}/tail?ticket={}", guarded.root)).await;
    root.problem(401, "unauthenticated");
}

#[tokio::test]
async fn each_kind_of_tail_has_tickets() {
    let guarded = Guarded::start().await;
    let projector = json!({"source": {"log": true}, "handlers": {"n": "() => 1"}});
    let put = guarded.by(&guarded.root, Method::PUT, "/v1/logs/default/projectors/tot%20als");
    put.json(&projector).send().await.expect(201);
    for target in [
        json!({"source": {"log": true}}),
        json!({"source": {"category": "c/a", "stream": "s a"}}),
        json!({"projection": "tot als"}),
        json!({"projector": "tot als"}),
    ] {
        let url = ticket(&guarded, &guarded.root, &target).await;
        assert_eq!(status(&guarded, &url).await, 200, "{target} {url}");
    }
}

#[tokio::test]
async fn a_ticket_ends_with_the_key_that_asked_for_it() {
    let guarded = Guarded::start().await;
    let (key, id) = guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await;
    let url = ticket(&guarded, &key, &json!({"source": {"category": "cats"}})).await;
    let mut frames = Frames::open(guarded.server.getting(&url)).await;
    while frames.next().await.expect("it goes on").event != "caught-up" {}
    guarded.revoke(&id).await.expect(200);
    assert_eq!(frames.next().await.expect("it says why").event, "bye");
    guarded.server.get(&url).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_ticket_is_good_after_a_restart() {
    let (setup, folder) = Setup::lasting().await;
    let clock = setup.clock.clone();
    let guarded = Guarded::over(setup).await;
    let (key, _) = guarded.make(&json!({"scopes": [{"actions": ["read"]}]})).await;
    let url = ticket(&guarded, &key, &json!({"source": {"category": "cats"}})).await;
    assert_eq!(status(&guarded, &url).await, 200);
    guarded.server.stop().await.expect("it stops");
    let (store, _) = crate::support::sqlite::open_in(folder.path()).await;
    clock.advance(120 * SECOND);
    let storage = everlog::storage::Storage::new(store);
    let again = Guarded::over(Setup { storage, clock, ..Setup::memory() }).await;
    assert_eq!(status(&again, &url).await, 200);
}

#[tokio::test]
async fn a_ticket_is_for_what_its_maker_may_read() {
    let guarded = Guarded::start().await;
    let key = guarded.key("default", "cats", &["read"]).await;
    for target in [
        json!({"source": {"log": true}}),
        json!({"source": {"category": "dogs", "stream": "rex"}}),
        json!({"projection": "totals"}),
        json!({"projector": "totals"}),
    ] {
        guarded.post(&key, TICKETS, &target).await.problem(403, "forbidden");
    }
    ticket(&guarded, &key, &json!({"source": {"category": "cats", "stream": "tom"}})).await;
}

#[tokio::test]
async fn what_a_ticket_cannot_be_for_is_refused_at_its_place() {
    let server = Server::start().await;
    let refused = async |body: Value| -> Answer { server.post(TICKETS, &body).await };
    for (body, place) in [
        (json!({}), "#"),
        (json!({"projection": "a", "projector": "a"}), "#"),
        (json!({"projection": ""}), "#/projection"),
        (json!({"projector": "."}), "#/projector"),
        (json!({"source": {}}), "#/source"),
        (json!({"source": {"category": ""}}), "#/source/category"),
    ] {
        refused(body).await.fault(422, "invalid-request", place);
    }
    // Where nobody is asked who they are, the URL works as well.
    let made = server.post(TICKETS, &json!({"source": {"log": true}})).await.expect(201).json();
    let url = made["url"].as_str().expect("a URL");
    assert_eq!(server.getting(url).response().await.status(), 200);
}
