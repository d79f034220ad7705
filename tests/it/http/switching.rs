//! A definition that changes while others publish and read: nobody sees an error, a gap, or less than before.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use everlog::testing::conformance::TestStore;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use super::projectors::{define, entry, path, publish, until};
use crate::{
    engine::projecting::on_each_store,
    support::server::{Server, Setup},
};

const STREAMS: usize = 3;
const BACKLOG: usize = 300;

/// Counts in steps of so many, a few events at once.
fn counting(by: i64) -> String {
    format!(
        "export default {{ source: {{ category: 'c' }}, initial_state: {{ n: 0, by: {by} }}, limits: {{ batch_events: 7 }},
           handlers: {{ e: (s) => ({{ ...s, n: s.n + s.by }}) }} }};"
    )
}

/// How many events an entry counts, and in which steps.
fn counted(entry: &Value) -> (i64, i64) {
    let number = |name: &str| entry["state"][name].as_i64().expect("a number");
    assert_eq!(number("n") % number("by"), 0, "{entry}");
    (number("n") / number("by"), number("by"))
}

/// Publishes to a stream, and reads after each event what it made: all of it, as nobody else publishes there.
async fn publishes(
    server: Arc<Server>,
    stream: String,
    stop: watch::Receiver<bool>,
) -> Vec<String> {
    let (mut complaints, mut count) = (Vec::new(), i64::try_from(BACKLOG).expect("a count"));
    while !*stop.borrow() {
        let number = publish(&server, &format!("c/{stream}"), "e", json!(null)).await;
        count += 1;
        let answer = entry(&server, "sums", &stream, number).await;
        if answer.status != 200 || counted(&answer.json()).0 != count {
            complaints.push(format!("{count} in {stream}: {answer:?}"));
        }
    }
    complaints
}

/// Reads all entries again and again.
async fn reads(server: Arc<Server>, stop: watch::Receiver<bool>) -> Vec<String> {
    let (mut complaints, mut before) = (Vec::new(), BTreeMap::<String, i64>::new());
    while !*stop.borrow() {
        let answer = server.post("/v1/logs/default/projections/sums/search", &json!({})).await;
        if answer.status != 200 {
            complaints.push(format!("{answer:?}"));
            continue;
        }
        let page = answer.json();
        let entries = page["entries"].as_array().expect("entries");
        let id = |entry: &Value| entry["id"].as_str().expect("an id").to_owned();
        let now: BTreeMap<_, _> =
            entries.iter().map(|entry| (id(entry), counted(entry).0)).collect();
        let mut steps = entries.iter().map(|entry| counted(entry).1);
        let first = steps.next();
        if steps.any(|by| Some(by) != first) {
            complaints.push(format!("of two revisions: {page}"));
        }
        if before.iter().any(|(id, count)| now.get(id) < Some(count)) {
            complaints.push(format!("{before:?}, then {now:?}"));
        }
        before = now;
    }
    complaints
}

/// What those complain of who publish and read while the definition changes, and is active when it should be, or at once.
async fn complaints(store: TestStore, at_once: bool) -> Vec<String> {
    let (storage, clock) = (store.storage.clone(), store.clock.clone());
    let server = Arc::new(Setup { storage, clock, ..Setup::memory() }.start().await);
    define(&server, "sums", &counting(1)).await.expect(201);
    let streams: Vec<String> = (0..STREAMS).map(|n| format!("s{n}")).collect();
    for stream in &streams {
        server.fill(&format!("/v1/logs/default/categories/c/streams/{stream}"), BACKLOG).await;
    }
    entry(&server, "sums", &streams[0], server.written().await).await.expect(200);
    let (stop, stopped) = watch::channel(false);
    let mut everyone = JoinSet::new();
    for stream in streams {
        everyone.spawn(publishes(server.clone(), stream, stopped.clone()));
    }
    for _ in 0..2 {
        everyone.spawn(reads(server.clone(), stopped.clone()));
    }
    for (number, by) in [(2, 10), (3, 100), (4, 1_000)] {
        define(&server, "sums", &counting(by)).await.expect(200);
        if at_once {
            let activate = format!("{}/revisions/{number}/activate", path("sums"));
            server.post(&activate, &json!({})).await.expect(200);
        }
        let active = |of: &Value| of["revision"] == number && of["status"] == "live";
        tokio::time::timeout(Duration::from_secs(60), until(&server, "sums", active))
            .await
            .expect("it takes over");
    }
    stop.send_replace(true);
    everyone.join_all().await.into_iter().flatten().collect()
}

async fn nobody_notices_that_a_definition_changes(store: TestStore) {
    assert_eq!(complaints(store, false).await, Vec::<String>::new());
}

/// The control: one that has not caught up is noticed.
async fn one_that_answers_too_early_is_noticed(store: TestStore) {
    assert_ne!(complaints(store, true).await, Vec::<String>::new());
}

on_each_store!(nobody_notices_that_a_definition_changes, one_that_answers_too_early_is_noticed);
