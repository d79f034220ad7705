//! Others' turn: work that never waits gives way now and then.

use std::time::{Duration, Instant};

/// As long as work goes on by itself.
const TURN: Duration = Duration::from_millis(1);

/// How long work has gone on.
#[derive(Debug)]
pub struct Turn(Instant);

impl Default for Turn {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Turn {
    /// Lets other tasks run, if it has been long.
    pub async fn end(&mut self) {
        if self.0.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
