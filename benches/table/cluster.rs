//! A throwaway Postgres cluster with default settings (fsync on) and memory enough for the data.
//!
//! Invariant: it is gone when this process is. A guardian (`cluster.sh`) waits for the end of a pipe
//! that only this process holds.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

/// A running cluster.
pub(crate) struct Cluster {
    /// How a superuser connects.
    pub url: String,
    guardian: Child,
}

impl Cluster {
    pub(crate) fn start(programs: Option<&Path>, place: &Path) -> anyhow::Result<Self> {
        let found = programs.map(Path::to_owned).or_else(newest);
        let programs = found.context("there is no initdb here: apt-get install postgresql")?;
        let port = free_port()?.to_string();
        let mut command = Command::new("sh");
        command.arg("-c").arg(include_str!("cluster.sh")).arg("cluster");
        command.arg(&programs).arg(place).arg(&port);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        // Out of the terminal's reach: an interrupt is for us, whose end is the guardian's.
        command.process_group(0);
        if number("-u", None) == Some(0) {
            let user = ["postgres", "nobody"]
                .iter()
                .find_map(|name| Some((number("-u", Some(name))?, number("-g", Some(name))?)));
            let (uid, gid) =
                user.context("Postgres does not run as root, and nobody else is here")?;
            command.uid(uid).gid(gid);
        }
        let mut guardian = command.spawn().context("starting the guardian of Postgres")?;
        let answers = guardian.stdout.take().context("the guardian has no output")?;
        let mut told = String::new();
        for line in BufReader::new(answers).lines().map_while(Result::ok) {
            if line.starts_with("ready ") {
                let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
                return Ok(Self { url, guardian });
            }
            told.push_str(&line);
            told.push('\n');
        }
        bail!("Postgres in {} does not start: {told}", programs.display());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input is its end; its folder is gone when it is.
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// The newest of Debian's.
fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let folders = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let newest = folders.filter(|(_, folder)| folder.join("initdb").is_file()).max()?;
    Some(newest.1)
}

/// A user's number, or its group's, as `id` tells it.
fn number(flag: &str, name: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(flag).args(name).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
