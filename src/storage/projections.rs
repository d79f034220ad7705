//! The projections of a store: its part of the port, and the one meaning of an edit above it.
//!
//! Changes of one name are numbered under the name's lock, in the order of their commits: whoever has
//! seen a number has seen all below it. A deleted document leaves its version behind, so that no version
//! is used again.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;

use super::{
    Listing, StorageError,
    indexes::{Alike, Declared, IndexRow, Keys, Unfinished, reindex},
};
use crate::{
    model::{
        Change, Direction, Edit, EntryId, Json, Log, Projection, ProjectionName, Save, Source,
        Timestamp, projection::Broken,
    },
    query::{index::Index, sieve::Sieve},
};

/// A document as a store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Of a deleted one the state and the metadata are null.
    pub projection: Projection,
    /// The number of its last change.
    pub change: i64,
    pub deleted: bool,
}

/// What the changes of a name go on from: its last change, and what a drop left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Last {
    pub change: i64,
    /// A new document's version comes after it.
    pub version: i64,
    pub updated_at: Option<Timestamp>,
    /// Whether the name has indexes.
    pub indexed: bool,
}

/// Where the changes of a name end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NameEnd {
    /// The last change.
    pub change: i64,
    /// The change that dropped what was there before; 0 if there was none.
    pub dropped: i64,
    /// The largest sequence number that a document of it says it holds; 0 if none does.
    pub sequence_number: i64,
}

/// A part of a log's documents, by name and id.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// None: all names.
    pub name: Option<ProjectionName>,
    /// Exclusive. Backwards it must be there.
    pub from: Option<(ProjectionName, EntryId)>,
    pub direction: Direction,
    /// Documents, with those that are left out.
    pub limit: usize,
    /// It ends early with the document that brings the JSON of all to so many bytes.
    pub bytes: usize,
    /// What does not pass may be left out.
    pub sieve: Option<Sieve>,
}

/// The documents of a stretch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    pub documents: Vec<Projection>,
    /// How many were examined, with those that were left out.
    pub examined: usize,
    /// The last one that was.
    pub last: Option<(ProjectionName, EntryId)>,
    /// Whether there are no more in its direction.
    pub at_end: bool,
}

impl Part {
    /// All that there was.
    #[must_use]
    pub fn whole(documents: Vec<Projection>, at_end: bool) -> Self {
        let last = documents.last().map(|last| (last.name.clone(), last.id.clone()));
        Self { examined: documents.len(), last, documents, at_end }
    }
}

