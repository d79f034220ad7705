//! What was measured on: without it a figure means nothing.

use std::{path::Path, process::Command};

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, PgConnection, SqliteConnection};

/// Lines that stand above a table; the Postgres at this URL is one of the stores.
pub(crate) async fn facts(url: &str) -> anyhow::Result<Vec<String>> {
    let cores = std::thread::available_parallelism()?;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let kernel = read("/proc/sys/kernel/osrelease");
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    let dirty = if changed.is_empty() { "" } else { " and changes" };
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    Ok(vec![
        format!("{cores} cores ({model}), kernel {}, {}", kernel.trim(), said("rustc", &["-V"])),
        format!("Everlog {commit}{dirty}, clients on the same cores, loopback HTTP"),
        postgres(url).await?,
        sqlite().await?,
    ])
}

/// Which Postgres, and how durable.
pub(crate) async fn postgres(url: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(url).await?;
    let mut told = Vec::new();
    for show in
        ["SHOW server_version", "SHOW fsync", "SHOW synchronous_commit", "SHOW shared_buffers"]
    {
        told.push(sqlx::query_scalar::<_, String>(show).fetch_one(&mut connection).await?);
    }
    let [version, fsync, commit, buffers] = told.as_slice() else { bail!("{told:?}") };
    Ok(format!(
        "Postgres {version} (fsync={fsync}, synchronous_commit={commit}, shared_buffers={buffers}) \
         over loopback TCP"
    ))
}

/// Which SQLite, and how durable.
pub(crate) async fn sqlite() -> anyhow::Result<String> {
    let mut memory = SqliteConnection::connect("sqlite::memory:").await?;
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut memory).await?;
    Ok(format!("SQLite {version} (WAL, synchronous=FULL)"))
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
