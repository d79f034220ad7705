//! Declared indexes in a store: what their rows are, who keeps them, and how they are built.
//!
//! The edit of a document changes its rows in every index of its name, built or not. What was there before an index
//! is added in pages, each under the lock of the name, so that no edit comes in between; queries see an index when
//! its last page is committed.

use std::collections::{BTreeSet, HashMap};

use super::{
    StorageError,
    projections::{Kept, Part, ProjectionSection, Stretch},
};
use crate::{
    model::{Direction, EntryId, LogName, Projection, ProjectionName},
    query::index::{Index, Row},
};

/// An index of a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Never used again.
    pub id: i64,
    pub index: Index,
    /// Whether all documents are in it.
    pub built: bool,
    /// The last document that was in it from before; those after it are still to come.
    pub upto: Option<EntryId>,
    /// How many were added from before.
    pub documents: i64,
}

/// A row of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexRow {
    pub index: i64,
    pub row: Row,
    pub id: EntryId,
}

/// A range of an index of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub name: ProjectionName,
    pub index: i64,
    /// Inclusive.
    pub from: Vec<u8>,
    /// Exclusive.
    pub to: Vec<u8>,
    pub direction: Direction,
    pub limit: usize,
    /// It ends early with the document that brings the JSON of all to so many bytes.
    pub bytes: usize,
}

/// What is alike, by an index of a similarity.
#[derive(Debug, Clone, PartialEq)]
pub struct Alike {
    pub index: i64,
    /// The pieces of the text, which are as many as they are.
    pub pieces: Vec<String>,
    pub at_least: f64,
    /// Only what comes after this score and id, highest scores first.
    pub after: Option<(f64, EntryId)>,
    pub limit: usize,
}

/// An index that is to be built or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub log: LogName,
    pub name: ProjectionName,
    pub index: i64,
}

/// Documents, and bytes of their JSON, that one step of building reads: the lock is held no longer than for an edit.
const BUILT_AT_ONCE: usize = 500;
const BUILT_BYTES: usize = 4 << 20;
/// It ends with the document that brings its rows to so many.
const BUILT_ROWS: usize = 10_000;
/// Rows that one step of removing takes.
const SWEPT_AT_ONCE: usize = 5_000;

/// Makes these the indexes of a locked name. One that is declared as it was stays; one with another definition begins
/// anew.
pub async fn declare(
    section: &mut dyn ProjectionSection,
    name: &ProjectionName,
    wanted: &[Index],
) -> Result<(), StorageError> {
    let known = section.indexes(name).await?;
    for declared in known.iter().filter(|declared| !wanted.contains(&declared.index)) {
        section.retire_index(declared.id).await?;
    }
    for index in wanted.iter().filter(|index| !known.iter().any(|known| known.index == **index)) {
        section.begin_index(name, index).await?;
    }
    Ok(())
}

/// Brings the indexes of a locked name from what some documents were to what they are.
pub async fn reindex(
    section: &mut dyn ProjectionSection,
    indexes: &[Declared],
    before: &HashMap<EntryId, Kept>,
    documents: &[Kept],
) -> Result<(), StorageError> {
    let live = |kept: &'_ Kept| !kept.deleted;
    let of = |kept: Option<&Kept>| -> BTreeSet<IndexRow> {
        let kept = kept.filter(|kept| live(kept));
        kept.map(|kept| rows(indexes, &kept.projection).collect()).unwrap_or_default()
    };
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for kept in documents {
        let (old, new) = (of(before.get(&kept.projection.id)), of(Some(kept)));
        removed.extend(old.difference(&new).cloned());
        added.extend(new.difference(&old).cloned());
    }
    section.rekey(&removed, &added).await
}

fn rows<'a>(
    indexes: &'a [Declared],
    document: &'a Projection,
) -> impl Iterator<Item = IndexRow> + 'a {
    indexes.iter().flat_map(move |declared| {
        let rows = declared.index.of.rows(document).into_iter();
        rows.map(|row| IndexRow { index: declared.id, row, id: document.id.clone() })
    })
}

/// One step of building or removing an index of a locked name; whether that was the last.
pub async fn build(
    section: &mut dyn ProjectionSection,
    work: &Unfinished,
) -> Result<bool, StorageError> {
    let declared = section.indexes(&work.name).await?;
    let Some(mut index) = declared.into_iter().find(|declared| declared.id == work.index) else {
        return section.sweep_index(work.index, SWEPT_AT_ONCE).await;
    };
    if index.built {
        return Ok(true);
    }
    let from = index.upto.as_ref().map(|id| (work.name.clone(), id.clone()));
    let stretch = Stretch {
        name: Some(work.name.clone()),
        from,
        direction: Direction::Forwards,
        limit: BUILT_AT_ONCE,
        bytes: BUILT_BYTES,
        sieve: None,
    };
    let Part { documents, at_end, .. } = section.stretch(&stretch).await?;
    let mut added: Vec<IndexRow> = Vec::new();
    let mut left = documents.len();
    for document in documents {
        added.extend(rows(std::slice::from_ref(&index), &document));
        index.upto = Some(document.id);
        index.documents += 1;
        left -= 1;
        if added.len() >= BUILT_ROWS {
            break;
        }
    }
    section.rekey(&[], &added).await?;
    index.built = at_end && left == 0;
    section.advance_index(&index).await?;
    Ok(index.built)
}
