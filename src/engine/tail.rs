//! Waits for events: read what is there, else wait for a wake-up and read again.
//!
//! Invariant: a wake-up is a hint and never the truth. A lost one costs the time of one poll.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::tasks::Tasks;
use crate::{
    model::{Event, Filter, Limits, Log, Page, Scan, Source},
    storage::{Storage, StorageError, scan, scan::ScanError},
};

/// How soon a waiting reader looks for what other processes wrote, and how seldom in the end.
const POLL_FIRST: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_millis(500);

/// Tells readers of this process that a log has grown.
#[derive(Debug, Clone, Default)]
pub struct Wakeups {
    logs: Arc<Mutex<HashMap<i64, watch::Sender<()>>>>,
}

impl Wakeups {
    /// Wakes all who wait for events of the log.
    pub fn wake(&self, log: &Log) {
        self.sender(log).send_replace(());
    }

    fn sender(&self, log: &Log) -> watch::Sender<()> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.entry(log.id).or_default().clone()
    }
}

/// Reads pages, and waits for them.
#[derive(Debug, Clone)]
pub struct Tails {
    storage: Storage,
    wakeups: Wakeups,
    tasks: Tasks,
    limits: Limits,
}

impl Tails {
    #[must_use]
    pub fn new(storage: Storage, wakeups: Wakeups, tasks: Tasks, limits: Limits) -> Self {
        Self { storage, wakeups, tasks, limits }
    }

    /// Reads a page; an empty one at the end of the source is waited for, so long.
    pub async fn page(
        &self,
        log: &Log,
        source: &Source,
        ask: &Scan,
        wait: Duration,
    ) -> Result<Page, ScanError> {
        let deadline = Instant::now() + wait;
        let mut ask = ask.clone();
        let mut poll = POLL_FIRST;
        let mut hint = self.wakeups.sender(log).subscribe();
        loop {
            hint.mark_unchanged();
            let now = Instant::now();
            let done = now >= deadline || self.tasks.stopping();
            match self.read(log, source, &ask).await {
                // Who waits has time: a busy store is asked again.
                Err(ScanError::Storage(StorageError::Unavailable(_))) if !done => {}
                Ok(page) if page.events.is_empty() && page.at_end && !done => {
                    // What was examined need not be examined again.
                    if page.cursor.is_some() {
                        ask.after_sequence_number = None;
                        ask.after = page.cursor;
                    }
                }
                read => return read,
            }
            let woken = tokio::time::timeout_at(deadline.min(now + poll), hint.changed());
            poll = (poll * 2).min(POLL_MAX);
            tokio::select! {
                _ = woken => {}
                () = self.tasks.stopped() => {}
            }
        }
    }

    /// The last event of a source that passes the filter.
    pub async fn latest(
        &self,
        log: &Log,
        source: &Source,
        filter: &Filter,
    ) -> Result<Option<Event>, StorageError> {
        scan::latest(self.storage.events.as_ref(), log, source, filter, &self.limits).await
    }

    async fn read(&self, log: &Log, source: &Source, ask: &Scan) -> Result<Page, ScanError> {
        let mut view = self.storage.events.view(log).await?;
        let page = scan::scan(view.as_mut(), log, source, ask, &self.limits).await;
        view.close().await;
        page
    }
}
