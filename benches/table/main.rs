//! The table of limits: what Everlog does beside what its stores could do, on this machine.
//!
//! Each cell of Everlog is run by `everlog bench` against a server of its own, right after the
//! store's own limit. Only the ratio of two cells of one round is a claim. See `benches/README.md`.

mod cells;
mod cluster;
mod limit;
mod machine;
mod print;
mod rows;
mod server;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;

use self::{cells::Stage, print::Outcome, rows::Row};

/// Prints a Markdown table: workload, the store's limit, Everlog, the ratio, what it should be.
#[derive(Debug, Parser)]
#[command(name = "table", max_term_width = 100)]
pub(crate) struct Settings {
    /// How often each row is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Only rows whose name has this in it; alternatives are separated by `|`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// One round of short cells on little data: whether it works, not how fast
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Longer cells, and exports of a million events
    #[arg(long)]
    full: bool,
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

impl Settings {
    fn picks(&self, row: &Row) -> bool {
        let name = row.name.to_lowercase();
        let hit = |pattern: &str| name.contains(&pattern.trim().to_lowercase());
        self.only.as_ref().is_none_or(|pattern| pattern.split('|').any(hit))
    }

    fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// Seconds of warm-up and of measuring.
    pub(crate) fn times(&self) -> (f64, f64) {
        match (self.quick, self.full) {
            (true, _) => (0.5, 1.0),
            (_, true) => (2.0, 5.0),
            _ => (1.0, 2.0),
        }
    }

    /// Events of an export.
    pub(crate) fn exported(&self) -> u32 {
        match (self.quick, self.full) {
            (true, _) => 20_000,
            (_, true) => 1_000_000,
            _ => 100_000,
        }
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
            tell(&format!("table: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings) -> anyhow::Result<()> {
    let rows: Vec<Row> = rows::rows().into_iter().filter(|row| settings.picks(row)).collect();
    anyhow::ensure!(!rows.is_empty(), "no row is named like that");
    let mut stage = Stage::new(settings).await?;
    let mut outcomes = Vec::new();
    for row in &rows {
        let mut rounds = Vec::new();
        let mut failed = None;
        for number in 1..=settings.rounds() {
            match stage.round(row).await {
                Ok(round) => {
                    tell(&format!("{} {number}: {}", row.name, print::in_short(row, &round)));
                    rounds.push(round);
                }
                Err(error) => {
                    tell(&format!("{} {number}: {error:#}", row.name));
                    failed = Some(format!("{error:#}"));
                    break;
                }
            }
        }
        outcomes.push(Outcome { row, rounds, failed });
    }
    let facts = machine::facts(&stage.cluster.url).await?;
    writeln!(std::io::stdout(), "{}", print::report(settings, &facts, &outcomes))?;
    anyhow::ensure!(outcomes.iter().all(|it| it.failed.is_none()), "some rows have no figures");
    Ok(())
}

/// Says how it goes, beside the result.
fn tell(text: &str) {
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
