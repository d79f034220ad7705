//! Builds declared indexes, and removes the rows of those that are none any more: step by step, in the background.
//!
//! How far an index is stands in the store: any process goes on where another stopped, and two at once do no harm.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::tasks::Tasks;
use crate::storage::{Storage, StorageError, indexes::Unfinished};

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
                tracing::debug!(%error, "it is not known which indexes are to be built");
            }
            let kicked = self.kick.notified();
            let _ = tokio::time::timeout(LOOK, kicked).await;
        }
    }

    /// Goes on until nothing is left that can be done, a step of each in turn.
    async fn step_all(&self) -> Result<(), StorageError> {
        loop {
            let mut done = false;
            for work in self.storage.projections.unfinished().await? {
                // One that fails leaves the others their turn.
                match self.step(&work).await {
                    Ok(()) => done = true,
                    Err(error) => {
                        tracing::warn!(%error, projection = %work.name, "an index is not built for now");
                    }
                }
                // Edits have waited meanwhile.
                tokio::task::yield_now().await;
            }
            if !done {
                return Ok(());
            }
        }
    }

    async fn step(&self, work: &Unfinished) -> Result<(), StorageError> {
        let log = self.storage.logs.log(&work.log).await?;
        let log = log.ok_or_else(|| StorageError::broken("an index of a log that is not there"))?;
        self.storage.projections.build(&log, work).await.map(|_| ())
    }
}
