//! Rows of documents as values of the model, and what is written of them.

use std::time::Duration;

use futures_util::{Stream, TryStreamExt};

use super::rows::Columns;
use crate::{
    model::{
        CategoryName, EntryId, Json, LogName, Projection, ProjectionName, Source, StreamKey,
        StreamName,
    },
    query::{index, sieve::Sieve},
    storage::{
        Listing, StorageError,
        indexes::{Declared, Unfinished},
        projections::{Kept, Part},
        turn::Turn,
    },
};

/// name, id, category, stream, state, metadata, version, sequence number, created, updated, change, deleted
pub(in crate::storage) fn kept(row: &impl Columns) -> Result<Kept, sqlx::Error> {
    let sequence_number = row.number(7)?;
    Ok(Kept {
        projection: Projection {
            name: ProjectionName::stored(row.text(0)?),
            id: EntryId::stored(row.text(1)?),
            source: source(row.text(2)?, row.text(3)?),
            state: Json::stored(row.text(4)?),
            metadata: Json::stored(row.text(5)?),
            version: row.number(6)?,
            sequence_number: (sequence_number > 0).then_some(sequence_number),
            created_at: row.time(8)?,
            updated_at: row.time(9)?,
        },
        change: row.number(10)?,
        deleted: row.number(11)? != 0,
    })
}

/// How long a part is judged: whose query it is looks whether its time is over.
const PART_TIME: Duration = Duration::from_secs(1);

/// Documents of rows as they arrive, up to a number, to so many bytes and for a time. What is not read is not held.
pub(in crate::storage) async fn part<R: Columns>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    limit: usize,
    bytes_max: usize,
    sieve: Option<&Sieve>,
) -> Result<Part, sqlx::Error> {
    let (mut part, mut bytes, mut last) = (Part::default(), 0, None);
    let mut name: Option<ProjectionName> = None;
    let mut turn = Turn::default();
    while bytes < bytes_max && part.examined < limit && turn.lasts() < PART_TIME {
        let Some(row) = rows.try_next().await? else {
            part.at_end = true;
            break;
        };
        bytes += row.text(4)?.len() + row.text(5)?.len();
        part.examined += 1;
        let text = row.text(0)?;
        let same = name.take().filter(|name| name.as_str() == text);
        let of = same.unwrap_or_else(|| ProjectionName::stored(text));
        if passes(&row, &of, sieve)? {
            part.documents.push(Projection { name: of.clone(), ..kept(&row)?.projection });
        }
        name = Some(of);
        last = Some(row);
        turn.end().await;
    }
    part.last = match (last, name) {
        (Some(row), Some(name)) => Some((name, EntryId::stored(row.text(1)?))),
        _ => None,
    };
    Ok(part)
}

/// Documents of rows as they arrive, up to so many bytes.
pub(in crate::storage) async fn changed<R: Columns>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    bytes_max: usize,
) -> Result<Vec<Kept>, sqlx::Error> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max
        && let Some(row) = rows.try_next().await?
    {
        bytes += row.text(4)?.len() + row.text(5)?.len();
        found.push(kept(&row)?);
    }
    Ok(found)
}

/// Whether a document is not to be left out.
fn passes(
    row: &impl Columns,
    name: &ProjectionName,
    sieve: Option<&Sieve>,
) -> Result<bool, sqlx::Error> {
    let Some(sieve) = sieve else { return Ok(true) };
    let sequence_number = row.number(7)?;
    let mut document = Projection {
        name: name.clone(),
        id: EntryId::stored(row.text(1)?),
        source: if sieve.source { source(row.text(2)?, row.text(3)?) } else { Source::Log },
        state: Json::Null,
        metadata: Json::Null,
        version: row.number(6)?,
        sequence_number: (sequence_number > 0).then_some(sequence_number),
        created_at: row.time(8)?,
        updated_at: row.time(9)?,
    };
    Ok(sieve.passes(&mut document, row.text(4)?, row.text(5)?))
}

/// A source of two columns, empty where it is wider.
fn source(category: &str, stream: &str) -> Source {
    if category.is_empty() {
        return Source::Log;
    }
    let category = CategoryName::stored(category);
    if stream.is_empty() {
        return Source::Category(category);
    }
    Source::Stream(StreamKey { category, stream: StreamName::stored(stream) })
}

/// The two columns of a source.
pub(in crate::storage) fn columns(source: &Source) -> (&str, &str) {
    match source {
        Source::Log => ("", ""),
        Source::Category(category) => (category.as_str(), ""),
        Source::Stream(key) => (key.category.as_str(), key.stream.as_str()),
    }
}

/// What is listed of the names that a statement gave.
pub(in crate::storage) fn names(
    rows: Vec<(String, i64)>,
    listing: &Listing,
) -> Vec<(ProjectionName, i64)> {
    let wanted = rows.into_iter().filter(|(name, _)| listing.holds(name));
    wanted.map(|(name, count)| (ProjectionName::stored(name), count)).collect()
}

/// id, title, definition, built, upto, documents
pub(in crate::storage) fn indexes(
    rows: Vec<(i64, String, String, bool, String, i64)>,
) -> Result<Vec<Declared>, StorageError> {
    let declared =
        |(id, title, definition, built, upto, documents): (_, String, String, _, _, _)| {
            let index = index::stored(&title, &definition)
                .ok_or_else(|| StorageError::broken(format!("index {id} has no definition")))?;
            let upto = Some(upto).filter(|upto: &String| !upto.is_empty()).map(EntryId::stored);
            Ok(Declared { id, index, built, upto, documents })
        };
    rows.into_iter().map(declared).collect()
}

/// log, name, index
pub(in crate::storage) fn unfinished(rows: Vec<(String, String, i64)>) -> Vec<Unfinished> {
    let work = |(log, name, index): (String, String, i64)| Unfinished {
        log: LogName::stored(log),
        name: ProjectionName::stored(name),
        index,
    };
    rows.into_iter().map(work).collect()
}
