//! One round of a row: the limit's cell, then Everlog's.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Settings,
    cluster::Cluster,
    limit::{Limit, Load},
    machine,
    rows::{Bound, Figure, Row, Store, Work},
    server::{self, Server},
};

/// Figures of one round.
pub(crate) struct Round {
    /// Of the limit, in the row's unit.
    pub limit: f64,
    /// Of Everlog, in the same.
    pub everlog: f64,
    /// One for each bound of the row.
    pub figures: Vec<f64>,
}

/// What all cells stand on.
pub(crate) struct Stage {
    folder: TempDir,
    pub cluster: Cluster,
    pub postgres: Limit,
    sqlite: Limit,
    warm_up: Duration,
    measured: Duration,
    exported: u32,
    /// Cells so far, for names that nobody has used.
    cells: u32,
}

/// Clients of the rows that compare.
const COMPARED_CLIENTS: u32 = 64;
/// Exports of a cell, of which the median counts.
const EXPORTS: usize = 3;

impl Stage {
    pub(crate) async fn new(settings: &Settings) -> anyhow::Result<Self> {
        machine::refuse_memory(&settings.folder)?;
        let folder = TempDir::with_prefix_in("everlog-bench-", &settings.folder)?;
        let cluster = Cluster::start(settings.postgres_bin.as_deref(), &settings.folder)?;
        server::migrate(&cluster.url)?;
        let path = folder.path().join("limit.db");
        server::migrate(&format!("sqlite:{}", path.display()))?;
        let (warm_up, measured) = settings.times();
        Ok(Self {
            postgres: Limit::postgres(&cluster.url).await?,
            sqlite: Limit::sqlite(&path).await?,
            folder,
            cluster,
            warm_up: Duration::from_secs_f64(warm_up),
            measured: Duration::from_secs_f64(measured),
            exported: settings.exported(),
            cells: 0,
        })
    }

    pub(crate) async fn round(&mut self, row: &Row) -> anyhow::Result<Round> {
        self.cells += 1;
        match row.work {
            Work::Publish { store, clients, batch, lanes } => {
                self.publish(store, clients, batch, lanes).await
            }
            Work::Compare { flags } => self.compare(flags).await,
            Work::Read { clients } => self.read(clients).await,
            Work::Export { log } => self.export(log).await,
            Work::Tail { tails, rate } => self.tail(tails, rate, &row.bounds).await,
            Work::Idle { tails } => self.idle(tails, &row.bounds),
        }
    }

    fn url(&self, store: Store) -> String {
        match store {
            Store::Postgres => self.cluster.url.clone(),
            Store::Sqlite => format!("sqlite:{}", self.folder.path().join("everlog.db").display()),
        }
    }

    fn times(&self) -> Vec<String> {
        let text = |time: Duration| time.as_secs_f64().to_string();
        let (warm_up, measured) = (text(self.warm_up), text(self.measured));
        vec!["--warm-up".to_owned(), warm_up, "--seconds".to_owned(), measured]
    }

    /// Runs `everlog bench` against a new server over a store.
    fn bench(&self, store: Store, arguments: &[&str], with_times: bool) -> anyhow::Result<Value> {
        let server = Server::start(&self.url(store))?;
        let times = if with_times { self.times() } else { Vec::new() };
        let arguments = arguments.iter().copied().chain(times.iter().map(String::as_str));
        server.bench(arguments)
    }

    async fn publish(
        &mut self,
        store: Store,
        clients: u32,
        batch: u32,
        lanes: u32,
    ) -> anyhow::Result<Round> {
        let load = Load { clients, batch, warm_up: self.warm_up, measured: self.measured };
        let category = format!("limit-{}", self.cells);
        let limit = match store {
            Store::Postgres => {
                self.postgres.checkpoint().await?;
                let limit = self.postgres.publish(load, &category).await?;
                self.postgres.checkpoint().await?;
                limit
            }
            Store::Sqlite => self.sqlite.publish(load, &category).await?,
        };
        let (clients, batch) = (clients.to_string(), batch.to_string());
        let mut arguments = vec!["publish", "--clients", &clients, "--batch", &batch];
        if lanes > 1 {
            let server = Server::start(&self.url(store))?;
            server.put_log("lanes", &format!("{{\"ordering\":\"category\",\"lanes\":{lanes}}}"))?;
            arguments.extend(["--log", "lanes", "--categories", "32"]);
        }
        let report = self.bench(store, &arguments, true)?;
        Ok(ratio(limit, figure(&report, "/events_per_second")?))
    }

