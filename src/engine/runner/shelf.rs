//! The documents that a runner has at hand, between batches and commits.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::attempt::AtHand;
use crate::{
    model::{EntryId, Log, ProjectionName},
    projector::{Batch, Document, Documents},
    storage::{Storage, StorageError, projections::Kept},
};

/// Bytes of documents that are kept in memory between commits.
const CACHE_BYTES: usize = 64 << 20;

/// The documents of a revision that are at hand.
pub(super) struct Shelf {
    storage: Storage,
    log: Arc<Log>,
    name: ProjectionName,
    documents: Documents,
    bytes: usize,
    /// Those that are not as they are in the store.
    dirty: HashSet<EntryId>,
    pub(super) dirty_bytes: usize,
}

impl Shelf {
    pub(super) fn new(storage: Storage, log: Arc<Log>, name: ProjectionName) -> Self {
        Self {
            storage,
            log,
            name,
            documents: HashMap::new(),
            bytes: 0,
            dirty: HashSet::new(),
            dirty_bytes: 0,
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What the store has not, in the order of the events that changed it.
    pub(super) fn changes(&self) -> Vec<Kept> {
        let documents = self.dirty.iter().filter_map(|id| self.documents.get(id)?.as_ref());
        let mut kept: Vec<_> = documents.map(|document| document.kept.clone()).collect();
        kept.sort_by(|a, b| {
            let (a, b) = (&a.projection, &b.projection);
            (a.sequence_number, &a.id).cmp(&(b.sequence_number, &b.id))
        });
        kept
    }

    /// The store has all of it.
    pub(super) fn kept(&mut self) {
        self.dirty.clear();
        self.dirty_bytes = 0;
    }
}

impl AtHand for Shelf {
    async fn load(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        if self.bytes > CACHE_BYTES {
            let dirty = &self.dirty;
            self.documents.retain(|id, _| dirty.contains(id));
            self.bytes = self.documents.values().flatten().map(Document::bytes).sum();
        }
        let missing: HashSet<&EntryId> =
            batch.ids().filter(|id| !self.documents.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<EntryId> = missing.into_iter().cloned().collect();
        // Nothing but this revision's owner writes them, and if that is somebody else the commit is refused.
        let found = self.storage.projections.documents(&self.log, &self.name, &missing).await?;
        self.documents.extend(missing.into_iter().map(|id| (id, None)));
        for kept in found {
            let document = Document::of(kept);
            self.bytes += document.bytes();
            self.documents.insert(document.kept.projection.id.clone(), Some(document));
        }
        Ok(())
    }

    fn documents(&self) -> &Documents {
        &self.documents
    }

    fn keep(&mut self, document: Document) {
        let id = document.kept.projection.id.clone();
        let bytes = document.bytes();
        self.bytes += bytes;
        self.dirty_bytes += bytes;
        if let Some(before) = self.documents.insert(id.clone(), Some(document)).flatten() {
            self.bytes -= before.bytes();
        }
        self.dirty.insert(id);
    }
}