/// The projections of one log as of one moment.
#[async_trait]
pub trait ProjectionView: Send {
    /// Those of a name with these ids, deleted ones too.
    async fn kept(
        &mut self,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError>;
    /// Documents in the order of name and id.
    async fn stretch(&mut self, stretch: &Stretch) -> Result<Part, StorageError>;
    /// Documents of a name that were derived from a source.
    async fn of_source(
        &mut self,
        name: &ProjectionName,
        source: &Source,
        limit: usize,
    ) -> Result<Vec<Projection>, StorageError>;
    /// Where the changes of a name end.
    async fn end(&mut self, name: &ProjectionName) -> Result<NameEnd, StorageError>;
    /// Documents of a name that changed after a change, by their last one, deleted ones too. It ends early with the
    /// document that brings the JSON of all to so many bytes.
    async fn changed(
        &mut self,
        name: &ProjectionName,
        after: i64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Kept>, StorageError>;
    /// The indexes of a name, in the order of their declaration.
    async fn indexes(&mut self, name: &ProjectionName) -> Result<Vec<Declared>, StorageError>;
    /// Documents in the order of their keys in an index.
    async fn keyed(&mut self, keys: &Keys) -> Result<Part, StorageError>;
    /// How many keys of an index stand from one on and before another.
    async fn keys_between(
        &mut self,
        index: i64,
        from: &[u8],
        to: &[u8],
    ) -> Result<u64, StorageError>;
    /// The documents that share pieces with a text, the most alike first.
    async fn alike(&mut self, alike: &Alike) -> Result<Vec<EntryId>, StorageError>;
    /// The names that have documents, and how many.
    async fn names(
        &mut self,
        listing: &Listing,
    ) -> Result<Vec<(ProjectionName, i64)>, StorageError>;
    /// Gives the view back to its store.
    async fn close(self: Box<Self>);
}

/// A view with names locked, in which their documents can be changed.
#[async_trait]
pub trait ProjectionSection: ProjectionView {
    /// What the changes of each of these names go on from, each another one.
    async fn lasts(&mut self, names: &[&ProjectionName]) -> Result<Vec<Last>, StorageError>;
    /// Writes documents of locked names, new ones and others.
    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError>;
    /// Takes rows out of indexes, then puts others in. One that is not there, or is there, is passed over.
    async fn rekey(&mut self, removed: &[IndexRow], added: &[IndexRow])
    -> Result<(), StorageError>;
    /// Begins an index of the locked name.
    async fn begin_index(
        &mut self,
        name: &ProjectionName,
        index: &Index,
    ) -> Result<(), StorageError>;
    /// Notes how far an index is built.
    async fn advance_index(&mut self, index: &Declared) -> Result<(), StorageError>;
    /// Takes an index from its name; its rows are removed later.
    async fn retire_index(&mut self, id: i64) -> Result<(), StorageError>;
    /// Removes some rows of a retired index, or the index itself if there are none; whether it is gone.
    async fn sweep_index(&mut self, id: i64, limit: usize) -> Result<bool, StorageError>;
}

/// The projections of a store.
#[async_trait]
pub trait Projections: Send + Sync {
    /// Opens a view.
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError>;
    /// The documents of a name with these ids, deleted ones too, as cheaply as can be.
    async fn documents(
        &self,
        log: &Log,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError> {
        let mut view = self.projections(log).await?;
        let found = view.kept(name, ids).await;
        view.close().await;
        found
    }
    /// Decides and writes edits of one name in one critical section (see [`decide`]): an outcome for each,
    /// in order. An error is an error of them all. One attempt.
    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError>;
    /// Removes all documents and indexes of a name; how many documents there were.
    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError>;
    /// Makes these the indexes of a name (see [`super::indexes::declare`]).
    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        indexes: &[Index],
    ) -> Result<(), StorageError>;
    /// Indexes of all logs that are to be built or removed.
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError>;
    /// Builds or removes a part of an index (see [`super::indexes::build`]); whether that was the last.
    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError>;
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// Of a delete: as it was.
    pub projection: Projection,
    /// Whether it was not there before.
    pub created: bool,
}

/// Why an edit was refused. Nothing of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditRefusal {
    /// A header is false of a document that has this version, or none.
    Guarded { index: usize, broken: Broken, version: Option<i64> },
    /// What was to be deleted is not there.
    NotFound { id: EntryId },
}

/// The answer to one edit of a batch.
pub type EditOutcome = Result<Vec<Edited>, EditRefusal>;

/// What the changes of a locked name go on from.
pub(super) async fn last<S: ProjectionSection + ?Sized>(
    section: &mut S,
    name: &ProjectionName,
) -> Result<Last, StorageError> {
    let lasts = section.lasts(&[name]).await?;
    lasts.into_iter().next().ok_or_else(|| StorageError::broken("a locked name has no row"))
}

/// Decides every edit of a batch, each seeing its predecessors, and stages what is to be written.
pub async fn decide(
    section: &mut dyn ProjectionSection,
    name: &ProjectionName,
    clock: Timestamp,
    batch: &[Edit],
) -> Result<Vec<EditOutcome>, StorageError> {
    let last = last(section, name).await?;
    let changes = batch.iter().flat_map(|edit| &edit.changes);
    let ids: BTreeSet<EntryId> = changes.map(|change| change.id().clone()).collect();
    let ids: Vec<EntryId> = ids.into_iter().collect();
    let known = section.kept(name, &ids).await?;
    let known = known.into_iter().map(|kept| (kept.projection.id.clone(), kept)).collect();
    let indexes = if last.indexed { section.indexes(name).await? } else { Vec::new() };
    let mut desk = Desk { name, last, clock, known };
    let before = if indexes.is_empty() { HashMap::new() } else { desk.known.clone() };
    let mut written = HashMap::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    for edit in batch {
        let outcome = desk.decide(edit);
        if outcome.is_ok() {
            for change in &edit.changes {
                written.extend(desk.known.get(change.id()).map(|kept| (change.id(), kept.change)));
            }
        }
        outcomes.push(outcome);
    }
    let mut documents: Vec<Kept> =
        written.into_keys().filter_map(|id| desk.known.get(id).cloned()).collect();
    if !documents.is_empty() {
        documents.sort_by_key(|kept| kept.change);
        section.keep(&documents).await?;
        if !indexes.is_empty() {
            reindex(section, &indexes, &before, &documents).await?;
        }
    }
    Ok(outcomes)
}

/// What is known of the locked name, kept up to date while a batch is decided.
struct Desk<'a> {
    name: &'a ProjectionName,
    last: Last,
    clock: Timestamp,
    known: HashMap<EntryId, Kept>,
}

