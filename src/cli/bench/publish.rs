//! `everlog bench publish`: each client sends a publish, waits for its answer, and sends the next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::Args;
use hyper::{
    StatusCode, Uri,
    body::Bytes,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};

use super::{
    body::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Shape},
    connection::{Connection, refusal},
    latency::Latencies,
    report::{Figures, Publishes},
    server::Server,
    window::{Times, Window},
};

/// How many of its last requests a client may repeat.
const REMEMBERED: usize = 16;
/// How long to wait before a lost connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// The settings of `everlog bench publish`.
#[derive(Debug, Clone, Args, Serialize)]
pub(in crate::cli) struct Settings {
    /// Clients, each with a connection
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Events in each publish
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Bytes of JSON in each event's payload
    #[arg(long, default_value_t = 200, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(i64::from(PAYLOAD_BYTES_MIN)..=i64::from(PAYLOAD_BYTES_MAX)))]
    payload_bytes: u32,
    /// After so many publishes a client begins a new stream
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stream_appends: u32,
    /// Each publish states the stream's position, as If-Match or If-None-Match
    #[arg(long)]
    if_match: bool,
    /// So many of a hundred requests repeat an earlier one, with the same ids
    #[arg(long, default_value_t = 0, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..100))]
    replays: u32,
    /// Categories to spread the streams over, so that all lanes of a log are used
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    categories: u32,
    #[command(flatten)]
    times: Times,
}

pub(super) async fn publish(server: &Server, settings: &Settings) -> anyhow::Result<Figures> {
    let connections = server.connections(settings.clients).await?;
    let window = Window::new(settings.times);
    let load = Arc::new(Load {
        shape: Shape::new(settings.payload_bytes, settings.replays > 0),
        settings: settings.clone(),
        server: server.clone(),
        window,
        tally: Tally::new()?,
    });
    let mut clients = JoinSet::new();
    for (index, connection) in (0..).zip(connections) {
        clients.spawn(Client::new(load.clone(), index, connection)?.run());
    }
    let tally = &load.tally;
    let cores = window.watch(server.process(), || tally.events.load(Relaxed)).await?;
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let requests = tally.requests.load(Relaxed);
    let rate = |count: u64| per_second(count, window);
    Ok(Figures::Publish(Publishes {
        seconds: window.seconds(),
        requests,
        requests_per_second: rate(requests),
        events_per_second: rate(tally.events.load(Relaxed)),
        replays: tally.replays.load(Relaxed),
        latency_us: tally.latencies.percentiles(),
        asked_to_wait: tally.asked_to_wait.load(Relaxed),
        errors: tally.errors(),
        cores,
        client_cpu_us_per_request: cores
            .client_cpu
            .map(|cpu| cpu.as_secs_f64() * 1e6 / float(requests)),
    }))
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

pub(super) fn per_second(count: u64, window: Window) -> f64 {
    float(count) / window.seconds()
}

/// What all clients share.
struct Load {
    settings: Settings,
    shape: Shape,
    server: Server,
    window: Window,
    tally: Tally,
}

/// What was counted.
struct Tally {
    requests: AtomicU64,
    events: AtomicU64,
    replays: AtomicU64,
    asked_to_wait: AtomicU64,
    latencies: Latencies,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            requests: AtomicU64::new(0),
            events: AtomicU64::new(0),
            replays: AtomicU64::new(0),
            asked_to_wait: AtomicU64::new(0),
            latencies: Latencies::new()?,
            errors: Mutex::default(),
        })
    }

    fn fault(&self, code: String) {
        if let Ok(mut errors) = self.errors.lock() {
            *errors.entry(code).or_default() += 1;
        }
    }

    fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().map(|errors| errors.clone()).unwrap_or_default()
    }
}

/// A request that can be sent, and sent again.
#[derive(Clone)]
struct Publish {
    uri: Uri,
    body: Bytes,
    condition: Option<(HeaderName, HeaderValue)>,
    /// The position that its last event must get.
    position: u64,
}

struct Client {
    load: Arc<Load>,
    index: u32,
    connection: Connection,
    /// Streams begun before this one.
    streams: u32,
    /// Publishes to this stream.
    appends: u32,
    uri: Uri,
    numbers: u64,
    recent: VecDeque<Publish>,
    /// Percents of a replay that are owed.
    owed: u32,
}

impl Client {
    fn new(load: Arc<Load>, index: u32, connection: Connection) -> anyhow::Result<Self> {
        let recent = VecDeque::new();
        let uri = Uri::default();
        let mut client = Self {
            load,
            index,
            connection,
            streams: 0,
            appends: 0,
            uri,
            numbers: 0,
            recent,
            owed: 0,
        };
        client.begin_stream()?;
        Ok(client)
    }

    fn begin_stream(&mut self) -> anyhow::Result<()> {
        let server = &self.load.server;
        let which = (self.index + self.streams) % self.load.settings.categories;
        let category = format!("{}-{which}", server.fresh_category());
        let stream = format!("{}-{}", self.index, self.streams);
        self.uri = server.stream(&category, &stream, "/events")?;
        self.streams += 1;
        self.appends = 0;
        Ok(())
    }

