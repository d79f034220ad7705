//! Projections in memory: one map, copied by an edit while somebody reads it.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{MemoryStore, lock};
use crate::{
    model::{Direction, Edit, EntryId, Log, Projection, ProjectionName, Source},
    storage::{
        Listing, StorageError,
        projections::{
            EditOutcome, Kept, Last, Part, ProjectionSection, ProjectionView, Projections, Stretch,
            decide,
        },
    },
};

/// The documents of one log, deleted ones too.
#[derive(Debug, Clone, Default)]
pub(super) struct Drawer {
    /// Shared with the views that are open, and copied by an edit beside them.
    documents: Arc<BTreeMap<(ProjectionName, EntryId), Kept>>,
    /// What drops left behind.
    left: BTreeMap<ProjectionName, (i64, i64)>,
}

/// A drawer as it was when the view was opened.
struct Documents {
    drawer: Drawer,
    staged: Vec<Kept>,
}

impl Documents {
    fn open(drawer: &Mutex<Drawer>) -> Self {
        Self { drawer: lock(drawer).clone(), staged: Vec::new() }
    }

    fn live(&self) -> impl Iterator<Item = &Projection> {
        let live = self.drawer.documents.values().filter(|kept| !kept.deleted);
        live.map(|kept| &kept.projection)
    }
}

#[async_trait]
impl ProjectionView for Documents {
    async fn kept(
        &mut self,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError> {
        let found =
            ids.iter().filter_map(|id| self.drawer.documents.get(&(name.clone(), id.clone())));
        Ok(found.cloned().collect())
    }

    async fn stretch(&mut self, stretch: &Stretch) -> Result<Part, StorageError> {
        let place = |name: &ProjectionName, id: &str| (name.clone(), EntryId::stored(id));
        let from = stretch.from.as_ref().map(|(name, id)| place(name, id.as_str()));
        let first = || stretch.name.as_ref().map(|name| place(name, ""));
        let (start, end) = match (stretch.direction, from) {
            (Direction::Forwards, from) => {
                let start = from.map(Bound::Excluded).or_else(|| first().map(Bound::Included));
                (start.unwrap_or(Bound::Unbounded), Bound::Unbounded)
            }
            (Direction::Backwards, from) => {
                (Bound::Unbounded, from.map_or(Bound::Unbounded, Bound::Excluded))
            }
        };
        let found = self.drawer.documents.range((start, end)).map(|(_, kept)| kept);
        let found: Box<dyn Iterator<Item = &Kept> + Send> = match stretch.direction {
            Direction::Forwards => Box::new(found),
            Direction::Backwards => Box::new(found.rev()),
        };
        let of_name =
            |kept: &&Kept| stretch.name.as_ref().is_none_or(|name| kept.projection.name == *name);
        let mut live = found.take_while(of_name).filter(|kept| !kept.deleted);
        let documents = live.by_ref().take(stretch.limit).map(|kept| kept.projection.clone());
        let documents = documents.collect();
        Ok(Part { documents, at_end: live.next().is_none() })
    }

    async fn of_source(
        &mut self,
        name: &ProjectionName,
        source: &Source,
        limit: usize,
    ) -> Result<Vec<Projection>, StorageError> {
        let found = self.live().filter(|found| found.name == *name && found.source == *source);
        Ok(found.take(limit).cloned().collect())
    }

    async fn names(
        &mut self,
        listing: &Listing,
    ) -> Result<Vec<(ProjectionName, i64)>, StorageError> {
        let mut names = BTreeMap::new();
        for document in self.live().filter(|found| listing.holds(found.name.as_str())) {
            *names.entry(document.name.clone()).or_insert(0) += 1;
        }
        Ok(names.into_iter().take(listing.limit).collect())
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl ProjectionSection for Documents {
    async fn last(&mut self, name: &ProjectionName) -> Result<Last, StorageError> {
        let (change, version) = self.drawer.left.get(name).copied().unwrap_or_default();
        let of_name = self.drawer.documents.values().filter(|kept| kept.projection.name == *name);
        let last = of_name.max_by_key(|kept| kept.change);
        Ok(Last {
            change: last.map_or(change, |kept| kept.change),
            version,
            updated_at: last.map(|kept| kept.projection.updated_at),
        })
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        self.staged.extend_from_slice(documents);
        Ok(())
    }
}

#[async_trait]
impl Projections for MemoryStore {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        Ok(Box::new(Documents::open(&self.entry(log)?.drawer)))
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        let mut section = Documents::open(&entry.drawer);
        let outcomes = decide(&mut section, name, self.clock.now(), batch).await?;
        let staged = std::mem::take(&mut section.staged);
        drop(section);
        let mut drawer = lock(&entry.drawer);
        let documents = Arc::make_mut(&mut drawer.documents);
        for kept in staged {
            documents.insert((name.clone(), kept.projection.id.clone()), kept);
        }
        Ok(outcomes)
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        let mut drawer = lock(&entry.drawer);
        let (mut change, mut version) = drawer.left.get(name).copied().unwrap_or_default();
        let mut dropped = 0;
        Arc::make_mut(&mut drawer.documents).retain(|(of, _), kept| {
            if of == name {
                change = change.max(kept.change);
                version = version.max(kept.projection.version);
                dropped += i64::from(!kept.deleted);
            }
            of != name
        });
        drawer.left.insert(name.clone(), (change, version));
        Ok(dropped)
    }
}
