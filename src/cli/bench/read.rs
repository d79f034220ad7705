//! `everlog bench read`: clients read one stream, page by page, over and over.
//!
//! The pages are looked at once; from then on each must have the length that it had.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context, ensure};
use clap::Args;
use hyper::{Method, StatusCode, Uri, body::Bytes};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::{task::JoinSet, time::Instant};

use super::{
    body::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Shape},
    connection::Connection,
    latency::Latencies,
    publish::per_second,
    report::{Figures, Reads},
    server::Server,
    window::{Times, Window},
};

/// The settings of `everlog bench read`.
#[derive(Debug, Clone, Args, Serialize)]
pub(in crate::cli) struct Settings {
    /// Clients, each with a connection
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Events in the stream, which is made for this
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Events in a page
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// Bytes of JSON in each event's payload
    #[arg(long, default_value_t = 200, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(i64::from(PAYLOAD_BYTES_MIN)..=i64::from(PAYLOAD_BYTES_MAX)))]
    payload_bytes: u32,
    #[command(flatten)]
    times: Times,
}

/// A page, and what it must be.
struct Page {
    uri: Uri,
    events: u64,
    bytes: usize,
}

/// What clients share.
struct Load {
    pages: Vec<Page>,
    window: Window,
    requests: AtomicU64,
    events: AtomicU64,
    bytes: AtomicU64,
    latencies: Latencies,
}

pub(super) async fn read(server: &Server, settings: &Settings) -> anyhow::Result<Figures> {
    let shape = Shape::new(settings.payload_bytes, false);
    let category = server.fresh_category();
    server.prepare(&category, "s", &shape, (settings.events, settings.events)).await?;
    let first = server.stream(&category, "s-0", &format!("/events?limit={}", settings.page))?;
    let pages = walk(&mut server.connect().await?, first).await?;
    let found: u64 = pages.iter().map(|page| page.events).sum();
    ensure!(found == settings.events, "the stream has {found} events of {}", settings.events);
    let connections = server.connections(settings.clients).await?;
    let window = Window::new(settings.times);
    let load = Arc::new(Load {
        pages,
        window,
        requests: AtomicU64::new(0),
        events: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        latencies: Latencies::new()?,
    });
    let mut clients = JoinSet::new();
    for connection in connections {
        clients.spawn(client(load.clone(), connection));
    }
    let cores = window.watch(server.process(), || load.events.load(Relaxed)).await?;
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let rate = |count: &AtomicU64| per_second(count.load(Relaxed), window);
    Ok(Figures::Read(Reads {
        seconds: window.seconds(),
        requests: load.requests.load(Relaxed),
        requests_per_second: rate(&load.requests),
        events_per_second: rate(&load.events),
        bytes_per_second: rate(&load.bytes),
        latency_us: load.latencies.percentiles(),
        cores,
    }))
}

/// All pages of a stream, by the links from one to the next.
async fn walk(connection: &mut Connection, first: Uri) -> anyhow::Result<Vec<Page>> {
    #[derive(Deserialize)]
    struct Body {
        events: Vec<IgnoredAny>,
        page: Place,
    }
    #[derive(Deserialize)]
    struct Place {
        next: Option<String>,
    }
    let mut pages = Vec::new();
    let mut at = Some(first);
    while let Some(uri) = at {
        let bytes = connection.get(uri.clone()).await?;
        let body: Body = serde_json::from_slice(&bytes).context("reading a page")?;
        let events = u64::try_from(body.events.len())?;
        pages.push(Page { uri, events, bytes: bytes.len() });
        at = body.page.next.map(|next| next.parse()).transpose()?;
    }
    Ok(pages)
}

async fn client(load: Arc<Load>, mut connection: Connection) -> anyhow::Result<()> {
    for page in load.pages.iter().cycle() {
        let began = Instant::now();
        if began >= load.window.until {
            break;
        }
        let request = connection.request(Method::GET, page.uri.clone(), Bytes::new());
        let mut answer = connection.send(request).await?;
        let bytes = connection.drain(&mut answer).await?;
        ensure!(answer.status == StatusCode::OK, "{}: {}", page.uri, answer.status);
        ensure!(bytes == page.bytes, "{} had {} bytes, now {bytes}", page.uri, page.bytes);
        let ended = Instant::now();
        if load.window.holds(ended) {
            load.requests.fetch_add(1, Relaxed);
            load.events.fetch_add(page.events, Relaxed);
            load.bytes.fetch_add(u64::try_from(bytes)?, Relaxed);
            load.latencies.record(ended - began);
        }
    }
    Ok(())
}
