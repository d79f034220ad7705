//! Restarts: tails are told goodbye and come back where they were, all at once if need be; clients that
//! send again what was not answered lose nothing.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::history::{History, write};
use crate::support::{
    client::client,
    frames::{Frame, Frames},
    process::Process,
};

const WRITERS: u32 = 6;
const RESTARTS: u64 = 8;
/// Tails that come back at once.
const TAILS: usize = 2_000;
/// Within which all of them have what they missed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn tail(client: &Client, url: &str, last_event_id: Option<&str>) -> Frames {
    let mut request = client.get(format!("{url}/v1/logs/default/tail"));
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    Frames::of(request.send().await.expect("the server answers"))
}

/// The last of a tail's frames.
async fn end(mut tail: Frames) -> Option<Frame> {
    let mut last = None;
    while let Some(frame) = tail.next().await {
        last = Some(frame);
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_under_load_owes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let serve = || Process::serve("sqlite:restarts.db", folder.path());
    let mut server = serve();
    let history = Arc::new(History::default());
    history.moved(0, &server.url);
    let (count, mut acks) = watch::channel(0);
    let (count, (stop, stopped)) = (Arc::new(count), watch::channel(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (history, count, stopped) = (history.clone(), count.clone(), stopped.clone());
        writers.spawn(async move { write(number, &history, &count, &stopped).await });
    }
    for round in 1..=RESTARTS {
        acks.wait_for(|acks| *acks >= 30 * round).await.expect("the writers go on");
        let followed = tail(&client(), &server.url, None).await;
        let ended = tokio::task::spawn_blocking(|| server.terminate());
        let last = end(followed).await.expect("frames");
        assert_eq!((last.event.as_str(), &last.data["reason"]), ("bye", &"shutting-down".into()));
        assert!(ended.await.expect("it ends").success(), "it ends in good order");
        server = serve();
        history.moved(0, &server.url);
    }
    stop.send(true).expect("there are writers");
    writers.join_all().await;
    let verdict = history.judge(&history.stored().await, &[]);
    assert_eq!(verdict.faults(), 0, "{verdict:?}");
    // The control: killed, it says nothing.
    let followed = tail(&client(), &server.url, None).await;
    server.kill();
    assert!(end(followed).await.is_none_or(|frame| frame.event != "bye"));
}

/// Reads on to the end of what the tail had missed.
async fn catch_up(
    client: Client,
    url: String,
    id: Option<String>,
    last: i64,
) -> (Vec<i64>, Option<String>) {
    let mut tail = tail(&client, &url, id.as_deref()).await;
    let (mut numbers, mut id) = (Vec::new(), id);
    while numbers.last() != Some(&last) {
        let frame = tail.next().await.expect("the tail goes on");
        numbers.extend(frame.data["sequence_number"].as_i64());
        id = frame.id.or(id);
    }
    (numbers, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_tails_come_back_at_once_and_miss_nothing() {
    rlimit::increase_nofile_limit(10_000).expect("files may be opened");
    let (client, folder) = (client(), TempDir::new().expect("a folder"));
    let serve = || Process::serve("sqlite:storm.db", folder.path());
    let publish = async |url: &str| {
        let url = format!("{url}/v1/logs/default/categories/c/streams/s/events");
        let body = serde_json::json!({"events": [{"name": "e"}, {"name": "e"}]});
        let answer = client.post(url).json(&body).send().await;
        assert_eq!(answer.expect("the server answers").status(), 201);
    };
    let mut server = serve();
    let mut ids = vec![None; TAILS];
    for round in 1..=3 {
        publish(&server.url).await;
        let mut tails = JoinSet::new();
        for id in ids.drain(..) {
            tails.spawn(catch_up(client.clone(), server.url.clone(), id, 2 * round));
        }
        let all = timeout(PATIENCE, tails.join_all()).await.expect("all have what they missed");
        for (numbers, id) in all {
            assert_eq!(numbers, [2 * round - 1, 2 * round], "what came in between, once");
            ids.push(id);
        }
        server.kill();
        server = serve();
    }
    // The control: a tail that does not say where it was gets it all again.
    assert_eq!(catch_up(client, server.url.clone(), None, 6).await.0.len(), 6);
}
