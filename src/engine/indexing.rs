//! Builds declared indexes, and removes the rows of those that are none any more: step by step, in the background.
//!
//! How far an index is stands in the store: any process goes on where another stopped, and two at once do no harm.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::tasks::Tasks;
use crate::storage::{Storage, StorageError};

/// How often it is looked for work that another process left behind.
const LOOK: Duration = Duration::from_secs(10);

/// Has indexes built.
#[derive(Debug, Clone)]
pub struct Indexer {
    storage: Storage,
    kick: Arc<Notify>,
}

impl Indexer {
    /// Begins with what is unfinished.
    #[must_use]
    pub fn new(storage: Storage, tasks: &Tasks) -> Self {
        let indexer = Self { storage, kick: Arc::default() };
        tasks.background(indexer.clone().run());
        indexer
    }

    /// There is something new to do.
    pub fn kick(&self) {
        self.kick.notify_one();
    }

    async fn run(self) {
        loop {
            if let Err(error) = self.step_all().await {
                tracing::warn!(%error, "an index is not built for now");
            }
            let kicked = self.kick.notified();
            let _ = tokio::time::timeout(LOOK, kicked).await;
        }
    }

    /// Goes on until nothing is left, a step of each in turn.
    async fn step_all(&self) -> Result<(), StorageError> {
        loop {
            let unfinished = self.storage.projections.unfinished().await?;
            if unfinished.is_empty() {
                return Ok(());
            }
            for work in unfinished {
                let Some(log) = self.storage.logs.log(&work.log).await? else { continue };
                if self.storage.projections.build(&log, &work).await? {
                    tracing::debug!(log = %work.log, projection = %work.name, "an index is finished");
                }
                // Edits have waited meanwhile.
                tokio::task::yield_now().await;
            }
        }
    }
}
