//! Tails over server-sent events, as a client sees them.

use serde_json::{Value, json};

use crate::support::{
    frames::{Frame, Frames},
    server::{JOE, Server, Setup},
};

fn positions(frames: &[Frame]) -> Vec<i64> {
    frames.iter().map(|frame| frame.data["position"].as_i64().expect("an event")).collect()
}

#[tokio::test]
async fn a_tail_catches_up_and_then_follows() {
    let server = Server::start().await;
    server.fill(JOE, 3).await;
    let page = server.get(&format!("{JOE}/events")).await.expect(200).json();
    let mut tail = Frames::open(server.getting(&format!("{JOE}/tail"))).await;
    let headers = tail.headers.clone();
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    let start = tail.expect("start").await;
    assert_eq!(start.id, None);
    assert_eq!(start.data, json!({"after": null, "high_water": page["page"]["high_water"]}));
    assert!((1_000..5_000).contains(&tail.retry_ms.unwrap()), "{:?}", tail.retry_ms);
    let old = tail.events(3).await;
    let events: Vec<&Value> = old.iter().map(|frame| &frame.data).collect();
    assert_eq!(events, page["events"].as_array().unwrap().iter().collect::<Vec<_>>());
    let caught_up = tail.expect("caught-up").await;
    assert_eq!(caught_up.id.as_deref(), page["page"]["after"].as_str());
    assert_eq!(caught_up.data, json!({"after": page["page"]["after"]}));
    assert_eq!(old[2].id, caught_up.id, "an event's id is the cursor there");
    for position in 3..6 {
        server.fill(JOE, 1).await;
        assert_eq!(positions(&tail.events(1).await), [position]);
    }
}