    async fn compare(&mut self, flags: &[&str]) -> anyhow::Result<Round> {
        let clients = COMPARED_CLIENTS.to_string();
        let mut arguments = vec!["publish", "--clients", &clients];
        self.postgres.checkpoint().await?;
        let without = self.bench(Store::Postgres, &arguments, true)?;
        self.postgres.checkpoint().await?;
        arguments.extend(flags);
        let with = self.bench(Store::Postgres, &arguments, true)?;
        let rate = "/requests_per_second";
        Ok(ratio(figure(&without, rate)?, figure(&with, rate)?))
    }

    async fn read(&mut self, clients: u32) -> anyhow::Result<Round> {
        let stream = self.postgres.a_stream().await?;
        let load = Load { clients, batch: 0, warm_up: self.warm_up, measured: self.measured };
        let limit = self.postgres.read(load, &stream).await?;
        let clients = clients.to_string();
        let report = self.bench(Store::Postgres, &["read", "--clients", &clients], true)?;
        Ok(ratio(limit, figure(&report, "/events_per_second")?))
    }

    async fn export(&mut self, log: bool) -> anyhow::Result<Round> {
        let events = self.exported.to_string();
        let mut arguments = vec!["export", "--events", &events];
        if log {
            Server::start(&self.url(Store::Postgres))?.put_log("export", "{}")?;
            arguments.extend(["--log", "export", "--of", "log"]);
        }
        let with = |times| arguments.iter().copied().chain(["--times", times]).collect::<Vec<_>>();
        // Once beforehand: then the data is there, and warm, on both sides.
        self.postgres.a_source(self.exported, log).await?;
        self.bench(Store::Postgres, &with("1"), false)?;
        self.postgres.analyze().await?;
        let limit = self.postgres.scan(self.exported, log, EXPORTS).await?;
        let report = self.bench(Store::Postgres, &with(&EXPORTS.to_string()), false)?;
        Ok(ratio(limit, figure(&report, "/events_per_second")?))
    }

    async fn tail(&mut self, tails: u32, rate: u32, bounds: &[Bound]) -> anyhow::Result<Round> {
        self.postgres.checkpoint().await?;
        let (tails, rate) = (tails.to_string(), rate.to_string());
        let arguments = ["tail", "--tails", &tails, "--rate", &rate];
        let report = self.bench(Store::Postgres, &arguments, true)?;
        let millis = |pointer| figure(&report, pointer).map(|micros| micros / 1e3);
        let (ack, receipt) = (millis("/ack_us/p50")?, millis("/receive_us/p50")?);
        let told = |bound: &Bound| match bound.figure {
            Figure::Behind => Ok(receipt - ack),
            Figure::Factor => Ok(receipt / ack),
            Figure::Cores => figure(&report, "/cores/server"),
            Figure::Ratio | Figure::Millis | Figure::Kib => Ok(receipt),
        };
        let figures = bounds.iter().map(told).collect::<Result<_, _>>()?;
        Ok(Round { limit: ack, everlog: receipt, figures })
    }

    fn idle(&self, tails: u32, bounds: &[Bound]) -> anyhow::Result<Round> {
        let tails = tails.to_string();
        let arguments = ["tail", "--idle", "--tails", &tails];
        let report = self.bench(Store::Postgres, &arguments, false)?;
        let millis = |pointer| figure(&report, pointer).map(|micros| micros / 1e3);
        let (ack, last) = (millis("/ack_us")?, millis("/last_received_us")?);
        let told = |bound: &Bound| match bound.figure {
            Figure::Kib => figure(&report, "/rss/per_tail_kib"),
            _ => Ok(last),
        };
        let figures = bounds.iter().map(told).collect::<Result<_, _>>()?;
        Ok(Round { limit: ack, everlog: last, figures })
    }
}

fn ratio(limit: f64, everlog: f64) -> Round {
    Round { limit, everlog, figures: vec![everlog / limit] }
}

/// A figure of a report.
fn figure(report: &Value, pointer: &str) -> anyhow::Result<f64> {
    let figure = report.get("figures").and_then(|figures| figures.pointer(pointer)?.as_f64());
    figure.with_context(|| format!("the report has no {pointer}: {report}"))
}
