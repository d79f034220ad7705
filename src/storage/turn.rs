//! Others' turn: work that never waits gives way now and then.

use std::time::{Duration, Instant};

/// As long as work goes on by itself.
const TURN: Duration = Duration::from_millis(1);

/// How long work has gone on.
#[derive(Debug)]
pub struct Turn {
    begun: Instant,
    /// When others had theirs.
    since: Instant,
}

impl Default for Turn {
    fn default() -> Self {
        let now = Instant::now();
        Self { begun: now, since: now }
    }
}

impl Turn {
    /// Lets other tasks run, if it has been long.
    pub async fn end(&mut self) {
        if self.since.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
    }

    /// How long it has been in all.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.begun.elapsed()
    }
}
