//! `everlog bench`: measures a running server, as its clients see it.
//!
//! The load is made by one thread with one connection a client, so that a server on the same
//! machine keeps its cores. What is answered is checked: a figure of a server that lies is no figure.

mod body;
mod connection;
mod export;
mod latency;
mod process;
mod publish;
mod read;
mod report;
mod server;
mod sse;
mod tail;
mod window;

use clap::{Args, Subcommand};

use self::report::Report;
use super::client::Target;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(super) enum Settings {
    /// Publish, each client waiting for its answers
    Publish(Common<publish::Settings>),
    /// Read a stream, page by page, over and over
    Read(Common<read::Settings>),
    /// Export a category or a log, several times
    Export(Common<export::Settings>),
    /// Publish at a rate, and see when tails have it
    Tail(Common<tail::Settings>),
}

/// What all of them need to know. The server is spoken to over plain http:// only.
#[derive(Debug, Args)]
pub(super) struct Common<S: Args> {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    what: S,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// The server's process on this machine, to tell the cores (and for tails the memory) it uses
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

pub(super) async fn bench(settings: &Settings) -> anyhow::Result<()> {
    // A connection is a file descriptor.
    rlimit::increase_nofile_limit(u64::MAX)?;
    match settings {
        Settings::Publish(common) => common.run("publish", publish::publish).await,
        Settings::Read(common) => common.run("read", read::read).await,
        Settings::Export(common) => common.run("export", export::export).await,
        Settings::Tail(common) => common.run("tail", tail::tail).await,
    }
}

impl<S: Args + serde::Serialize> Common<S> {
    async fn run(
        &self,
        bench: &'static str,
        measure: impl AsyncFn(&server::Server, &S) -> anyhow::Result<report::Figures>,
    ) -> anyhow::Result<()> {
        let server = server::Server::new(&self.target, self.pid)?;
        let durability = server.durability().await?;
        let figures = measure(&server, &self.what).await?;
        let report = Report {
            bench,
            version: env!("CARGO_PKG_VERSION"),
            server: server.authority(),
            log: server.log(),
            durability: &durability,
            parameters: &self.what,
            figures: &figures,
        };
        report.print(self.json)?;
        let faults = figures.faults();
        anyhow::ensure!(faults == 0, "{faults} answers or deliveries were not as they must be");
        Ok(())
    }
}
