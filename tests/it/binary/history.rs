//! What clients saw of some servers, and what it is held against.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::support::{client::client, frames::Frames};

/// Streams that anybody appends to, and streams that are only written by compare-and-set.
const OPEN: u32 = 8;
const REGISTERS: u32 = 4;

/// How long a client goes from server to server with one request.
const PATIENCE: Duration = Duration::from_secs(120);

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    urls: Mutex<BTreeMap<usize, String>>,
    seen: Mutex<Seen>,
    /// How many events there are in the end; 0 while that is not known.
    end: AtomicUsize,
}

#[derive(Debug, Default)]
struct Seen {
    acked: HashMap<String, Place>,
    refused: usize,
    resent: usize,
    /// The largest position acknowledged of each register.
    registers: HashMap<String, i64>,
    /// What broke a promise.
    told: Vec<String>,
    /// Answers that contradict another.
    nonlinear: usize,
    moved: usize,
}

type Place = (String, i64, i64);

/// What was found in the end.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) acked: usize,
    pub(crate) refused: usize,
    pub(crate) resent: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) holes: usize,
    pub(crate) moved: usize,
    pub(crate) skipped: usize,
    pub(crate) nonlinear: usize,
    pub(crate) told: Vec<String>,
}

impl Verdict {
    pub(crate) fn faults(&self) -> usize {
        self.lost + self.doubled + self.holes + self.moved + self.skipped + self.nonlinear
    }
}

impl History {
    /// A server is somewhere else now.
    pub(crate) fn moved(&self, node: usize, url: &str) {
        self.urls.lock().expect("nobody panicked").insert(node, url.to_owned());
    }

    /// So many events there are: tails end with the last.
    pub(crate) fn ended(&self, count: usize) {
        self.end.store(count, Ordering::SeqCst);
    }

    fn url(&self, turn: usize) -> String {
        let urls = self.urls.lock().expect("nobody panicked");
        urls.values().nth(turn % urls.len()).cloned().expect("there are servers")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked")
    }

    /// Every event, by any server that answers.
    pub(crate) async fn stored(&self) -> Vec<Value> {
        for turn in 0.. {
            let url = format!("{}/v1/logs/default/export", self.url(turn));
            if let Ok(response) = client().get(url).send().await
                && let Ok(text) = response.text().await
                && !text.is_empty()
            {
                return text
                    .lines()
                    .map(|line| serde_json::from_str(line).expect("JSON"))
                    .collect();
            }
            tokio::task::yield_now().await;
        }
        Vec::new()
    }

    pub(crate) fn judge(&self, stored: &[Value], followed: &[Vec<i64>]) -> Verdict {
        let seen = self.seen();
        let mut found: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
        let mut last: HashMap<&str, i64> = HashMap::new();
        let mut holes = 0;
        for (event, due) in stored.iter().zip(1_i64..) {
            let stream = event["stream"].as_str().expect("a stream");
            let number = |name: &str| event[name].as_i64().expect("a number");
            let (position, sequence) = (number("position"), number("sequence_number"));
            let expected = last.insert(stream, position).map_or(0, |last| last + 1);
            holes += usize::from(sequence != due) + usize::from(position != expected);
            let id = event["id"].as_str().expect("an id");
            found.entry(id).or_default().push((stream.to_owned(), position, sequence));
        }
        let kept = |(id, place): &(&String, &Place)| {
            found.get(id.as_str()).is_some_and(|places| places.contains(place))
        };
        let whole: Vec<i64> = (1..).take(stored.len()).collect();
        Verdict {
            acked: seen.acked.len(),
            refused: seen.refused,
            resent: seen.resent,
            lost: seen.acked.iter().filter(|acked| !kept(acked)).count(),
            doubled: found.values().filter(|places| places.len() > 1).count(),
            holes,
            moved: seen.moved,
            skipped: followed.iter().filter(|followed| **followed != whole).count(),
            nonlinear: seen.nonlinear,
            told: seen.told.clone(),
        }
    }
}

/// One request, until it is settled.
struct Publish {
    stream: String,
    body: Value,
    /// The position that it expects of a register: −1 of an empty one.
    expected: Option<i64>,
}

