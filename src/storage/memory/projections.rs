//! Projections in memory: one map, copied by an edit while somebody reads it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::{MemoryStore, lock, projectors::Stored};
use crate::{
    model::{Direction, Edit, EntryId, Log, Projection, ProjectionName, Source},
    query::index::{Index, Row},
    storage::{
        Listing, StorageError,
        indexes::{self as declared, Alike, Declared, IndexRow, Keys, Unfinished},
        projections::{
            EditOutcome, Kept, Last, NameEnd, Part, ProjectionSection, ProjectionView, Projections,
            Stretch, decide, last,
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
    indexes: Arc<BTreeMap<i64, Shelved>>,
    /// The last index that was declared.
    last_index: i64,
    pub(super) revisions: BTreeMap<i64, Stored>,
}

/// An index and its rows.
#[derive(Debug, Clone)]
struct Shelved {
    name: ProjectionName,
    declared: Declared,
    retired: bool,
    rows: BTreeSet<(Row, EntryId)>,
}

impl Drawer {
    /// Removes the documents and indexes of a name; how many documents there were, and what is left behind.
    pub(super) fn forget(&mut self, name: &ProjectionName) -> i64 {
        let (mut change, mut version) = self.left.get(name).copied().unwrap_or_default();
        let mut dropped = 0;
        Arc::make_mut(&mut self.documents).retain(|(of, _), kept| {
            if of == name {
                change = change.max(kept.change);
                version = version.max(kept.projection.version);
                dropped += i64::from(!kept.deleted);
            }
            of != name
        });
        self.left.insert(name.clone(), (change + 1, version));
        for shelved in Arc::make_mut(&mut self.indexes).values_mut() {
            shelved.retired |= shelved.name == *name;
        }
        dropped
    }

    /// The documents of a name with these ids, in this order.
    fn documents_of(&self, name: &ProjectionName, ids: &[&EntryId]) -> Vec<Projection> {
        let place = |id: &EntryId| (name.clone(), id.clone());
        let found = ids.iter().filter_map(|id| self.documents.get(&place(id)));
        found.map(|kept| kept.projection.clone()).collect()
    }
}

/// A drawer as it was when the view was opened.
pub(super) struct Documents {
    pub(super) drawer: Drawer,
    staged: Vec<Step>,
    /// The id of a revision that is added.
    pub(super) next_revision: i64,
}

/// What a section is to change, in order.
type Step = Box<dyn FnOnce(&mut Drawer) + Send>;

impl Documents {
    pub(super) fn open(drawer: &Mutex<Drawer>) -> Self {
        Self { drawer: lock(drawer).clone(), staged: Vec::new(), next_revision: 0 }
    }

    pub(super) fn stage(&mut self, step: impl FnOnce(&mut Drawer) + Send + 'static) {
        self.staged.push(Box::new(step));
    }

    fn change_index(&mut self, id: i64, change: impl FnOnce(&mut Shelved) + Send + 'static) {
        self.staged.push(Box::new(move |drawer| {
            Arc::make_mut(&mut drawer.indexes).get_mut(&id).map(change);
        }));
    }

    /// Ends a section: does what is staged.
    pub(super) fn commit(mut self, drawer: &Mutex<Drawer>) {
        let staged = std::mem::take(&mut self.staged);
        // What it saw is let go, so that nothing is copied.
        drop(self);
        let mut drawer = lock(drawer);
        staged.into_iter().for_each(|step| step(&mut drawer));
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
        let documents: Vec<Projection> = documents.collect();
        Ok(Part::whole(documents, live.next().is_none()))
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

    async fn end(&mut self, name: &ProjectionName) -> Result<NameEnd, StorageError> {
        let last = last(self, name).await?;
        let of_name = self.drawer.documents.values().filter(|kept| kept.projection.name == *name);
        let numbers = of_name.filter_map(|kept| kept.projection.sequence_number);
        let (dropped, _) = self.drawer.left.get(name).copied().unwrap_or_default();
        let sequence_number = numbers.max().unwrap_or(0);
        Ok(NameEnd { change: last.change, dropped, sequence_number })
    }

    async fn changed(
        &mut self,
        name: &ProjectionName,
        after: i64,
        limit: usize,
        _bytes: usize,
    ) -> Result<Vec<Kept>, StorageError> {
        let all = self.drawer.documents.values();
        let mut found: Vec<&Kept> =
            all.filter(|kept| kept.projection.name == *name && kept.change > after).collect();
        found.sort_unstable_by_key(|kept| kept.change);
        Ok(found.into_iter().take(limit).cloned().collect())
    }

    async fn indexes(&mut self, name: &ProjectionName) -> Result<Vec<Declared>, StorageError> {
        let all = self.drawer.indexes.values();
        let live = all.filter(|shelved| shelved.name == *name && !shelved.retired);
        Ok(live.map(|shelved| shelved.declared.clone()).collect())
    }

    async fn keyed(&mut self, keys: &Keys) -> Result<Part, StorageError> {
        let shelved = self.drawer.indexes.get(&keys.index).filter(|_| keys.from < keys.to);
        let Some(shelved) = shelved else { return Ok(Part::whole(Vec::new(), true)) };
        let bound = |key: &[u8]| (Row { key: key.to_vec(), pieces: 0 }, EntryId::stored(""));
        let rows = shelved.rows.range(bound(&keys.from)..bound(&keys.to)).map(|(_, id)| id);
        let documents = |ids: Vec<&EntryId>| self.drawer.documents_of(&keys.name, &ids);
        let found = match keys.direction {
            Direction::Forwards => documents(rows.take(keys.limit).collect()),
            Direction::Backwards => documents(rows.rev().take(keys.limit).collect()),
        };
        let at_end = found.len() < keys.limit;
        Ok(Part::whole(found, at_end))
    }

    async fn keys_between(
        &mut self,
        index: i64,
        from: &[u8],
        to: &[u8],
    ) -> Result<u64, StorageError> {
        let rows = self.drawer.indexes.get(&index).map(|shelved| &shelved.rows);
        let keys = rows.into_iter().flatten().map(|(row, _)| row.key.as_slice());
        let between = keys.filter(|key| *key >= from && *key < to).count();
        Ok(u64::try_from(between).unwrap_or(u64::MAX))
    }

    async fn alike(&mut self, alike: &Alike) -> Result<Vec<EntryId>, StorageError> {
        let rows = self.drawer.indexes.get(&alike.index).map(|shelved| &shelved.rows);
        let mut shared = HashMap::new();
        for (row, id) in rows.into_iter().flatten() {
            if alike.pieces.iter().any(|piece| piece.as_bytes() == row.key) {
                shared.entry(id).or_insert((0, row.pieces)).0 += 1;
            }
        }
        let count = |count: i64| i32::try_from(count).map_or(f64::MAX, f64::from);
        let asked = i64::try_from(alike.pieces.len()).unwrap_or(i64::MAX);
        let scored = shared
            .into_iter()
            .map(|(id, (shared, pieces))| (count(shared) / count(asked + pieces - shared), id));
        let mut scored: Vec<(f64, &EntryId)> = scored
            .filter(|(score, id)| {
                let after = alike.after.as_ref();
                *score >= alike.at_least
                    && after.is_none_or(|(last, of)| {
                        score < last || (score.total_cmp(last).is_eq() && *id > of)
                    })
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        Ok(scored.into_iter().take(alike.limit).map(|(_, id)| id.clone()).collect())
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
    async fn lasts(&mut self, names: &[&ProjectionName]) -> Result<Vec<Last>, StorageError> {
        let last = |name: &&ProjectionName| {
            let (change, version) = self.drawer.left.get(*name).copied().unwrap_or_default();
            let documents = self.drawer.documents.values();
            let of_name = documents.filter(|kept| kept.projection.name == **name);
            let last = of_name.max_by_key(|kept| kept.change);
            Last {
                change: last.map_or(change, |kept| kept.change),
                version,
                updated_at: last.map(|kept| kept.projection.updated_at),
                indexed: self.drawer.indexes.values().any(|index| index.name == **name),
            }
        };
        Ok(names.iter().map(last).collect())
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        let documents = documents.to_vec();
        self.staged.push(Box::new(|drawer| {
            let kept = Arc::make_mut(&mut drawer.documents);
            for document in documents {
                let place = (document.projection.name.clone(), document.projection.id.clone());
                kept.insert(place, document);
            }
        }));
        Ok(())
    }

    async fn rekey(
        &mut self,
        removed: &[IndexRow],
        added: &[IndexRow],
    ) -> Result<(), StorageError> {
        let (removed, added) = (removed.to_vec(), added.to_vec());
        self.staged.push(Box::new(|drawer| {
            let indexes = Arc::make_mut(&mut drawer.indexes);
            for IndexRow { index, row, id } in removed {
                indexes.get_mut(&index).map(|shelved| shelved.rows.remove(&(row, id)));
            }
            for IndexRow { index, row, id } in added {
                indexes.get_mut(&index).map(|shelved| shelved.rows.insert((row, id)));
            }
        }));
        Ok(())
    }

    async fn begin_index(
        &mut self,
        name: &ProjectionName,
        index: &Index,
    ) -> Result<(), StorageError> {
        let (name, index) = (name.clone(), index.clone());
        self.staged.push(Box::new(|drawer| {
            drawer.last_index += 1;
            let id = drawer.last_index;
            let declared = Declared { id, index, built: false, upto: None, documents: 0 };
            let shelved = Shelved { name, declared, retired: false, rows: BTreeSet::new() };
            Arc::make_mut(&mut drawer.indexes).insert(id, shelved);
        }));
        Ok(())
    }

    async fn advance_index(&mut self, index: &Declared) -> Result<(), StorageError> {
        self.change_index(index.id, {
            let index = index.clone();
            |shelved| shelved.declared = index
        });
        Ok(())
    }

    async fn retire_index(&mut self, id: i64) -> Result<(), StorageError> {
        self.change_index(id, |shelved| shelved.retired = true);
        Ok(())
    }

    async fn sweep_index(&mut self, id: i64, _limit: usize) -> Result<bool, StorageError> {
        self.staged.push(Box::new(move |drawer| {
            Arc::make_mut(&mut drawer.indexes).remove(&id);
        }));
        Ok(true)
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
        section.commit(&entry.drawer);
        Ok(outcomes)
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        Ok(lock(&entry.drawer).forget(name))
    }

    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        wanted: &[Index],
    ) -> Result<(), StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        let mut section = Documents::open(&entry.drawer);
        declared::declare(&mut section, name, wanted).await?;
        section.commit(&entry.drawer);
        Ok(())
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        let logs: Vec<_> = lock(&self.logs).values().cloned().collect();
        let mut found = Vec::new();
        for entry in logs {
            let indexes = lock(&entry.drawer).indexes.clone();
            let wanting =
                indexes.values().filter(|shelved| shelved.retired || !shelved.declared.built);
            found.extend(wanting.map(|shelved| Unfinished {
                log: entry.log.name.clone(),
                name: shelved.name.clone(),
                index: shelved.declared.id,
            }));
        }
        Ok(found)
    }

    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        let mut section = Documents::open(&entry.drawer);
        let done = declared::build(&mut section, work).await?;
        section.commit(&entry.drawer);
        Ok(done)
    }
}