    async fn run(mut self) -> anyhow::Result<()> {
        while Instant::now() < self.load.window.until {
            if let Some(earlier) = self.replay() {
                self.finish(&earlier, true).await?;
            } else {
                let fresh = self.fresh()?;
                self.finish(&fresh, false).await?;
            }
        }
        Ok(())
    }

    /// An earlier request, when one is due.
    fn replay(&mut self) -> Option<Publish> {
        self.owed += self.load.settings.replays;
        if self.owed < 100 {
            return None;
        }
        let newest = self.recent.len().checked_sub(1)?;
        self.owed -= 100;
        let age = usize::try_from(self.numbers).unwrap_or_default() % self.recent.len();
        self.recent.get(newest - age).cloned()
    }

    fn fresh(&mut self) -> anyhow::Result<Publish> {
        let settings = &self.load.settings;
        if self.appends == settings.stream_appends {
            self.begin_stream()?;
        }
        let settings = &self.load.settings;
        let batch = u64::from(settings.batch);
        let before = u64::from(self.appends) * batch;
        let condition = match before.checked_sub(1) {
            _ if !settings.if_match => None,
            None => Some((header::IF_NONE_MATCH, HeaderValue::from_static("*"))),
            Some(last) => Some((header::IF_MATCH, HeaderValue::try_from(format!("\"{last}\""))?)),
        };
        let body = self.load.shape.body(self.numbers, settings.batch);
        self.numbers += batch;
        self.appends += 1;
        Ok(Publish { uri: self.uri.clone(), body, condition, position: before + batch - 1 })
    }

    /// Sends a request until it is answered, and tells the tally.
    async fn finish(&mut self, publish: &Publish, replay: bool) -> anyhow::Result<()> {
        loop {
            let began = Instant::now();
            let outcome = match self.exchange(publish, replay).await {
                Ok(outcome) => outcome,
                Err(_) => self.reconnect().await,
            };
            let tally = &self.load.tally;
            match outcome {
                Outcome::Stored => {
                    self.count(began, replay);
                    if !replay && self.load.settings.replays > 0 {
                        if self.recent.len() == REMEMBERED {
                            self.recent.pop_front();
                        }
                        self.recent.push_back(publish.clone());
                    }
                    return Ok(());
                }
                Outcome::Busy(pause) => {
                    tally.asked_to_wait.fetch_add(1, Relaxed);
                    tokio::time::sleep(pause).await;
                    if Instant::now() >= self.load.window.until {
                        return Ok(());
                    }
                }
                Outcome::Fault(code) => {
                    tally.fault(code);
                    return self.begin_stream();
                }
            }
        }
    }

    fn count(&self, began: Instant, replay: bool) {
        let (tally, ended) = (&self.load.tally, Instant::now());
        if !self.load.window.holds(ended) {
            return;
        }
        tally.latencies.record(ended - began);
        tally.requests.fetch_add(1, Relaxed);
        if replay {
            tally.replays.fetch_add(1, Relaxed);
        } else {
            tally.events.fetch_add(u64::from(self.load.settings.batch), Relaxed);
        }
    }

    async fn exchange(&mut self, publish: &Publish, replay: bool) -> anyhow::Result<Outcome> {
        let mut request = self.connection.publish(publish.uri.clone(), publish.body.clone());
        if let Some((name, value)) = &publish.condition {
            request.headers_mut().insert(name, value.clone());
        }
        let mut answer = self.connection.send(request).await?;
        let wanted = if replay { StatusCode::OK } else { StatusCode::CREATED };
        if answer.status != wanted {
            let body = self.connection.whole(&mut answer).await?;
            return Ok(refused(answer.status, &answer.headers, &body));
        }
        if replay {
            let body = self.connection.whole(&mut answer).await?;
            let told = b"\"replayed\":true";
            if !body.windows(told.len()).any(|window| window == told) {
                return Ok(Outcome::Fault("not told to be a replay".to_owned()));
            }
        } else {
            self.connection.drain(&mut answer).await?;
        }
        let position = answer.headers.get(header::ETAG).and_then(position);
        Ok(match position {
            Some(position) if position == publish.position => Outcome::Stored,
            _ => Outcome::Fault("another position than expected".to_owned()),
        })
    }

    /// A lost connection may have stored its request or not: the client begins anew.
    async fn reconnect(&mut self) -> Outcome {
        tokio::time::sleep(RECONNECT_PAUSE).await;
        if let Ok(connection) = self.load.server.connect().await {
            self.connection = connection;
        }
        Outcome::Fault("connection lost".to_owned())
    }
}

enum Outcome {
    Stored,
    /// Nothing was written; to be tried again after a while.
    Busy(Duration),
    Fault(String),
}

/// What becomes of a request that was refused. A 503 says that nothing was written, but for one code.
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
    let told = refusal(status, body);
    let seconds = || headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok();
    match seconds() {
        Some(seconds)
            if status == StatusCode::SERVICE_UNAVAILABLE && !told.ends_with("outcome-unknown") =>
        {
            Outcome::Busy(Duration::from_secs(seconds))
        }
        _ => Outcome::Fault(told),
    }
}

/// The position that a tag states.
fn position(tag: &HeaderValue) -> Option<u64> {
    tag.to_str().ok()?.trim_matches('"').parse().ok()
}
