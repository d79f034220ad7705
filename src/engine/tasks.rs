//! Spawns tasks, knows which still run, and tells them when to stop.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The tasks of one service.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs a future to its end, whoever waits for it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(future)
    }

    /// Asks everything that waits to come to an end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether the service is coming to an end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when the service is coming to an end.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Resolves when no task runs any more.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
