//! A storm of publishes against a server that is killed again and again, and the verdict.
//!
//! An event counts as acknowledged once its answer was read whole. What got no answer is sent again
//! with the same ids after the restart.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::support::{client::client, process::Process};

const WRITERS: u32 = 8;
const STREAMS: u32 = 12;

/// What a storm has seen.
#[derive(Debug, Default)]
struct Seen {
    /// Acknowledged events: id → stream, position, sequence number.
    acked: HashMap<String, (String, i64, i64)>,
    /// Requests without an answer: stream and body.
    unsure: Vec<(String, Value)>,
}

/// What was found in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) acked: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) holes: usize,
}

/// Runs so many rounds of: start, publish, kill. Then holds the store against what was seen.
#[expect(clippy::disallowed_methods, reason = "the writers are clients, outside any service")]
pub(crate) async fn storm(kills: u32, start: impl Fn() -> Process) -> Verdict {
    let seen = Arc::new(Mutex::new(Seen::default()));
    for round in 0..kills {
        let mut server = start();
        settle(&server.url, &seen).await;
        let (count, mut acks) = watch::channel(0_u32);
        let count = Arc::new(count);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (seen, url, count) = (seen.clone(), server.url.clone(), count.clone());
                tokio::spawn(async move { write(writer, &url, &seen, &count).await })
            })
            .collect();
        drop(count);
        // Killed in the middle of things, after another number of acknowledgements each time.
        let enough = 1 + (round * 37) % 61;
        acks.wait_for(|acks| *acks >= enough).await.expect("the writers go on");
        server.kill();
        for writer in writers {
            writer.await.expect("a writer ends with its server");
        }
    }
    let server = start();
    settle(&server.url, &seen).await;
    let seen = std::mem::take(&mut *seen.lock().expect("nobody panicked"));
    judge(&seen, &export(&server.url).await)
}

fn events_url(base: &str, stream: &str) -> String {
    format!("{base}/v1/logs/default/categories/storm/streams/{stream}/events")
}

/// Publishes until the server is gone.
async fn write(writer: u32, base: &str, seen: &Mutex<Seen>, acks: &watch::Sender<u32>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let client = client();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stream = format!("s{}", (number * 7 + writer) % STREAMS);
        let count = 1 + number % 3;
        let events: Vec<_> = (0..count).map(|i| event(number, i)).collect();
        let body = json!({ "events": events });
        let request = client.post(events_url(base, &stream)).json(&body).send();
        let answer = match request.await {
            Ok(response) => response.json::<Value>().await.ok(),
            Err(_) => None,
        };
        let mut seen = seen.lock().expect("nobody panicked");
        let Some(ack) = answer.filter(|answer| answer.get("replayed").is_some()) else {
            seen.unsure.push((stream, body));
            return;
        };
        seen.note(&stream, &ack);
        acks.send_modify(|acks| *acks += 1);
    }
}

#[expect(clippy::disallowed_methods, reason = "the storm is a client, which brings its ids")]
fn event(number: u32, index: u32) -> Value {
    json!({ "id": Uuid::new_v4().to_string(), "name": "blown", "payload": [number, index] })
}

impl Seen {
    fn note(&mut self, stream: &str, ack: &Value) {
        for event in ack["events"].as_array().expect("an ack lists its events") {
            let number = |name: &str| event[name].as_i64().expect("a number");
            let place = (stream.to_owned(), number("position"), number("sequence_number"));
            let id = event["id"].as_str().expect("an id").to_owned();
            self.acked.insert(id, place);
        }
    }
}

/// Sends what got no answer again, the same.
async fn settle(base: &str, seen: &Mutex<Seen>) {
    let unsure = std::mem::take(&mut seen.lock().expect("nobody panicked").unsure);
    for (stream, body) in unsure {
        let response = client().post(events_url(base, &stream)).json(&body).send().await;
        let response = response.expect("the server is there");
        assert!(matches!(response.status(), StatusCode::OK | StatusCode::CREATED), "{response:?}");
        let ack = response.json().await.expect("an ack is JSON");
        seen.lock().expect("nobody panicked").note(&stream, &ack);
    }
}

async fn export(base: &str) -> Vec<Value> {
    let response = client().get(format!("{base}/v1/logs/default/export")).send().await;
    let text = response.expect("it exports").text().await.expect("a whole export");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn judge(seen: &Seen, stored: &[Value]) -> Verdict {
    let mut found: BTreeMap<&str, Vec<(String, i64, i64)>> = BTreeMap::new();
    let mut last: HashMap<&str, i64> = HashMap::new();
    let mut holes = 0;
    for (index, event) in stored.iter().enumerate() {
        let stream = event["stream"].as_str().expect("a stream");
        let number = |name: &str| event[name].as_i64().expect("a number");
        let (position, sequence) = (number("position"), number("sequence_number"));
        holes += usize::from(sequence != i64::try_from(index).expect("a count") + 1);
        let expected = last.get(stream).map_or(0, |last| last + 1);
        holes += usize::from(position != expected);
        last.insert(stream, position);
        let place = (stream.to_owned(), position, sequence);
        found.entry(event["id"].as_str().expect("an id")).or_default().push(place);
    }
    let kept = |(id, place): &(&String, &(String, i64, i64))| {
        found.get(id.as_str()).is_some_and(|places| places.contains(place))
    };
    Verdict {
        acked: seen.acked.len(),
        lost: seen.acked.iter().filter(|acked| !kept(acked)).count(),
        doubled: found.values().filter(|places| places.len() > 1).count(),
        holes,
    }
}
