//! The logs, as this process knows them: found once and then remembered.
//!
//! Invariant: what may change of a log (whether it requires conditions) is known to every process a
//! second after it changed, and to the one that changed it at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::tasks::Tasks;
use crate::{
    model::{Log, LogName, LogSettings},
    storage::{PutLogError, Storage, StorageError},
};

/// How long a log is not looked up again.
const FRESH: Duration = Duration::from_secs(1);
/// Logs that are remembered.
const KNOWN_MAX: usize = 10_000;

#[derive(Debug)]
struct Known {
    log: Arc<Log>,
    looked_up: Instant,
}

/// Finds and puts logs.
#[derive(Debug, Clone)]
pub struct Logs {
    storage: Storage,
    tasks: Tasks,
    known: Arc<Mutex<HashMap<LogName, Known>>>,
}

impl Logs {
    #[must_use]
    pub fn new(storage: Storage, tasks: Tasks) -> Self {
        Self { storage, tasks, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<LogName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, log: &Arc<Log>) {
        let mut known = self.known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(log.name.clone(), Known { log: log.clone(), looked_up: Instant::now() });
    }

    /// The log of this name.
    pub async fn find(&self, name: &LogName) -> Result<Option<Arc<Log>>, StorageError> {
        if let Some(known) = self.known().get_mut(name) {
            let now = Instant::now();
            if now < known.looked_up + FRESH {
                return Ok(Some(known.log.clone()));
            }
            // One looks again; the others go on with what was known.
            known.looked_up = now;
        }
        let found = self.storage.logs.log(name).await?.map(Arc::new);
        match &found {
            Some(log) => self.remember(log),
            None => drop(self.known().remove(name)),
        }
        Ok(found)
    }

    /// Creates a log or changes what may change, whether or not its caller waits; says whether it is
    /// new.
    pub async fn put(
        &self,
        settings: LogSettings,
        fresh: Log,
    ) -> Result<(Arc<Log>, bool), PutLogError> {
        let storage = self.storage.clone();
        let put = self.tasks.spawn(async move { storage.logs.put_log(&settings, fresh).await });
        let put = put.await.map_err(|panic| StorageError::OutcomeUnknown(panic.into()))?;
        let (log, is_new) = put?;
        let log = Arc::new(log);
        self.remember(&log);
        Ok((log, is_new))
    }
}
