//! The projectors of a store: their revisions, who runs them, and how far they are.
//!
//! Invariant: what a revision's events made of its documents and the place it stands at change together, in one
//! transaction, and only if it still stood where they were read and is still held by who read them. So each event is
//! applied once, whatever became of those who ran it before.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    StorageError,
    indexes::reindex,
    projections::{Kept, Last, ProjectionSection, Stretch, last},
};
use crate::model::{
    Definition, Direction, EntryId, Log, LogName, Progress, ProjectionName, ProjectorName,
    Revision, Standing, Timestamp,
};

/// What became of a definition that was put.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// It is that of the last revision.
    Same(Revision),
    /// It is a new revision.
    New(Revision),
    /// Clients have saved documents under the name.
    Occupied,
}

/// A revision, and whether somebody holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub log: LogName,
    pub revision: Revision,
    pub held: bool,
}

/// A revision that goes on.
#[derive(Debug, Clone)]
pub struct Advance {
    pub revision: i64,
    /// The name of its documents.
    pub documents: ProjectionName,
    /// Who holds it.
    pub owner: Uuid,
    /// The cursor that it stood at.
    pub from: String,
    pub to: Progress,
    /// What became of documents. Their changes are numbered here.
    pub kept: Vec<Kept>,
    /// What became of entries that wait.
    pub parked: Vec<Kept>,
    /// The orders that are done: those that came first.
    pub done: String,
    /// Why it goes no further.
    pub halt: Option<String>,
}

/// The projectors of a store.
#[async_trait]
pub trait Projectors: Send + Sync {
    /// The revisions of all logs. Definitions, which never change, are told of those with a larger id; the others'
    /// are empty.
    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError>;
    /// The revisions of a log, or of a projector of it, by their numbers.
    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError>;
    /// Puts a definition; its first revision is active at once. One that is there is built again, if that is asked.
    async fn put_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        definition: &Definition,
        again: bool,
    ) -> Result<Put, StorageError>;
    /// Holds a revision for a while, if nobody else does; how far it is.
    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError>;
    /// How far a revision is, if it is there.
    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError>;
    /// Goes on, for some revisions, each another one, in the order of their ids, all in one transaction. False for each that does not stand
    /// there any more, is halted, or is not held by its owner.
    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError>;
    /// Halts a revision, or lets it go on, with an order if there is one; false if it is not there.
    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError>;
    /// Makes a revision the one that answers; false if it is not there.
    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError>;
    /// Makes a revision the one that answers, once it is as far as that which does so now; false as long as it is not.
    async fn take_over(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError>;
    /// Drops a projector with all of its revisions; false if it is not there. What the active one fed may be retained.
    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError>;
    /// Keeps snapshots of a revision, unless it is dropped.
    async fn keep_snapshots(
        &self,
        log: &Log,
        revision: &Revision,
        snapshots: &[Kept],
    ) -> Result<(), StorageError>;
    /// Removes some documents of a dropped revision, or the revision itself if there are none; whether it is gone.
    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError>;
}

/// Documents that one step of removing takes.
pub(super) const SWEPT_AT_ONCE: usize = 2_000;

/// A section in which the revisions of a projector can be changed: its name is locked.
#[async_trait]
pub(super) trait ProjectorSection: ProjectionSection {
    /// The revisions of the projector, by their numbers, dropped ones too.
    async fn known(&mut self, projector: &ProjectorName) -> Result<Vec<Revision>, StorageError>;
    /// Adds a revision, which gets its id.
    async fn add_revision(&mut self, revision: &Revision) -> Result<Revision, StorageError>;
    async fn set_standing(&mut self, revision: i64, standing: Standing)
    -> Result<(), StorageError>;
    /// Drops a revision: nothing is added to it any more, and what it has is removed later.
    async fn drop_revision(&mut self, revision: &Revision) -> Result<(), StorageError>;
    /// Keeps the revisions of the projector as they are until the section ends.
    async fn still(&mut self, projector: &ProjectorName) -> Result<(), StorageError>;
    /// Notes the progress of steps, of those whose revision stands where the step began and is held by its owner. Their
    /// revisions.
    async fn pass(&mut self, steps: &[Advance]) -> Result<HashSet<i64>, StorageError>;
}

