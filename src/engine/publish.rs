//! Publishes: a bounded door to the store, and the wake-up of those who wait for events.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{tail::Wakeups, tasks::Tasks};
use crate::{
    model::{Ack, Log, Publish},
    storage::{Refusal, Storage, StorageError},
};

/// Publishes that may be under way at once; one more is told to come back.
const IN_FLIGHT_MAX: usize = 10_000;

/// Why a publish was not done.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("refused")]
    Refused(Box<Refusal>),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes to a store.
#[derive(Debug, Clone)]
pub struct Publisher {
    storage: Storage,
    wakeups: Wakeups,
    tasks: Tasks,
    in_flight: Arc<Semaphore>,
}

impl Publisher {
    #[must_use]
    pub fn new(storage: Storage, wakeups: Wakeups, tasks: Tasks) -> Self {
        Self { storage, wakeups, tasks, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) }
    }

    /// Publishes. A caller that goes away does not undo what it asked for.
    pub async fn publish(&self, log: &Log, publish: Publish) -> Result<Ack, PublishError> {
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            return Err(StorageError::Unavailable("too many publishes under way".into()).into());
        };
        let (storage, wakeups, log) = (self.storage.clone(), self.wakeups.clone(), log.clone());
        let work = self.tasks.spawn(async move {
            let outcomes = storage.events.append(&log, &[publish]).await;
            wakeups.wake(&log);
            drop(permit);
            outcomes
        });
        let outcomes = work.await.map_err(|panic| StorageError::OutcomeUnknown(panic.into()))??;
        match outcomes.into_iter().next() {
            Some(Ok(ack)) => Ok(ack),
            Some(Err(refusal)) => Err(PublishError::Refused(Box::new(refusal))),
            None => Err(StorageError::broken("a publish without an outcome").into()),
        }
    }
}