#[tokio::test]
async fn each_source_has_a_tail_and_gives_it_by_its_media_type_too() {
    let server = Server::start().await;
    server.fill(JOE, 2).await;
    let ann = JOE.replace("joe", "ann");
    for source in ["/v1/logs/default", "/v1/logs/default/categories/profiles", JOE] {
        let by_path = server.getting(&format!("{source}/tail?after=now"));
        let by_type = server.getting(&format!("{source}/events?after=now"));
        for call in [by_path, by_type.header("accept", "text/event-stream")] {
            let mut tail = Frames::open(call).await;
            let start = tail.expect("start").await;
            assert_eq!(start.data["after"], start.data["high_water"], "{source}");
            tail.expect("caught-up").await;
            server.fill(&ann, 1).await;
            server.fill(JOE, 1).await;
            let mut seen = tail.events(1).await;
            if source != JOE {
                assert_eq!(seen.remove(0).data["stream"], "ann");
                seen = tail.events(1).await;
            }
            assert_eq!(seen[0].data["stream"], "joe");
        }
    }
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_after_its_last_event() {
    let server = Server::start().await;
    server.fill(JOE, 5).await;
    for source in ["/v1/logs/default", JOE] {
        let mut tail = Frames::open(server.getting(&format!("{source}/tail"))).await;
        tail.expect("start").await;
        let id = tail.events(2).await[1].id.clone().unwrap();
        // `Last-Event-ID` wins over where the URL begins.
        for begin in ["after=0", "after=now", "after_sequence_number=4"] {
            let call = server.getting(&format!("{source}/tail?{begin}"));
            let mut again = Frames::open(call.header("last-event-id", &id)).await;
            assert_eq!(again.expect("start").await.data["after"], id);
            assert_eq!(positions(&again.events(3).await), [2, 3, 4], "{source} {begin}");
        }
    }
}

#[tokio::test]
async fn a_tail_begins_where_it_is_told() {
    let server = Server::start().await;
    server.fill(&JOE.replace("joe", "ann"), 3).await;
    server.fill(JOE, 4).await;
    for (begin, expected) in [
        (format!("{JOE}/tail?after=1"), vec![2, 3]),
        (format!("{JOE}/tail?after_sequence_number=5"), vec![2, 3]),
        ("/v1/logs/default/tail?after=5".to_owned(), vec![2, 3]),
        ("/v1/logs/default/tail?after_sequence_number=6".to_owned(), vec![3]),
    ] {
        let mut tail = Frames::open(server.getting(&begin)).await;
        tail.expect("start").await;
        assert_eq!(positions(&tail.events(expected.len()).await), expected, "{begin}");
        tail.expect("caught-up").await;
    }
}

#[tokio::test]
async fn a_tail_passes_on_what_its_filter_holds() {
    let server = Server::start().await;
    let publish = async |name: &str, metadata: Value| {
        let body = json!({"events": [{"name": name, "metadata": metadata}]});
        server.post(&format!("{JOE}/events"), &body).await.expect(201);
    };
    publish("a", json!({"k": "v"})).await;
    publish("b", json!({"k": "v"})).await;
    let url = "/v1/logs/default/tail?name=a&metadata.k=v";
    let mut tail = Frames::open(server.getting(url)).await;
    tail.expect("start").await;
    assert_eq!(positions(&tail.events(1).await), [0]);
    assert!(tail.expect("caught-up").await.id.unwrap().starts_with("2-"), "the other was passed");
    publish("a", json!({"k": "w"})).await;
    publish("a", json!({"k": "v"})).await;
    assert_eq!(positions(&tail.events(1).await), [3]);
}

#[tokio::test]
async fn a_tail_of_nothing_waits_for_its_first_event() {
    let server = Server::start().await;
    for begin in ["", "?after=now"] {
        let stream = format!("/v1/logs/default/categories/c/streams/s{}", begin.len());
        let mut tail = Frames::open(server.getting(&format!("{stream}/tail{begin}"))).await;
        let start = tail.expect("start").await;
        assert_eq!(start.data, json!({"after": null, "high_water": null}));
        assert_eq!(tail.expect("caught-up").await.id, None);
        server.fill(&stream, 1).await;
        assert_eq!(positions(&tail.events(1).await), [0]);
    }
}

#[tokio::test]
async fn a_log_of_many_lanes_is_tailed_by_opaque_cursors() {
    let server = Server::start().await;
    let log = "/v1/logs/wide";
    server.put(log, &json!({"ordering": "stream", "lanes": 4})).await.expect(201);
    let stream = |i: usize| format!("{log}/categories/c/streams/s{i}");
    for i in 0..8 {
        server.fill(&stream(i), 2).await;
    }
    let mut tail = Frames::open(server.getting(&format!("{log}/tail"))).await;
    tail.expect("start").await;
    let mut seen = tail.events(5).await;
    let id = seen[4].id.clone().unwrap();
    assert!(id.starts_with('v'), "{id}");
    let call = server.getting(&format!("{log}/tail")).header("last-event-id", &id);
    let mut again = Frames::open(call).await;
    again.expect("start").await;
    seen.extend(again.events(11).await);
    again.expect("caught-up").await;
    server.fill(&stream(0), 1).await;
    seen.extend(again.events(1).await);
    let mut numbers: Vec<_> =
        seen.iter().map(|f| f.data["sequence_number"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 17);
    let bare = server.get(&format!("{log}/tail?after=3")).await;
    bare.problem(422, "cursor-required");
}

#[tokio::test]
async fn what_a_tail_cannot_do_is_told_before_it_begins() {
    let server = Server::start().await;
    server.fill(JOE, 2).await;
    let tail = |query: &str| server.getting(&format!("{JOE}/tail?{query}")).send();
    tail("before=3").await.fault(422, "invalid-request", "before");
    tail("limit=3").await.fault(422, "invalid-request", "limit");
    tail("after=x").await.fault(400, "malformed-request", "after");
    tail("after=now&after=1").await.fault(422, "invalid-request", "after");
    tail("after=0&after_sequence_number=1").await.problem(422, "invalid-request");
    let gone = tail("after=0-deadbeef").await.problem(410, "history-diverged");
    assert!(gone["high_water"].as_str().unwrap().starts_with("1-"), "{gone}");
    let id = server.getting(&format!("{JOE}/tail")).header("last-event-id", "x").send().await;
    id.fault(400, "malformed-request", "Last-Event-Id");
    let json = server.getting(&format!("{JOE}/tail")).header("accept", "application/json");
    json.send().await.problem(406, "not-acceptable");
    server.get("/v1/logs/nowhere/tail").await.problem(404, "log-not-found");
}

#[tokio::test]
async fn a_stop_says_goodbye_to_tails() {
    let mut server = Server::start().await;
    let mut tail = Frames::open(server.getting("/v1/logs/default/tail")).await;
    tail.expect("start").await;
    tail.expect("caught-up").await;
    server.begin_stop();
    assert_eq!(tail.expect("bye").await.data, json!({"reason": "shutting-down"}));
    assert_eq!(tail.next().await, None);
    server.stopped().await.expect("run returns without an error");
}

#[tokio::test]
async fn a_tail_goes_on_after_a_restart_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let (store, clock) = crate::support::sqlite::open_in(folder.path()).await;
        let storage = everlog::storage::Storage::new(store);
        Setup { storage, clock, ..Setup::memory() }.start().await
    };
    let server = start().await;
    server.fill(JOE, 2).await;
    let mut tail = Frames::open(server.getting("/v1/logs/default/tail")).await;
    tail.expect("start").await;
    let id = tail.events(2).await[1].id.clone().unwrap();
    server.stop().await.expect("the service stops");
    let server = start().await;
    server.fill(JOE, 2).await;
    let call = server.getting("/v1/logs/default/tail").header("last-event-id", &id);
    let mut again = Frames::open(call).await;
    again.expect("start").await;
    assert_eq!(positions(&again.events(2).await), [2, 3]);
}