impl Desk<'_> {
    fn decide(&mut self, edit: &Edit) -> EditOutcome {
        for (index, change) in edit.changes.iter().enumerate() {
            let version = self.live(change.id()).map(|kept| kept.projection.version);
            if let Some(broken) = change.guard().broken(version) {
                return Err(EditRefusal::Guarded { index, broken, version });
            }
            if matches!(change, Change::Delete { .. }) && version.is_none() {
                return Err(EditRefusal::NotFound { id: change.id().clone() });
            }
        }
        Ok(edit.changes.iter().filter_map(|change| self.change(change)).collect())
    }

    fn live(&self, id: &EntryId) -> Option<&Kept> {
        self.known.get(id).filter(|kept| !kept.deleted)
    }

    fn change(&mut self, change: &Change) -> Option<Edited> {
        self.last.change += 1;
        // Times give the order of saving.
        let now = self
            .last
            .updated_at
            .map_or(self.clock, |last| self.clock.max(Timestamp::of_stored(last.micros() + 1)));
        self.last.updated_at = Some(now);
        let before = self.known.get(change.id()).cloned();
        let was_live = before.as_ref().is_some_and(|kept| !kept.deleted);
        let (projection, answered) = match change {
            Change::Save(save) => {
                let saved = self.saved(save, before.as_ref(), now);
                (saved.clone(), saved)
            }
            Change::Delete { .. } => {
                let was = before?.projection;
                let version = was.version + 1;
                let (state, metadata) = (Json::Null, Json::Null);
                (Projection { state, metadata, version, updated_at: now, ..was.clone() }, was)
            }
        };
        let deleted = matches!(change, Change::Delete { .. });
        let kept = Kept { projection, change: self.last.change, deleted };
        self.known.insert(change.id().clone(), kept);
        Some(Edited { projection: answered, created: !was_live })
    }

    fn saved(&self, save: &Save, before: Option<&Kept>, now: Timestamp) -> Projection {
        let live = before.filter(|kept| !kept.deleted).map(|kept| &kept.projection);
        let version = before.map_or(self.last.version, |kept| kept.projection.version) + 1;
        Projection {
            name: self.name.clone(),
            id: save.id.clone(),
            source: live.map_or(&save.source, |was| &was.source).clone(),
            state: save.state.clone(),
            metadata: save.metadata.clone(),
            version,
            sequence_number: save.sequence_number,
            created_at: live.map_or(now, |was| was.created_at),
            updated_at: now,
        }
    }
}
