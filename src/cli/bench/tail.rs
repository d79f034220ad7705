//! `everlog bench tail`: publishes at a rate, and sees when tails have what was published.
//!
//! Every tail must get every event once. With `--idle` the tails only wait, for one event.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{bail, ensure};
use clap::{Args, ValueEnum};
use hyper::{
    Method, StatusCode, Uri,
    body::Bytes,
    header::{self, HeaderValue},
};
use serde::Serialize;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    body::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Shape},
    connection::{Connection, refusal},
    latency::Latencies,
    process::Process,
    publish::float,
    report::{Deliveries, Figures, Idle, Rss},
    server::Server,
    sse::{Frame, Frames},
    window::{Times, Window, spinner},
};

/// Tails that are being opened at once.
const OPENING_MAX: usize = 128;
/// Connections that share the publishes.
const PUBLISHERS_MAX: u32 = 16;
/// How long all tails may take to be live.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the last deliveries may take.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether all is there.
const LOOK: Duration = Duration::from_millis(5);

/// What the tails follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// One stream
    Stream,
    /// One category
    Category,
    /// The whole log; nobody else may publish to it
    Log,
}

/// The settings of `everlog bench tail`.
#[derive(Debug, Clone, Args, Serialize)]
pub(in crate::cli) struct Settings {
    /// Tails, each with a connection
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tails: u32,
    /// Publishes a second, of one event each
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// What the tails follow
    #[arg(long, default_value = "category", value_name = "WHAT")]
    of: Of,
    /// Only wait, for one event: tells the memory of a tail (with --pid) and the time to the last
    #[arg(long)]
    idle: bool,
    /// Bytes of JSON in each event's payload
    #[arg(long, default_value_t = 200, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(i64::from(PAYLOAD_BYTES_MIN)..=i64::from(PAYLOAD_BYTES_MAX)))]
    payload_bytes: u32,
    #[command(flatten)]
    times: Times,
}

