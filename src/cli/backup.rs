//! `everlog backup`: a copy of a SQLite store as of one moment, also while a server writes to it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::line;
use crate::{
    config::StoreSettings,
    storage::{open::StoreUrl, sqlite},
};

/// The settings of `everlog backup`.
#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    store: StoreSettings,
    /// The file to write, which must not be there
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) async fn backup(settings: Settings) -> anyhow::Result<()> {
    let Settings { store, output } = settings;
    let path = match &store.store {
        StoreUrl::Sqlite(path) => path,
        StoreUrl::Postgres(_) => bail!(
            "--store (EVERLOG_STORE) is Postgres, which is backed up by its own tools: pg_dump, or pg_basebackup"
        ),
        StoreUrl::Memory => {
            bail!("--store memory: is gone with its server: there is nothing to back up")
        }
    };
    ensure!(path.exists(), "--store {} (EVERLOG_STORE) is not there", path.display());
    ensure!(!output.exists(), "--output {} is there already", output.display());
    let begun = Instant::now();
    let partial = beside(&output);
    let written = write(path, &partial).await;
    let kept = written.and_then(|()| keep(path, &partial, &output));
    if kept.is_err() {
        // What was begun is of no use to anybody.
        let _ = fs::remove_file(&partial);
    }
    let bytes = kept.with_context(|| format!("backing up to {}", output.display()))?;
    line::print(&format!(
        "{bytes} bytes in {:.1?}; `everlog check --store sqlite:{}` verifies them",
        begun.elapsed(),
        output.display()
    ))
}

/// Where it is written before it has its name.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

async fn write(path: &Path, partial: &Path) -> anyhow::Result<()> {
    // A command that was stopped may have left one.
    if partial.exists() {
        fs::remove_file(partial)?;
    }
    Ok(sqlite::copy(path, partial).await?)
}

/// Gives it its name once it is on disk; its size.
fn keep(path: &Path, partial: &Path, output: &Path) -> anyhow::Result<u64> {
    fs::set_permissions(partial, fs::metadata(path)?.permissions())?;
    let file = File::open(partial)?;
    file.sync_all()?;
    // Only if nobody took the name meanwhile.
    fs::hard_link(partial, output)?;
    fs::remove_file(partial)?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file.metadata()?.len())
}
