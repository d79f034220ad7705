//! A projector that counts, through kills of servers and of workers: in the end it has counted each event once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::support::{client::client, process::Process};

pub(super) const WRITERS: u32 = 3;
const STREAMS: u32 = 5;
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What was found in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) events: usize,
    /// Kills of servers, and of workers.
    pub(crate) servers: u32,
    pub(crate) workers: u32,
    pub(crate) miscounted: Vec<String>,
}

pub(super) fn log(base: &str, rest: &str) -> String {
    format!("{base}/v1/logs/default{rest}")
}

/// The definition; each number is another revision.
fn definition(number: u32) -> String {
    format!(
        "export default {{ // {number}
          source: {{ category: 'counted' }}, initial_state: {{ n: 0, sum: 0 }}, limits: {{ batch_events: 7 }},
          handlers: {{ '*': (s, {{ payload }}) => ({{ n: s.n + 1, sum: s.sum + payload }}) }} }};"
    )
}

pub(super) async fn define(client: &Client, base: &str, number: u32) {
    put(client, base, "counts", definition(number)).await;
}

/// Puts a definition, as often as it takes: the store may not be there for a moment.
pub(super) async fn put(client: &Client, base: &str, name: &str, definition: String) {
    let defined = async {
        loop {
            let put = client.put(log(base, &format!("/projectors/{name}")));
            let put = put.header("content-type", "text/javascript").body(definition.clone());
            let status = put.send().await.expect("the server is there").status();
            if status.is_success() {
                return;
            }
            assert!(status.is_server_error(), "{status}");
        }
    };
    timeout(PATIENCE, defined).await.expect("it is defined");
}

/// Publishes as often as it may, until the server is gone. What was not answered may be there, or not: the export tells.
pub(super) async fn write(
    writer: u32,
    base: String,
    may: Arc<Semaphore>,
    acks: Arc<watch::Sender<u32>>,
) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let client = client();
    while let Ok(permit) = may.acquire().await {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/categories/counted/streams/s{}/events", (number + writer) % STREAMS);
        let events: Vec<Value> =
            (0..=number % 3).map(|i| json!({"name": "e", "payload": number % 10 + i})).collect();
        let request = client.post(log(&base, &path)).json(&json!({ "events": events }));
        match request.send().await {
            Ok(response) if response.status().is_success() => {
                permit.forget();
                acks.send_modify(|acks| *acks += 1);
            }
            Ok(response) => assert!(response.status().is_server_error(), "{response:?}"),
            Err(_) => return,
        }
    }
}

/// How many events the newest revision has applied; nothing if the server does not tell.
pub(super) async fn applied(client: &Client, base: &str) -> Option<i64> {
    let response = client.get(log(base, "/projectors/counts")).send().await.ok()?;
    let found = response.json::<Value>().await.ok()?;
    let newest = found["revisions"].as_array()?.iter().max_by_key(|one| one["revision"].as_i64());
    newest?["events"].as_i64()
}

/// Runs so many rounds of: start, publish, kill. Then holds what was counted against what was published.
#[expect(clippy::disallowed_methods, reason = "the writers are clients, outside any service")]
pub(crate) async fn storm(rounds: u32, start: impl Fn() -> Process) -> Verdict {
    let (client, mut verdict) = (client(), Verdict::default());
    for round in 0..rounds {
        let mut server = start();
        let base = server.url.clone();
        // A new revision is built beside the other, through kills.
        if round % 7 == 0 {
            define(&client, &base, round).await;
        }
        let before = applied(&client, &base).await.expect("it is told");
        let (count, mut acks) = watch::channel(0_u32);
        let (count, may) = (Arc::new(count), Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let write = |n| write(n, base.clone(), may.clone(), count.clone());
        let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(write(n))).collect();
        drop(count);
        let enough = 1 + (round * 37) % 23;
        acks.wait_for(|acks| *acks >= enough).await.expect("the writers go on");
        // Killed while something is under way.
        let goes_on = async {
            while applied(&client, &base).await.is_none_or(|applied| applied <= before) {}
        };
        timeout(PATIENCE, goes_on).await.expect("it counts");
        if server.signal_workers("KILL") {
            verdict.workers += 1;
            acks.wait_for(|acks| *acks >= enough + 3).await.expect("the writers go on");
        }
        server.kill();
        verdict.servers += 1;
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
    }
    let server = start();
    let last = rounds.saturating_sub(1) / 7 * 7;
    (verdict.events, verdict.miscounted) = judge(&client, &server.url, last).await;
    verdict
}