/// What publishers and tails share.
struct Load {
    settings: Settings,
    server: Server,
    shape: Shape,
    category: String,
    epoch: Instant,
    /// When each event was sent, in microseconds of the epoch; 0 while it was not.
    sent: Vec<AtomicU64>,
    /// Events with lower numbers warm up.
    counted_from: u64,
    acks: Latencies,
    receipts: Latencies,
    acknowledged: AtomicU64,
    live: AtomicU64,
    received: AtomicU64,
    doubled: AtomicU64,
    unknown: AtomicU64,
    ended: AtomicU64,
    /// When the last delivery came, in microseconds of the epoch.
    last: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

pub(super) async fn tail(server: &Server, settings: &Settings) -> anyhow::Result<Figures> {
    let load = Arc::new(Load::new(server, settings)?);
    // The category exists before it is followed; none of the tails may get this event.
    server.prepare(&load.category, "s", &load.shape, (1, 1)).await?;
    let process = server.process();
    let before = process.map(Process::resident_kib).transpose()?;
    let began = Instant::now();
    let mut tails = JoinSet::new();
    open(&load, &mut tails).await?;
    let opened_in_seconds = began.elapsed().as_secs_f64();
    let after = process.map(Process::resident_kib).transpose()?;
    let rss = before.zip(after).map(|(before_kib, after_kib)| {
        let grown = float(after_kib.saturating_sub(before_kib));
        Rss { before_kib, after_kib, per_tail_kib: grown / f64::from(settings.tails) }
    });
    let figures = if settings.idle {
        idle(&load, opened_in_seconds, rss).await?
    } else {
        busy(&load, rss).await?
    };
    tails.shutdown().await;
    Ok(figures)
}

impl Load {
    fn new(server: &Server, settings: &Settings) -> anyhow::Result<Self> {
        let rate = f64::from(settings.rate);
        let events = |seconds: f64| -> u64 { rounded(rate * seconds) };
        let warming = if settings.idle { 0 } else { events(settings.times.warm_up) };
        let counted = if settings.idle { 1 } else { events(settings.times.seconds).max(1) };
        let numbers = 1 + warming + counted;
        Ok(Self {
            settings: settings.clone(),
            server: server.clone(),
            shape: Shape::new(settings.payload_bytes, false),
            category: server.fresh_category(),
            epoch: Instant::now(),
            sent: (0..numbers).map(|_| AtomicU64::new(0)).collect(),
            counted_from: 1 + warming,
            acks: Latencies::new()?,
            receipts: Latencies::new()?,
            acknowledged: AtomicU64::new(0),
            live: AtomicU64::new(0),
            received: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            last: AtomicU64::new(0),
            errors: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn uri(&self) -> anyhow::Result<Uri> {
        let tail = "/tail?after=now";
        match self.settings.of {
            Of::Stream => self.server.stream(&self.category, "s-0", tail),
            Of::Category => self.server.category(&self.category, tail),
            Of::Log => self.server.uri(tail),
        }
    }

    fn expected(&self) -> u64 {
        self.acknowledged.load(Relaxed) * u64::from(self.settings.tails)
    }

    fn fault(&self, what: String) {
        if let Ok(mut errors) = self.errors.lock() {
            *errors.entry(what).or_default() += 1;
        }
    }

    fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().map(|errors| errors.clone()).unwrap_or_default()
    }

    /// A delivery to a tail that has seen some already.
    fn deliver(&self, number: Option<u64>, seen: &mut Vec<u64>) {
        let now = self.now();
        let index = number.and_then(|number| usize::try_from(number).ok());
        let sent = index.and_then(|index| Some(self.sent.get(index)?.load(Relaxed)));
        let (Some(number), Some(index), Some(sent @ 1..)) = (number, index, sent) else {
            self.unknown.fetch_add(1, Relaxed);
            return;
        };
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        if seen.len() <= word {
            seen.resize(word + 1, 0);
        }
        if let Some(word) = seen.get_mut(word) {
            if *word & bit != 0 {
                self.doubled.fetch_add(1, Relaxed);
                return;
            }
            *word |= bit;
        }
        if number >= self.counted_from {
            self.receipts.record(Duration::from_micros(now.saturating_sub(sent)));
        }
        self.last.fetch_max(now, Relaxed);
        self.received.fetch_add(1, Relaxed);
    }

    /// Waits until everything that was acknowledged has arrived everywhere, or for long enough.
    async fn all_received(&self) {
        let waiting = async {
            while self.received.load(Relaxed) < self.expected() {
                sleep(LOOK).await;
            }
        };
        // What is missing then is told in the report.
        let _ = timeout(LAST_PATIENCE, waiting).await;
    }
}

/// A positive figure as a number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn rounded(figure: f64) -> u64 {
    figure.round() as u64
}

/// Opens all tails and waits until they are live.
async fn open(load: &Arc<Load>, tails: &mut JoinSet<()>) -> anyhow::Result<()> {
    let bar = spinner("opening {spinner} {human_pos} tails {per_sec}")?;
    let wanted = u64::from(load.settings.tails);
    let turns = Arc::new(Semaphore::new(OPENING_MAX));
    for _ in 0..wanted {
        let (load, turns) = (load.clone(), turns.clone());
        tails.spawn(async move {
            if let Err(error) = follow(&load, &turns).await {
                load.fault(format!("{error:#}"));
            }
            load.ended.fetch_add(1, Relaxed);
        });
    }
    let began = Instant::now();
    while load.live.load(Relaxed) < wanted {
        sleep(LOOK).await;
        let (live, errors) = (load.live.load(Relaxed), load.errors());
        bar.set_position(live);
        if load.ended.load(Relaxed) > 0 || began.elapsed() > PATIENCE {
            bail!("{live} of {wanted} tails are live: {errors:?}");
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// One tail, as long as it lasts.
async fn follow(load: &Load, turns: &Semaphore) -> anyhow::Result<()> {
    let mut turn = Some(turns.acquire().await?);
    let mut connection = load.server.connect().await?;
    let mut request = connection.request(Method::GET, load.uri()?, Bytes::new());
    let accept = HeaderValue::from_static("text/event-stream");
    request.headers_mut().insert(header::ACCEPT, accept);
    let mut answer = connection.send(request).await?;
    if answer.status != StatusCode::OK {
        let body = connection.whole(&mut answer).await?;
        bail!("a tail was answered with {}", refusal(answer.status, &body));
    }
    let (mut frames, mut seen) = (Frames::default(), Vec::new());
    let mut ending = false;
    while let Some(piece) = connection.piece(&mut answer).await? {
        frames.take(&piece, |frame| match frame {
            Frame::Event(number) => load.deliver(number, &mut seen),
            Frame::CaughtUp => {
                if turn.take().is_some() {
                    load.live.fetch_add(1, Relaxed);
                }
            }
            Frame::End => ending = true,
            Frame::Other => {}
        });
        ensure!(!ending, "the server ended a tail: {}", String::from_utf8_lossy(&piece));
    }
    bail!("a tail ended")
}

/// Publishes at the rate, and waits for all deliveries.
async fn busy(load: &Arc<Load>, rss: Option<Rss>) -> anyhow::Result<Figures> {
    let count = load.settings.rate.min(PUBLISHERS_MAX);
    let connections = load.server.connections(count).await?;
    let window = Window::new(load.settings.times);
    let began = Instant::now();
    let mut publishers = JoinSet::new();
    for (index, connection) in (0..count).zip(connections) {
        publishers.spawn(publisher(load.clone(), connection, (index, count), began));
    }
    let cores = window.watch(load.server.process(), || load.received.load(Relaxed)).await?;
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    load.all_received().await;
    Ok(Figures::Tail(Box::new(Deliveries {
        seconds: window.seconds(),
        published: load.acknowledged.load(Relaxed),
        ack_us: load.acks.percentiles(),
        receive_us: load.receipts.percentiles(),
        expected: load.expected(),
        received: load.received.load(Relaxed),
        doubled: load.doubled.load(Relaxed),
        unknown: load.unknown.load(Relaxed),
        ended: load.ended.load(Relaxed),
        errors: load.errors(),
        cores,
        rss,
    })))
}

/// Publishes one in so many of the events, each at its time.
async fn publisher(
    load: Arc<Load>,
    mut connection: Connection,
    (index, of): (u32, u32),
    began: Instant,
) -> anyhow::Result<()> {
    let step = usize::try_from(of)?;
    let numbers = (1_u32..).zip(load.sent.iter().skip(1)).skip(usize::try_from(index)?);
    for (appends, (number, _)) in numbers.step_by(step).enumerate() {
        let at = f64::from(number - 1) / f64::from(load.settings.rate);
        sleep_until(began + Duration::from_secs_f64(at)).await;
        let stream = match load.settings.of {
            Of::Stream => "s-0".to_owned(),
            Of::Category | Of::Log => format!("p-{index}-{}", appends / 10),
        };
        if publish(&load, &mut connection, u64::from(number), &stream).await.is_err() {
            load.fault("connection lost".to_owned());
            connection = load.server.connect().await?;
        }
    }
    Ok(())
}

/// Publishes one event.
async fn publish(
    load: &Load,
    connection: &mut Connection,
    number: u64,
    stream: &str,
) -> anyhow::Result<()> {
    let uri = load.server.stream(&load.category, stream, "/events")?;
    let request = connection.publish(uri, load.shape.body(number, 1));
    let began = load.now().max(1);
    if let Some(sent) = load.sent.get(usize::try_from(number)?) {
        sent.store(began, Relaxed);
    }
    let mut answer = connection.send(request).await?;
    if answer.status != StatusCode::CREATED {
        let body = connection.whole(&mut answer).await?;
        load.fault(format!("a publish was answered with {}", refusal(answer.status, &body)));
        return Ok(());
    }
    connection.drain(&mut answer).await?;
    if number >= load.counted_from {
        load.acks.record(Duration::from_micros(load.now().saturating_sub(began)));
    }
    load.acknowledged.fetch_add(1, Relaxed);
    Ok(())
}

/// Publishes one event to tails that have waited for it.
async fn idle(load: &Load, opened: f64, rss: Option<Rss>) -> anyhow::Result<Figures> {
    let mut connection = load.server.connect().await?;
    publish(load, &mut connection, 1, "s-0").await?;
    load.all_received().await;
    let sent = load.sent.get(1).map_or(0, |sent| sent.load(Relaxed));
    Ok(Figures::Idle(Idle {
        opened_in_seconds: opened,
        rss,
        ack_us: load.acks.percentiles().max,
        last_received_us: load.last.load(Relaxed).saturating_sub(sent),
        expected: load.expected(),
        received: load.received.load(Relaxed),
        doubled: load.doubled.load(Relaxed),
    }))
}
