//! Projectors whose events fail, one that parks and one that halts, and somebody who decides about each failure, through
//! kills of servers and of workers: in the end each good event is applied once, each odd one skipped once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::counts::{PATIENCE, WRITERS, log, miscounted, put, write};
use crate::support::{client::client, process::Process};

/// The projectors, by what they do about an event that fails.
const PROJECTORS: [&str; 2] = ["park", "halt"];
/// What is published in a round before anything is decided. Some of it is odd; more comes only once all of it is decided, so
/// that what waits in the end does not grow with the time that servers take to start.
const FLOW: usize = 10;
/// More is odd to these projectors.
const GOOD_MAX: i64 = 9;

/// What was found in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) events: usize,
    /// Decisions that were taken, and events skipped.
    pub(crate) decisions: u32,
    pub(crate) skipped: usize,
    /// Kills of workers.
    pub(crate) workers: u32,
    pub(crate) wrong: Vec<String>,
}

fn definition(on_error: &str) -> String {
    format!(
        "export default {{
          source: {{ category: 'counted' }}, initial_state: {{ n: 0, sum: 0 }}, limits: {{ batch_events: 7 }}, on_error: '{on_error}',
          handlers: {{ '*': (s, {{ payload }}) => {{
            if (payload > {GOOD_MAX}) throw new Error('odd');
            return {{ n: s.n + 1, sum: s.sum + payload }};
          }} }} }};"
    )
}

/// Runs so many rounds of: start, publish, decide, kill. Then holds what was done against what was published.
#[expect(clippy::disallowed_methods, reason = "the writers are clients, outside any service")]
pub(crate) async fn storm(rounds: u32, start: impl Fn() -> Process) -> Verdict {
    let (client, mut verdict) = (client(), Verdict::default());
    for round in 0..rounds {
        let mut server = start();
        let base = server.url.clone();
        for name in PROJECTORS {
            put(&client, &base, name, definition(name)).await;
        }
        let acks = Arc::new(watch::Sender::new(0_u32));
        let may = Arc::new(Semaphore::new(FLOW));
        let write = |n| write(n, base.clone(), may.clone(), acks.clone());
        let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(write(n))).collect();
        let decided = Arc::new(watch::Sender::new(0_u32));
        let decider = tokio::spawn(decide(base.clone(), decided.clone(), may.clone()));
        let mut decisions = decided.subscribe();
        // Killed after one more decision each time.
        for number in 1..=1 + round % 4 {
            let enough = async {
                while *decisions.borrow_and_update() < number {
                    decisions.changed().await.expect("somebody decides");
                }
            };
            timeout(PATIENCE, enough).await.expect("something is odd, and decided");
            verdict.workers += u32::from(number == 2 && server.signal_workers("KILL"));
        }
        server.kill();
        may.close();
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
        decider.await.expect("who decides ends with the server");
        verdict.decisions += *decisions.borrow();
    }
    let server = start();
    judge(&client, &server, &mut verdict).await;
    verdict
}

/// Decides about whatever failed, until the server is gone: what is odd is skipped, what is not, or once in a while any of
/// it, is tried again. Once nothing is left, one publish more may be made.
async fn decide(base: String, decided: Arc<watch::Sender<u32>>, may: Arc<Semaphore>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let client = client();
    loop {
        let mut left = false;
        for projector in PROJECTORS {
            let Some(revision) = revision(&client, &base, projector).await else { return };
            let parked = revision["parked"]["entries"].as_array().into_iter().flatten();
            let parked = parked.map(|one| (one["id"].as_str(), &one["fault"]));
            let halted = revision.get("fault").map(|fault| (None, fault));
            left |= revision["lag"]["events"] != 0;
            for (id, fault) in parked.chain(halted) {
                left = true;
                let odd = fault["message"].as_str().is_some_and(|message| message.contains("odd"));
                let event = fault["event_id"].as_str().expect("it is told");
                let action = if odd && NEXT.fetch_add(1, Ordering::Relaxed) % 5 != 4 {
                    format!("skip?event_id={event}&")
                } else {
                    "retry?".to_owned()
                };
                let id = id.map_or(String::new(), |id| format!("id={id}"));
                let path = log(&base, &format!("/projectors/{projector}/{action}{id}"));
                let Ok(answer) = client.post(path.trim_end_matches(['?', '&'])).send().await else {
                    return;
                };
                match answer.status().as_u16() {
                    200 => decided.send_modify(|decided| *decided += 1),
                    // It was decided before.
                    409 => {}
                    status => assert!(status >= 500, "{answer:?}"),
                }
            }
        }
        if !left {
            may.add_permits(1);
        }
    }
}

/// The revision that answers; nothing if the server is gone.
async fn revision(client: &Client, base: &str, projector: &str) -> Option<Value> {
    let response = client.get(log(base, &format!("/projectors/{projector}"))).send().await.ok()?;
    let mut found = response.json::<Value>().await.ok()?;
    Some(found["revisions"][0].take())
}

/// Waits until all is decided and applied, and notes what is not as it is due.
#[expect(clippy::disallowed_methods, reason = "who decides is a client, outside any service")]
async fn judge(client: &Client, server: &Process, verdict: &mut Verdict) {
    let base = &server.url;
    let decider = tokio::spawn(decide(
        base.clone(),
        Arc::new(watch::Sender::new(0)),
        Arc::new(Semaphore::new(0)),
    ));
    let export = client.get(log(base, "/export")).send().await.expect("it exports");
    let export = export.text().await.expect("it is whole");
    let events: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    verdict.events = events.len();
    let is_good = |event: &&Value| event["payload"].as_i64() <= Some(GOOD_MAX);
    let good: Vec<Value> = events.iter().filter(is_good).cloned().collect();
    let last = &events.last().expect("there are events")["sequence_number"];
    for projector in PROJECTORS {
        let done = async {
            loop {
                let told = revision(client, base, projector).await.expect("it is there");
                if &told["sequence_number"] == last
                    && told["status"] == "live"
                    && told["parked"]["ids"] == 0
                {
                    return told;
                }
            }
        };
        let told = timeout(PATIENCE, done).await.expect("all of it is decided");
        let skipped = told["skipped"].as_array().expect("they are told");
        verdict.skipped += skipped.len();
        let mut times: BTreeMap<&str, i32> = BTreeMap::new();
        for skipped in skipped {
            *times.entry(skipped["event_id"].as_str().expect("an id")).or_default() += 1;
        }
        for event in &events {
            let id = event["id"].as_str().expect("an id");
            let (found, due) = (times.get(id).copied().unwrap_or(0), i32::from(!is_good(&event)));
            if found != due {
                verdict.wrong.push(format!("{projector}: {event} skipped {found} times"));
            }
        }
        let reached = format!("/projections/{projector}/search?min_sequence_number={last}&wait=30");
        let page = client.post(log(base, &reached)).json(&json!({"page": {"limit": 100}}));
        let page: Value = page.send().await.expect("it is found").json().await.expect("JSON");
        let wrong = miscounted(&good, page["entries"].as_array().expect("entries"));
        verdict.wrong.extend(wrong.into_iter().map(|one| format!("{projector}: {one}")));
    }
    decider.abort();
}