/// Publishes until it is time to stop, each request until it is settled.
#[expect(clippy::disallowed_methods, reason = "the clients bring their ids")]
pub(crate) async fn write(
    writer: u32,
    history: &History,
    count: &watch::Sender<u64>,
    stopped: &watch::Receiver<bool>,
) {
    let client = client();
    let mut number = 0;
    while !*stopped.borrow() {
        number += 1;
        let event = |i| json!({"id": Uuid::new_v4().to_string(), "name": "e", "payload": [writer, number, i]});
        let publish = if number % 3 == 0 {
            let stream = format!("r{}", (number / 3 + writer) % REGISTERS);
            let expected = history.seen().registers.get(&stream).copied().unwrap_or(-1);
            Publish { stream, body: json!({"events": [event(0)]}), expected: Some(expected) }
        } else {
            let events: Vec<Value> = (0..=number % 3).map(event).collect();
            let stream = format!("s{}", (number * 7 + writer) % OPEN);
            Publish { stream, body: json!({ "events": events }), expected: None }
        };
        settle(&client, history, &publish, usize::try_from(number + writer).expect("a count"))
            .await;
        count.send_modify(|acks| *acks += 1);
    }
}

/// Sends a request until it is answered for certain, to one server after another.
async fn settle(client: &Client, history: &History, publish: &Publish, first: usize) {
    let until = Instant::now() + PATIENCE;
    for turn in first.. {
        assert!(Instant::now() < until, "no server answers for certain");
        let floor = history.seen().registers.get(&publish.stream).copied().unwrap_or(-1);
        let base = history.url(turn);
        let url =
            format!("{base}/v1/logs/default/categories/chaos/streams/{}/events", publish.stream);
        let request = client.post(url).json(&publish.body);
        let request = match publish.expected {
            None => request,
            Some(-1) => request.header("if-none-match", "*"),
            Some(expected) => request.header("if-match", format!("\"{expected}\"")),
        };
        // A server that is stopped does not answer for a while.
        let request = request.timeout(Duration::from_secs(3)).send();
        let answered = match request.await {
            Ok(response) => {
                let status = response.status();
                response.json::<Value>().await.ok().map(|body| (status, body))
            }
            Err(_) => None,
        };
        if history.seen().take(publish, floor, answered) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

impl Seen {
    /// Whether an answer settles the request.
    fn take(
        &mut self,
        publish: &Publish,
        floor: i64,
        answered: Option<(StatusCode, Value)>,
    ) -> bool {
        match answered {
            Some((StatusCode::CREATED | StatusCode::OK, ack)) => self.note(publish, &ack),
            Some((StatusCode::PRECONDITION_FAILED, problem)) => {
                self.refuse(publish, floor, &problem);
            }
            Some((status, problem)) if !status.is_server_error() => {
                self.nonlinear += 1;
                self.told.push(format!("{status} to {}: {problem}", publish.stream));
            }
            _ => {
                self.resent += 1;
                return false;
            }
        }
        true
    }

    fn note(&mut self, publish: &Publish, ack: &Value) {
        for event in ack["events"].as_array().expect("an ack lists its events") {
            let number = |name: &str| event[name].as_i64().expect("a number");
            let place = (publish.stream.clone(), number("position"), number("sequence_number"));
            let id = event["id"].as_str().expect("an id").to_owned();
            if self.acked.insert(id, place.clone()).is_some_and(|before| before != place) {
                self.moved += 1;
            }
            let Some(expected) = publish.expected else { continue };
            if place.1 != expected + 1 {
                self.nonlinear += 1;
                self.told.push(format!("{place:?} written where {expected} was expected"));
            }
            let last = self.registers.entry(publish.stream.clone()).or_insert(-1);
            *last = place.1.max(*last);
        }
    }

    /// A refusal must be true: another position, and not one from before the request was sent.
    fn refuse(&mut self, publish: &Publish, floor: i64, problem: &Value) {
        self.refused += 1;
        let actual = problem["actual_position"].as_i64().unwrap_or(-1);
        if Some(actual) == publish.expected || actual < floor {
            self.nonlinear += 1;
            self.told.push(format!("{floor} was acknowledged before, and then: {problem}"));
        }
        // The writer learns what it had not known.
        let last = self.registers.entry(publish.stream.clone()).or_insert(-1);
        *last = actual.max(*last);
    }
}

/// Follows the log through whatever server is there; the sequence numbers in the order they came.
pub(crate) async fn follow(
    number: usize,
    history: &History,
    stopped: &watch::Receiver<bool>,
) -> Vec<i64> {
    let (client, mut numbers, mut last) = (client(), Vec::new(), None::<String>);
    for turn in number.. {
        let mut request = client.get(format!("{}/v1/logs/default/tail", history.url(turn)));
        if let Some(id) = &last {
            request = request.header("last-event-id", id);
        }
        let Ok(response) = request.send().await else { continue };
        if response.status() != StatusCode::OK {
            tokio::task::yield_now().await;
            continue;
        }
        let mut frames = Frames::of(response);
        // A server that is stopped sends nothing, and its tails go elsewhere.
        let patience = Duration::from_secs(2);
        while let Ok(Some(frame)) = tokio::time::timeout(patience, frames.next()).await {
            if frame.event.is_empty() {
                numbers.push(frame.data["sequence_number"].as_i64().expect("an event"));
            }
            last = frame.id.or(last);
            let end = history.end.load(Ordering::SeqCst);
            if *stopped.borrow() && end > 0 && numbers.len() >= end {
                return numbers;
            }
        }
        let end = history.end.load(Ordering::SeqCst);
        if *stopped.borrow() && end > 0 && numbers.len() >= end {
            return numbers;
        }
    }
    numbers
}

/// The control: what the judge is for, it sees.
#[test]
fn each_broken_promise_is_counted() {
    let event = |id: &str, stream: &str, position: i64, sequence: i64| json!({"id": id, "stream": stream, "position": position, "sequence_number": sequence});
    let stored = [event("a", "r", 0, 1), event("b", "r", 1, 2), event("c", "s", 0, 3)];
    let register = Publish { stream: "r".to_owned(), body: Value::Null, expected: Some(0) };
    let open = Publish { stream: "s".to_owned(), body: Value::Null, expected: None };
    let judge = |stored: &[Value], followed: &[i64], more: &dyn Fn(&mut Seen)| {
        let history = History::default();
        history.seen().note(&register, &json!({"events": [event("b", "r", 1, 2)]}));
        history.seen().note(&open, &json!({"events": [event("c", "s", 0, 3)]}));
        more(&mut history.seen());
        history.judge(stored, &[followed.to_vec()])
    };
    let nothing = |_: &mut Seen| {};
    assert_eq!(judge(&stored, &[1, 2, 3], &nothing).faults(), 0);
    assert_eq!(judge(&stored[..2], &[1, 2], &nothing).lost, 1);
    let twice = [&stored[..], &[event("c", "s", 1, 4)]].concat();
    assert_eq!(judge(&twice, &[1, 2, 3, 4], &nothing).doubled, 1);
    let hole = [stored[0].clone(), stored[1].clone(), event("c", "s", 0, 4)];
    assert_eq!(judge(&hole, &[1, 2, 3], &nothing).holes, 1);
    for followed in [[1, 3].as_slice(), &[1, 2, 2, 3], &[2, 1, 3]] {
        assert_eq!(judge(&stored, followed, &nothing).skipped, 1);
    }
    let moved = |seen: &mut Seen| seen.note(&open, &json!({"events": [event("c", "s", 1, 5)]}));
    assert_eq!(judge(&stored, &[1, 2, 3], &moved).moved, 1);
    for problem in [json!({"actual_position": 0}), json!({}), json!({"actual_position": 1})] {
        let floor = if problem["actual_position"] == 1 { 2 } else { -1 };
        let refuse = |seen: &mut Seen| seen.refuse(&register, floor, &problem);
        let expected = usize::from(problem != json!({}));
        assert_eq!(judge(&stored, &[1, 2, 3], &refuse).nonlinear, expected, "{problem}");
    }
    let elsewhere = |seen: &mut Seen| {
        seen.note(&register, &json!({"events": [event("d", "r", 5, 9)]}));
    };
    assert_eq!(judge(&stored, &[1, 2, 3], &elsewhere).nonlinear, 1);
}
