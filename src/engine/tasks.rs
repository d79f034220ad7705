//! Spawns tasks, knows which still run, and tells them when to stop.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The tasks of one service.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    background: TaskTracker,
    end: CancellationToken,
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

    /// Runs long work on a thread of its own.
    pub fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.tracker.spawn_blocking(work)
    }

    /// Runs a future until it ends, or until nothing runs any more that was asked for.
    pub fn background<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let end = self.end.clone();
        self.background.spawn(async move { end.run_until_cancelled(future).await });
    }

    /// Counts as a task until it is dropped.
    pub fn token(&self) -> TaskTrackerToken {
        self.tracker.token()
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

    /// Resolves when no task runs any more, nor anything in the background.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.end.cancel();
        self.background.close();
        self.background.wait().await;
    }
}