/// A revision that is to be.
pub(super) fn fresh(
    projector: &ProjectorName,
    definition: &Definition,
    created_at: Timestamp,
) -> Revision {
    Revision {
        id: 0,
        projector: projector.clone(),
        number: 1,
        definition: definition.clone(),
        created_at,
        standing: Standing::Building,
        halt: None,
        progress: Progress::default(),
    }
}

/// Removes a locked projector.
pub(super) async fn delete(
    section: &mut dyn ProjectorSection,
    projector: &ProjectorName,
    retain: bool,
) -> Result<bool, StorageError> {
    let known = there(section.known(projector).await?);
    for revision in &known {
        match revision.standing {
            Standing::Active | Standing::Retained if retain => {
                section.set_standing(revision.id, Standing::Retained).await?;
            }
            _ => section.drop_revision(revision).await?,
        }
    }
    Ok(!known.is_empty())
}

/// Keeps snapshots of a revision of a locked projector.
pub(super) async fn keep_snapshots(
    section: &mut dyn ProjectorSection,
    revision: &Revision,
    snapshots: &[Kept],
) -> Result<(), StorageError> {
    let known = there(section.known(&revision.projector).await?);
    if known.iter().any(|known| known.id == revision.id) {
        keep(section, &revision.snapshots(), snapshots).await?;
    }
    Ok(())
}

/// Keeps documents that have no indexes.
async fn keep(
    section: &mut dyn ProjectorSection,
    name: &ProjectionName,
    documents: &[Kept],
) -> Result<(), StorageError> {
    if documents.is_empty() {
        return Ok(());
    }
    let last = last(section, name).await?;
    section.keep(&numbered(documents, last)).await
}

/// Documents, their changes numbered after the last one.
fn numbered(documents: &[Kept], last: Last) -> Vec<Kept> {
    let mut documents = documents.to_vec();
    for (change, kept) in (last.change + 1..).zip(&mut documents) {
        kept.change = change;
    }
    documents
}

/// Those that are not dropped.
pub(super) fn there(mut revisions: Vec<Revision>) -> Vec<Revision> {
    revisions.retain(|revision| revision.standing != Standing::Dropped);
    revisions
}

/// Puts a definition of a locked projector.
pub(super) async fn put(
    section: &mut dyn ProjectorSection,
    mut fresh: Revision,
    again: bool,
) -> Result<Put, StorageError> {
    let known = section.known(&fresh.projector).await?;
    let number = known.last().map_or(1, |last| last.number + 1);
    let known = there(known);
    let same = known.iter().find(|known| {
        let stands = matches!(known.standing, Standing::Active | Standing::Building);
        stands && known.definition == fresh.definition
    });
    if let Some(same) = same.filter(|_| again) {
        // What somebody decided about events is decided.
        fresh.progress.skipped.clone_from(&same.progress.skipped);
    } else if let Some(same) = same {
        // One that is built beside what is to answer is not wanted any more.
        let others = known
            .iter()
            .filter(|known| known.standing == Standing::Building && known.id != same.id);
        for other in others {
            section.drop_revision(other).await?;
        }
        return Ok(Put::Same(same.clone()));
    }
    let name = ProjectionName::stored(fresh.projector.shared());
    if known.is_empty() && has_documents(section, &name).await? {
        return Ok(Put::Occupied);
    }
    // One that was never active is not waited for any more.
    let answers =
        |known: &&Revision| matches!(known.standing, Standing::Active | Standing::Retained);
    for building in known.iter().filter(|known| !answers(known)) {
        section.drop_revision(building).await?;
    }
    let standing = if known.is_empty() { Standing::Active } else { Standing::Building };
    let added = section.add_revision(&Revision { number, standing, ..fresh }).await?;
    // Queries go on to be served.
    if let Some(active) = known.iter().find(answers) {
        for declared in section.indexes(&active.documents()).await? {
            section.begin_index(&added.documents(), &declared.index).await?;
        }
    }
    Ok(Put::New(added))
}

