//! What was measured on: without it a figure means nothing.

use std::{path::Path, process::Command};

use anyhow::{Context, ensure};
use sqlx::{Connection, SqliteConnection};

use crate::cells::Stage;

/// Lines that stand above the table.
pub(crate) async fn facts(stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    let cores = std::thread::available_parallelism()?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let kernel = read("/proc/sys/kernel/osrelease");
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    let dirty = if changed.is_empty() { "" } else { " and changes" };
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let mut memory = SqliteConnection::connect("sqlite::memory:").await?;
    let sqlite: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut memory).await?;
    let limit = &mut stage.postgres;
    Ok(vec![
        format!("{cores} cores ({model}), kernel {}, {}", kernel.trim(), said("rustc", &["-V"])),
        format!("Everlog {commit}{dirty}, clients on the same cores, loopback HTTP"),
        format!(
            "Postgres {} (fsync={}, synchronous_commit={}, shared_buffers={}) over loopback TCP",
            limit.show("server_version").await?,
            limit.show("fsync").await?,
            limit.show("synchronous_commit").await?,
            limit.show("shared_buffers").await?
        ),
        format!("SQLite {sqlite} (WAL, synchronous=FULL)"),
    ])
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| format!("no {program}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// A folder in memory would make syncing free.
pub(crate) fn refuse_memory(folder: &Path) -> anyhow::Result<()> {
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.len());
    let kind = mount.map_or("unknown", |(_, kind)| kind);
    let in_memory = ["tmpfs", "ramfs"].contains(&kind);
    ensure!(!in_memory, "{} is in memory ({kind}): name a --folder on a disk", folder.display());
    Ok(())
}