/// Waits until all was counted by the last definition. How many events there are, and the entries that are not what
/// they make of them.
pub(super) async fn judge(client: &Client, base: &str, last: u32) -> (usize, Vec<String>) {
    let export = client.get(log(base, "/export")).send().await.expect("it exports");
    let export = export.text().await.expect("it is whole");
    let events: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut reached = 0;
    loop {
        // As long as it goes on it may take its time.
        let counted = async {
            loop {
                let found = client.get(log(base, "/projectors/counts")).send().await;
                let found: Value = found.expect("it is there").json().await.expect("JSON");
                assert!(found["status"] != "faulted", "{found}");
                let revisions = found["revisions"].as_array().expect("they are told");
                let newest = revisions.iter().find(|one| one["definition"] == definition(last));
                let newest = newest.expect("it is there");
                let counted = newest["events"].as_u64().expect("a number");
                if counted > reached || newest["standing"] == "active" {
                    return (counted, newest["standing"] == "active");
                }
            }
        };
        let (counted, active) = timeout(PATIENCE, counted).await.expect("it goes on");
        if active && Some(counted) == u64::try_from(events.len()).ok() {
            break;
        }
        reached = counted;
    }
    // With the last event: what answers is known in a moment, and waited for.
    let last = events.last().expect("there are events")["sequence_number"].clone();
    let reached = format!("/projections/counts/search?min_sequence_number={last}&wait=30");
    let page = client.post(log(base, &reached));
    let page = page.json(&json!({"page": {"limit": 100}})).send().await.expect("it is found");
    let page: Value = page.json().await.expect("JSON");
    let miscounted = miscounted(&events, page["entries"].as_array().expect("entries"));
    (events.len(), miscounted)
}

/// The entries that are not what their events make of them.
pub(super) fn miscounted(events: &[Value], entries: &[Value]) -> Vec<String> {
    let mut model: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for event in events {
        let (n, sum) = model.entry(event["stream"].as_str().expect("a stream")).or_default();
        (*n, *sum) = (*n + 1, *sum + event["payload"].as_i64().expect("a number"));
    }
    let due = model.iter().map(|(id, (n, sum))| format!("{id} n {n} sum {sum} v{n}"));
    let told = |entry: &Value| {
        let state = &entry["state"];
        let id = entry["id"].as_str().expect("an id");
        format!("{id} n {} sum {} v{}", state["n"], state["sum"], entry["version"])
    };
    let (due, found): (Vec<String>, Vec<String>) =
        (due.collect(), entries.iter().map(told).collect());
    let all = due.iter().chain(&found);
    all.filter(|one| !due.contains(one) || !found.contains(one)).cloned().collect()
}

/// The control: what the judge is for, it sees.
#[test]
fn each_miscount_is_seen() {
    let event = |by: i64| json!({"stream": "a", "payload": by});
    let entry = |n: i64, sum: i64, version: i64| json!({"id": "a", "version": version, "state": {"n": n, "sum": sum}});
    let events = [event(1), event(2)];
    assert_eq!(miscounted(&events, &[entry(2, 3, 2)]), Vec::<String>::new());
    for wrong in [
        vec![],
        vec![entry(3, 5, 3)],
        vec![entry(2, 2, 2)],
        vec![entry(2, 3, 3)],
        vec![entry(1, 1, 1)],
    ] {
        assert_ne!(miscounted(&events, &wrong), Vec::<String>::new(), "{wrong:?}");
    }
}
