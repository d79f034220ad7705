//! What projectors do on this machine: a worker by itself, events read and projected and committed, how soon a publish
//! shows, streams that are reduced on demand. See `benches/README.md`.

#[path = "../table/cluster.rs"]
mod cluster;
mod load;
#[path = "../table/server.rs"]
#[expect(dead_code, reason = "it is shared with the table")]
mod server;
mod worker;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;

use self::{cluster::Cluster, load::Load, server::Server};

/// Prints a Markdown table: what, where, what was measured, what was asked for.
#[derive(Debug, Parser)]
#[command(name = "projectors", max_term_width = 100)]
struct Settings {
    /// Events that are read, projected and committed
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// How long latency is measured, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Only rows whose name has this in it
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Where the databases are made; on a real disk
    #[arg(long, default_value = "/var/tmp", value_name = "FOLDER")]
    folder: PathBuf,
    /// Given by `cargo bench`; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::parse();
    if settings.bench {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(measure(&settings))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let picks = |name: &str| name.contains(&settings.only);
    tell("| what | where | measured | asked for |")?;
    tell("|---|---|---|---|")?;
    for (ids, asked) in [(1, "250,000"), (10_000, "80,000")] {
        if picks("worker") {
            let rate = worker::rate(ids).await?;
            let name = format!(
                "worker alone, {ids} ids, batches of 500, {} bytes",
                load::event("s", 0).len()
            );
            tell(&format!("| {name} | one process | {rate:.0} events/s | {asked} |"))?;
        }
    }
    for store in ["SQLite, synchronous=FULL", "Postgres, fsync and synchronous_commit on"] {
        let cluster;
        let url = match store.starts_with("SQLite") {
            true => format!("sqlite:{}", folder.path().join("everlog.db").display()),
            false => {
                cluster = Cluster::start(None, &settings.folder)?;
                server::migrate(&cluster.url)?;
                cluster.url.clone()
            }
        };
        let server = Server::start(&url)?;
        let load = Load::of(&server.url);
        if picks("end to end") {
            load.fill("bulk", settings.events, 10_000).await?;
            let rate = load.project("bulk", settings.events).await?;
            let name = format!("end to end, {} events over 10,000 ids", settings.events);
            tell(&format!("| {name} | {store} | {rate:.0} events/s | 30,000 |"))?;
        }
        if picks("latency") {
            let wait = Duration::from_secs(settings.seconds);
            let (median, late) = load.latency("late", 20, 500, wait).await?;
            let name = "latency, 20 projectors, 500 events/s, p50 and p99";
            let measured = format!("{:.1} and {:.1} ms", millis(median), millis(late));
            tell(&format!("| {name} | {store} | {measured} | 20 and 100 ms |"))?;
        }
        if picks("state") {
            for (events, asked) in [(10_000, "45 ms, none"), (100_000, "20 ms, from a snapshot")] {
                let (first, again) = load.state("lone", events).await?;
                let name = format!("state of {events} events, first and again");
                let measured = format!("{:.1} and {:.1} ms", millis(first), millis(again));
                tell(&format!("| {name} | {store} | {measured} | {asked} |"))?;
            }
        }
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
