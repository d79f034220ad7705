//! What a process of this machine uses, as `/proc` tells it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use tokio::time::Instant;

/// Linux counts CPU time for `/proc` in hundredths of a second, on every architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Process(PathBuf);

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    pub(super) fn own() -> Self {
        Self(PathBuf::from("/proc/self"))
    }

    /// The memory it has in use, in KiB.
    pub(super) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = self.file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("/proc tells no VmRSS")?.parse()?)
    }

    /// The CPU time it has used.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.file("stat")?;
        let ticks = ticks(&stat).context("/proc tells no times")?;
        Ok(Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND))
    }

    fn file(&self, name: &str) -> anyhow::Result<String> {
        let path = self.0.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

/// utime + stime. The name before them may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    user.checked_add(system)
}

/// How many cores processes use between two moments.
pub(super) struct Cores {
    since: Instant,
    server: Option<(Process, Duration)>,
    client: Option<Duration>,
}

/// What they used. Absent where nobody knows.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct CoresUsed {
    pub server: Option<f64>,
    pub client: Option<f64>,
    #[serde(skip)]
    pub client_cpu: Option<Duration>,
}

impl Cores {
    /// Begins to watch.
    pub(super) fn watch(server: Option<&Process>) -> anyhow::Result<Self> {
        let server = server.map(|process| anyhow::Ok((process.clone(), process.cpu()?)));
        let server = server.transpose()?;
        Ok(Self { since: Instant::now(), server, client: Process::own().cpu().ok() })
    }

    pub(super) fn used(&self) -> CoresUsed {
        let wall = self.since.elapsed().as_secs_f64();
        let spent = |process: &Process, before: Duration| {
            let now = process.cpu().ok()?;
            Some(now.saturating_sub(before))
        };
        let cores = |cpu: Duration| cpu.as_secs_f64() / wall;
        let client_cpu = self.client.and_then(|before| spent(&Process::own(), before));
        let server = self.server.as_ref().and_then(|(process, before)| spent(process, *before));
        CoresUsed { server: server.map(cores), client: client_cpu.map(cores), client_cpu }
    }
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194304 100 0 0 0 17 5 0 0 20 0 3 0 99 1 1";
        assert_eq!(ticks(stat), Some(22));
        assert_eq!(ticks("42 (a"), None);
    }
}
