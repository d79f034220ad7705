//! The memory store: plain collections, gone with the process. The fake of every other test; the
//! conformance suite is its licence.

mod keys;
mod projections;
mod projectors;
mod shelf;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::shelf::Shelf;
use super::{
    AppendError, End, Events, Health, Known, Listing, Logs, Outcome, PutLogError, Section, Span,
    StorageError, Tip, Usage, View, append,
};
use crate::{
    auth::{ApiKey, Ticket},
    model::{
        CategoryName, Clock, Event, Lane, Log, LogName, LogSettings, Publish, Source, StreamKey,
        StreamName,
    },
};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    logs: Mutex<BTreeMap<LogName, Entry>>,
    keys: Mutex<BTreeMap<String, ApiKey>>,
    tickets: Mutex<BTreeMap<String, Ticket>>,
    /// The id of the next revision of a projector.
    next_revision: AtomicI64,
}

#[derive(Debug, Clone)]
struct Entry {
    log: Log,
    shelf: Arc<Mutex<Shelf>>,
    /// Held by the one append that is deciding.
    appending: Arc<tokio::sync::Mutex<()>>,
    drawer: Arc<Mutex<projections::Drawer>>,
    /// Held by the one edit that is deciding.
    editing: Arc<tokio::sync::Mutex<()>>,
}

/// A panic while a lock was held left nothing half-done: shelves check before they change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            logs: Mutex::default(),
            keys: Mutex::default(),
            tickets: Mutex::default(),
            next_revision: AtomicI64::new(1),
        }
    }

    fn entry(&self, log: &Log) -> Result<Entry, StorageError> {
        let logs = lock(&self.logs);
        logs.get(&log.name).cloned().ok_or_else(|| StorageError::broken("the log is not there"))
    }

    /// The shelf of a log, for tests that go around the lock.
    pub fn shelf(&self, log: &Log) -> Result<Arc<Mutex<Shelf>>, StorageError> {
        Ok(self.entry(log)?.shelf)
    }
}

#[async_trait]
impl Logs for MemoryStore {
    async fn put_log(
        &self,
        settings: &LogSettings,
        fresh: Log,
    ) -> Result<(Log, bool), PutLogError> {
        let mut logs = lock(&self.logs);
        if let Some(entry) = logs.get_mut(&settings.name) {
            if settings.lanes.is_some_and(|lanes| lanes != entry.log.lanes) {
                return Err(PutLogError::OtherLanes(Box::new(entry.log.clone())));
            }
            if let Some(require) = settings.require_condition {
                entry.log.require_condition = require;
            }
            return Ok((entry.log.clone(), false));
        }
        let log = Log { id: i64::try_from(logs.len()).unwrap_or(i64::MAX), ..fresh };
        let shelf = Arc::new(Mutex::new(Shelf::new(log.lanes)));
        let entry = Entry {
            log: log.clone(),
            shelf,
            appending: Arc::default(),
            drawer: Arc::default(),
            editing: Arc::default(),
        };
        logs.insert(settings.name.clone(), entry);
        Ok((log, true))
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        Ok(lock(&self.logs).get(name).map(|entry| entry.log.clone()))
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        let logs = lock(&self.logs);
        let wanted = logs.values().filter(|entry| listing.holds(entry.log.name.as_str()));
        Ok(wanted.take(listing.limit).map(|entry| entry.log.clone()).collect())
    }
}

#[async_trait]
impl Events for MemoryStore {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        Ok(Box::new(MemoryView::open(self.entry(log)?.shelf)))
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let entry = self.entry(log)?;
        let _turn = entry.appending.lock().await;
        let mut section = MemoryView::open(entry.shelf.clone());
        let outcomes = append::decide(&mut section, log, self.clock.now(), batch).await?;
        lock(&entry.shelf).extend(section.staged).map_err(|taken| StorageError::broken(taken.0))?;
        Ok(outcomes)
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        let mut view = MemoryView::open(self.entry(log)?.shelf);
        let positions = view.positions(streams).await?;
        Ok(Known { positions, events: view.with_ids(ids).await? })
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        let logs = lock(&self.logs);
        let end = |(id, lane): &(i64, Lane)| {
            let entry = logs.values().find(|entry| entry.log.id == *id)?;
            Some(lock(&entry.shelf).end(*lane))
        };
        Ok(lanes.iter().map(|lane| end(lane).unwrap_or(End::EMPTY)).collect())
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.appending.lock().await;
        let mut shelf = lock(&entry.shelf);
        Ok(shelf.end(lane) == end && shelf.extend(events.to_vec()).is_ok())
    }
}

#[async_trait]
impl Health for MemoryStore {
    async fn ready(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn description(&self) -> String {
        "memory (lost when the process ends)".to_owned()
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        Ok(Usage::default())
    }

    fn outlives_process(&self) -> bool {
        false
    }

    async fn close(&self) {}
}

/// A shelf as it was when the view was opened.
struct MemoryView {
    shelf: Arc<Mutex<Shelf>>,
    /// How many events each lane had then.
    extent: Vec<i64>,
    staged: Vec<Event>,
}

impl MemoryView {
    fn open(shelf: Arc<Mutex<Shelf>>) -> Self {
        let extent = lock(&shelf).extent();
        Self { shelf, extent, staged: Vec::new() }
    }
}

#[async_trait]
impl View for MemoryView {
    async fn rows(&mut self, span: &Span) -> Result<Vec<Event>, StorageError> {
        Ok(lock(&self.shelf).rows(span, &self.extent))
    }

    async fn tip(&mut self, source: &Source, lane: Lane) -> Result<Option<Tip>, StorageError> {
        Ok(lock(&self.shelf).tip(source, lane, &self.extent))
    }

    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError> {
        let shelf = lock(&self.shelf);
        let position = |key: &StreamKey| {
            let tip = shelf.tip(&Source::Stream(key.clone()), 0, &self.extent)?;
            Some((key.clone(), tip.position))
        };
        Ok(streams.iter().filter_map(position).collect())
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        Ok(lock(&self.shelf).with_ids(ids, &self.extent))
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        Ok(lock(&self.shelf).categories(listing, &self.extent))
    }

    async fn streams(
        &mut self,
        category: &CategoryName,
        listing: &Listing,
    ) -> Result<Vec<StreamName>, StorageError> {
        Ok(lock(&self.shelf).streams(category, listing, &self.extent))
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        Ok(lock(&self.shelf).count(category, &self.extent))
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl Section for MemoryView {
    async fn insert(&mut self, events: &[Event]) -> Result<(), StorageError> {
        self.staged.extend_from_slice(events);
        Ok(())
    }
}