async fn has_documents(
    section: &mut dyn ProjectorSection,
    name: &ProjectionName,
) -> Result<bool, StorageError> {
    let stretch = Stretch {
        name: Some(name.clone()),
        from: None,
        direction: Direction::Forwards,
        limit: 1,
        bytes: 1,
        sieve: None,
    };
    Ok(!section.stretch(&stretch).await?.documents.is_empty())
}

/// Makes a revision of a locked projector the one that answers; what was retained until then is removed.
pub(super) async fn activate(
    section: &mut dyn ProjectorSection,
    projector: &ProjectorName,
    number: i64,
) -> Result<bool, StorageError> {
    let known = there(section.known(projector).await?);
    let retained = |known: &Revision| known.standing == Standing::Retained;
    if !known.iter().any(|known| known.number == number && !retained(known)) {
        return Ok(false);
    }
    for known in known {
        match known.standing {
            _ if known.number == number => section.set_standing(known.id, Standing::Active).await?,
            Standing::Active => section.set_standing(known.id, Standing::Former).await?,
            Standing::Retained => section.drop_revision(&known).await?,
            Standing::Building | Standing::Former | Standing::Dropped => {}
        }
    }
    Ok(true)
}

/// Makes a revision of a locked projector the one that answers, if it is as far as that which does so now: nobody sees
/// less than before.
pub(super) async fn take_over(
    section: &mut dyn ProjectorSection,
    log: &Log,
    projector: &ProjectorName,
    number: i64,
) -> Result<bool, StorageError> {
    section.still(projector).await?;
    let known = there(section.known(projector).await?);
    let answers = |of: &&Revision| matches!(of.standing, Standing::Active | Standing::Retained);
    let ahead = known.iter().find(answers);
    let own = known.iter().find(|known| known.number == number);
    if let (Some(ahead), Some(own)) = (ahead, own)
        && !own.progress.reaches(log.lanes, &ahead.progress)
    {
        return Ok(false);
    }
    // One that is gone waits for nothing any more.
    activate(section, projector, number).await?;
    Ok(true)
}

/// Goes on, with the names of the documents locked.
pub(super) async fn advance(
    section: &mut dyn ProjectorSection,
    steps: &[Advance],
) -> Result<Vec<bool>, StorageError> {
    let passed = section.pass(steps).await?;
    let went_on = |step: &&Advance| passed.contains(&step.revision);
    for step in steps.iter().filter(went_on) {
        if let Some(first) = step.parked.first() {
            keep(section, &first.projection.name, &step.parked).await?;
        }
    }
    let steps_that_keep: Vec<&Advance> =
        steps.iter().filter(went_on).filter(|step| !step.kept.is_empty()).collect();
    if !steps_that_keep.is_empty() {
        keep_all(section, &steps_that_keep).await?;
    }
    Ok(steps.iter().map(|step| went_on(&step)).collect())
}

/// Keeps the documents of steps, and the rows of their indexes.
async fn keep_all(
    section: &mut dyn ProjectorSection,
    steps: &[&Advance],
) -> Result<(), StorageError> {
    let names: Vec<&ProjectionName> = steps.iter().map(|step| &step.documents).collect();
    let lasts = section.lasts(&names).await?;
    let (mut all, mut indexed) = (Vec::new(), Vec::new());
    for (step, last) in steps.iter().zip(lasts) {
        let kept = numbered(&step.kept, last);
        let name = &step.documents;
        let indexes = if last.indexed { section.indexes(name).await? } else { Vec::new() };
        if !indexes.is_empty() {
            let ids: Vec<EntryId> = kept.iter().map(|kept| kept.projection.id.clone()).collect();
            let found = section.kept(name, &ids).await?.into_iter();
            let before: HashMap<EntryId, Kept> =
                found.map(|kept| (kept.projection.id.clone(), kept)).collect();
            indexed.push((indexes, before, kept.clone()));
        }
        all.extend(kept);
    }
    section.keep(&all).await?;
    for (indexes, before, kept) in &indexed {
        reindex(section, indexes, before, kept).await?;
    }
    Ok(())
}
