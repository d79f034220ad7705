//! The entries of a projector that wait, each with the event that failed and those that came after it.
//!
//! They are kept as documents of a name of their own, and change in the transaction that moves the projector on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::halt::Halt;
use crate::{
    model::{
        Direction, EntryId, Event, Json, Log, Parked, Projection, ProjectionName, Revision, Source,
    },
    storage::{
        Storage, StorageError,
        projections::{Kept, Stretch},
    },
};

/// Entries, and their events, that may wait before the projector goes no further.
pub const IDS_MAX: usize = 1_000;
pub const EVENTS_MAX: usize = 10_000;

/// What an entry waits with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Why the first of its events could not be applied.
    pub fault: Halt,
    /// Its events, by their ids, in order.
    pub events: Vec<Uuid>,
}

/// The entries of a revision that wait.
#[derive(Debug, Default)]
pub(super) struct Parking {
    waiting: BTreeMap<EntryId, Waiting>,
    /// Those that are not as they are in the store.
    changed: BTreeSet<EntryId>,
    events: usize,
}

impl Parking {
    /// Those that the store has.
    pub(super) async fn load(
        storage: &Storage,
        log: &Log,
        revision: &Revision,
    ) -> Result<Self, StorageError> {
        if revision.progress.parked == Parked::default() {
            return Ok(Self::default());
        }
        let waiting: BTreeMap<_, _> = waiting(storage, log, revision).await?.into_iter().collect();
        let events = waiting.values().map(|waiting| waiting.events.len()).sum();
        Ok(Self { waiting, changed: BTreeSet::new(), events })
    }

    pub(super) fn get(&self, id: &EntryId) -> Option<&Waiting> {
        self.waiting.get(id)
    }

    pub(super) fn holds(&self, id: &EntryId) -> bool {
        self.waiting.contains_key(id)
    }

    pub(super) fn ids(&self) -> Vec<EntryId> {
        self.waiting.keys().cloned().collect()
    }

    /// Why no further entry can wait, if so.
    pub(super) fn is_full(&self) -> Option<String> {
        let (ids, events) = (self.waiting.len(), self.events);
        (ids >= IDS_MAX || self.is_crowded()).then(|| {
            format!("{ids} entries wait of {IDS_MAX}, with {events} events of {EVENTS_MAX}: retry or skip them")
        })
    }

    /// Whether no further event can wait.
    pub(super) fn is_crowded(&self) -> bool {
        self.events >= EVENTS_MAX
    }

    /// An entry waits, from the event on that failed and is added next.
    pub(super) fn park(&mut self, id: &EntryId, fault: Halt) {
        self.waiting.insert(id.clone(), Waiting { fault, events: Vec::new() });
    }

    /// An event waits, if its entry does.
    pub(super) fn add(&mut self, id: &EntryId, event: Uuid) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.events.push(event);
            self.events += 1;
            self.changed.insert(id.clone());
        }
    }

    /// The first event of an entry failed again.
    pub(super) fn failed(&mut self, id: &EntryId, fault: Halt) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.fault = fault;
            self.changed.insert(id.clone());
        }
    }

    /// The first events of an entry wait no longer.
    pub(super) fn passed(&mut self, id: &EntryId, count: usize) {
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        let count = count.min(waiting.events.len());
        waiting.events.drain(..count);
        if waiting.events.is_empty() {
            self.waiting.remove(id);
        }
        self.events -= count;
        self.changed.insert(id.clone());
    }

    pub(super) fn told(&self) -> Parked {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Parked { ids: number(self.waiting.len()), events: number(self.events) }
    }

    /// What the store is to have, of this event's time.
    pub(super) fn changes(&self, name: &ProjectionName, at: crate::model::Timestamp) -> Vec<Kept> {
        let kept = |id: &EntryId| {
            let waiting = self.waiting.get(id);
            let state = waiting.and_then(|waiting| serde_json::to_string(waiting).ok());
            let projection = Projection {
                name: name.clone(),
                id: id.clone(),
                source: Source::Log,
                state: state.map_or(Json::Null, |state| Json::stored(&state)),
                metadata: Json::Null,
                version: 1,
                sequence_number: waiting.map(|waiting| waiting.fault.event.sequence_number),
                created_at: at,
                updated_at: at,
            };
            Kept { projection, change: 0, deleted: waiting.is_none() }
        };
        self.changed.iter().map(kept).collect()
    }

    /// The store has all of it.
    pub(super) fn kept(&mut self) {
        self.changed.clear();
    }
}

/// Bytes of those that are read at once.
const READ_BYTES: usize = 4 << 20;

/// The entries of a revision that wait, by their ids.
pub async fn waiting(
    storage: &Storage,
    log: &Log,
    revision: &Revision,
) -> Result<Vec<(EntryId, Waiting)>, StorageError> {
    let mut stretch = Stretch {
        name: Some(revision.parked()),
        from: None,
        direction: Direction::Forwards,
        limit: IDS_MAX,
        bytes: READ_BYTES,
        sieve: None,
    };
    let mut view = storage.projections.projections(log).await?;
    let mut found = Vec::new();
    loop {
        let part = view.stretch(&stretch).await?;
        for document in part.documents {
            let waiting = serde_json::from_str(&document.state.to_string());
            let waiting = waiting.map_err(|error| StorageError::Broken(error.into()))?;
            found.push((document.id, waiting));
        }
        stretch.from = part.last;
        if part.at_end {
            break;
        }
    }
    view.close().await;
    Ok(found)
}

/// Events by their ids, in the order of those; one that is not there is left out.
pub(super) async fn events(
    storage: &Storage,
    log: &Log,
    ids: &[Uuid],
) -> Result<Vec<Event>, StorageError> {
    let known = storage.events.look(log, &[], ids).await?;
    let mut known: BTreeMap<Uuid, Event> =
        known.events.into_iter().map(|event| (event.id, event)).collect();
    Ok(ids.iter().filter_map(|id| known.remove(id)).collect())
}
