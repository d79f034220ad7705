//! What projectors do on this machine: a worker by itself; events that are read, projected and committed; how soon a
//! publish shows; streams that are reduced on demand. See `benches/README.md`.

#[path = "../table/cluster.rs"]
mod cluster;
mod load;
#[path = "../table/machine.rs"]
mod machine;
#[path = "../table/server.rs"]
#[expect(dead_code, reason = "it is the table's, which measures with `everlog bench`")]
mod server;
mod state;
mod worker;

use std::{io::Write, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use tempfile::TempDir;

use self::{cluster::Cluster, load::Load, server::Server};

/// Streams of the events that are read.
const STREAMS: usize = 10_000;
/// Events of the streams that are reduced, and what is aimed at.
const STATES: [(usize, &str); 2] =
    [(10_000, "45 ms without a snapshot"), (100_000, "20 ms from a snapshot")];

/// Prints a Markdown table: what, on which store, what was measured, what is aimed at.
#[derive(Debug, Parser)]
#[command(name = "projectors", max_term_width = 100)]
struct Settings {
    /// Events that are applied, or read, projected and committed
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    events: usize,
    /// Bytes of an event as it is published: its name and its payload
    #[arg(long, default_value_t = 250, value_name = "N")]
    event_bytes: usize,
    /// How long latency is measured
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=3_600))]
    seconds: u32,
    /// Projectors of one category whose latency is measured
    #[arg(long, default_value_t = 20, value_name = "N")]
    projectors: usize,
    /// Publishes a second to that category
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Only rows whose name or store has this in it; alternatives are separated by `|`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Where the databases are made; on a real disk
    #[arg(long, default_value = "/var/tmp", value_name = "FOLDER")]
    folder: PathBuf,
    /// The folder of Postgres' programs; the newest of Debian's by default
    #[arg(long, value_name = "FOLDER")]
    postgres_bin: Option<PathBuf>,
    /// Given by `cargo bench`; without it nothing is measured
    #[arg(long, hide = true)]
    bench: bool,
}

/// A row: what, on which store.
type Name = (String, String);

impl Settings {
    fn picks(&self, (what, store): &Name) -> bool {
        let name = format!("{what} {store}").to_lowercase();
        let hit = |pattern: &str| name.contains(&pattern.trim().to_lowercase());
        self.only.as_ref().is_none_or(|pattern| pattern.split('|').any(hit))
    }
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    if !settings.bench {
        return ExitCode::SUCCESS;
    }
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&settings)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere is left to say that standard error is closed.
            let _ = writeln!(std::io::stderr(), "projectors: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn row((what, store): &Name, measured: &str, aim: &str) -> anyhow::Result<()> {
    tell(&format!("| {what} | {store} | {measured} | {aim} |"))
}

async fn run(settings: &Settings) -> anyhow::Result<()> {
    machine::refuse_memory(&settings.folder)?;
    let folder = TempDir::with_prefix_in("everlog-bench-", &settings.folder)?;
    let cluster = Cluster::start(settings.postgres_bin.as_deref(), &settings.folder)?;
    server::migrate(&cluster.url)?;
    for fact in machine::facts(&cluster.url).await? {
        tell(&format!("- {fact}"))?;
    }
    tell("\n| what | store | measured | aim |\n|---|---|---|---|")?;
    for (ids, aim) in [(1, "250,000 events/s"), (STREAMS, "80,000 events/s")] {
        alone(settings, ids, aim).await?;
    }
    let file = format!("sqlite:{}", folder.path().join("everlog.db").display());
    let stores = [
        (file, machine::sqlite().await?),
        (cluster.url.clone(), machine::postgres(&cluster.url).await?),
    ];
    for (url, store) in stores {
        served(settings, &url, &store).await?;
    }
    Ok(())
}

/// A worker by itself.
async fn alone(settings: &Settings, ids: usize, aim: &str) -> anyhow::Result<()> {
    let Settings { events, event_bytes, .. } = settings;
    let given = load::given(0, *event_bytes).len();
    let spread = if ids == 1 {
        "all on one id".to_owned()
    } else {
        format!("over {ids} ids in random order")
    };
    let what = format!(
        "worker alone, {spread}, {events} events of {event_bytes} bytes ({given} as it gets \
         them), batches of {}",
        worker::BATCH
    );
    let name = (what, "none".to_owned());
    if settings.picks(&name) {
        let (rate, cores) = worker::rate(ids, *events, *event_bytes).await?;
        row(&name, &format!("{rate:.0} events/s, {cores:.2} cores of the worker"), aim)?;
    }
    Ok(())
}

/// A server on a store.
async fn served(settings: &Settings, url: &str, store: &str) -> anyhow::Result<()> {
    let Settings { events, event_bytes, seconds, projectors, rate, .. } = settings;
    let bytes = *event_bytes;
    let name = |what: String| (what, store.to_owned());
    let bulk = name(format!("end to end, {events} events of {bytes} bytes over {STREAMS} streams"));
    let late = name(format!(
        "publish to visible, {projectors} projectors, {rate} events of {bytes} bytes a second for {seconds} s"
    ));
    let states = STATES.map(|(events, aim)| {
        let what = format!("state of {events} events of {bytes} bytes, first and again");
        (events, name(what), aim)
    });
    let mut names = [&bulk, &late].into_iter().chain(states.iter().map(|(_, name, _)| name));
    if !names.any(|name| settings.picks(name)) {
        return Ok(());
    }
    let server = Server::start(url)?;
    let load = Load::of(&server.url, bytes)?;
    if settings.picks(&bulk) {
        load.fill("bulk", *events, STREAMS).await?;
        let rate = load.project("bulk", *events, STREAMS).await?;
        row(&bulk, &format!("{rate:.0} events/s"), "30,000 events/s")?;
    }
    if settings.picks(&late) {
        let time = Duration::from_secs((*seconds).into());
        let found = load.latency("late", *projectors, *rate, time).await?;
        let measured = format!(
            "p50 {:.1} ms, p99 {:.1} ms, of {} at {:.0} publishes/s",
            millis(found.at(0.5)),
            millis(found.at(0.99)),
            found.times.len(),
            found.rate
        );
        row(&late, &measured, "p50 20 ms, p99 100 ms")?;
    }
    for (events, name, aim) in states.iter().filter(|(_, name, _)| settings.picks(name)) {
        let (first, again) = load.state("lone", *events).await?;
        row(name, &format!("{:.1} ms, {:.1} ms", millis(first), millis(again)), aim)?;
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
