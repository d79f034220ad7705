//! The server that is measured: where it is, what it stores in, and data for it to be asked for.

use anyhow::{Context, ensure};
use hyper::{StatusCode, Uri, header::HeaderValue};
use serde::Deserialize;

use super::{
    super::client::Target, body::Shape, connection::Connection, process::Process, window::spinner,
};
use crate::{engine::ids, http::encode};

/// Events of one request while data is prepared.
const PREPARED_AT_ONCE: u64 = 1_000;

/// A server and a log of it.
#[derive(Clone)]
pub(super) struct Server {
    authority: String,
    /// What tells it who asks.
    bearer: Option<HeaderValue>,
    /// The path of the log.
    path: String,
    log: String,
    process: Option<Process>,
    /// Makes the names of this run new.
    run: String,
}

impl Server {
    pub(super) fn new(target: &Target, pid: Option<u32>) -> anyhow::Result<Self> {
        let url: Uri = target.log_url().parse().context("reading --url")?;
        ensure!(url.scheme_str() == Some("http"), "bench speaks plain http:// only");
        let host = url.host().context("--url names no host")?;
        let authority = format!("{host}:{}", url.port_u16().unwrap_or(80));
        let random = ids::mint().simple().to_string();
        Ok(Self {
            authority,
            bearer: target.bearer()?,
            path: url.path().to_owned(),
            log: target.log().to_owned(),
            process: pid.map(Process::new),
            run: random.get(24..).unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn log(&self) -> &str {
        &self.log
    }

    pub(super) fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// A category that nobody has used.
    pub(super) fn fresh_category(&self) -> String {
        format!("bench-{}", self.run)
    }

    /// A name that nobody has used.
    pub(super) fn fresh(&self, name: &str) -> String {
        format!("{name}-{}", self.run)
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.authority, self.bearer.clone()).await
    }

    pub(super) async fn connections(&self, count: u32) -> anyhow::Result<Vec<Connection>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.connect().await?);
        }
        Ok(all)
    }

    /// A path below the log, whose names are encoded already.
    pub(super) fn uri(&self, below: &str) -> anyhow::Result<Uri> {
        Ok(format!("{}{below}", self.path).parse()?)
    }

    pub(super) fn category(&self, category: &str, below: &str) -> anyhow::Result<Uri> {
        self.uri(&format!("/categories/{}{below}", encode(category)))
    }

    pub(super) fn stream(&self, category: &str, stream: &str, below: &str) -> anyhow::Result<Uri> {
        self.category(category, &format!("/streams/{}{below}", encode(stream)))
    }

    /// What the server stores in, and how safely.
    pub(super) async fn durability(&self) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Health {
            store: String,
        }
        let body = self.connect().await?.get(Uri::from_static("/readyz?verbose=true")).await?;
        let health: Health = serde_json::from_slice(&body).context("reading /readyz")?;
        Ok(health.store)
    }

    /// Publishes so many events to streams of so many each, in large requests.
    pub(super) async fn prepare(
        &self,
        category: &str,
        stream: &str,
        shape: &Shape,
        (events, stream_events): (u64, u64),
    ) -> anyhow::Result<()> {
        let bar = spinner("preparing {spinner} {human_pos} events {per_sec}")?;
        let mut connection = self.connect().await?;
        let uri = self.category(category, "/events")?;
        let mut done = 0;
        while done < events {
            let until = events.min(done + PREPARED_AT_ONCE);
            let body = shape.writes(stream, done..until, stream_events);
            let mut answer = connection.send(connection.publish(uri.clone(), body)).await?;
            let text = connection.whole(&mut answer).await?;
            let text = String::from_utf8_lossy(&text);
            let status = answer.status;
            ensure!(status == StatusCode::CREATED, "preparing events: {status} {text}");
            done = until;
            bar.set_position(done);
        }
        bar.finish_and_clear();
        Ok(())
    }
}
