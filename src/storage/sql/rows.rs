//! Rows of both databases as values of the model. Only times differ between the two.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use uuid::Uuid;

use crate::{
    model::{
        CategoryName, Event, EventName, Lanes, Log, LogName, Ordering, RawJson, StreamKey,
        StreamName, Timestamp, lane::HASH_VERSION,
    },
    storage::{StorageError, Tip},
};

/// A time as a database keeps it.
pub(in crate::storage) trait StoredTime {
    fn time(self) -> Timestamp;
}

impl StoredTime for DateTime<Utc> {
    fn time(self) -> Timestamp {
        self.into()
    }
}

impl StoredTime for i64 {
    fn time(self) -> Timestamp {
        Timestamp::of_stored(self)
    }
}

/// The columns of a row of either database.
pub(in crate::storage) trait Columns {
    fn text(&self, column: usize) -> Result<&str, sqlx::Error>;
    fn number(&self, column: usize) -> Result<i64, sqlx::Error>;
    fn id(&self, column: usize) -> Result<Uuid, sqlx::Error>;
    fn time(&self, column: usize) -> Result<Timestamp, sqlx::Error>;
}

/// An event of a row: lane, sequence, category, stream, position, id, name, payload, metadata, observed,
/// occurred, recorded. Texts that the event `before` has too are shared with it.
pub(in crate::storage) fn event(
    row: &impl Columns,
    lanes: Lanes,
    before: Option<&Event>,
) -> Result<Event, sqlx::Error> {
    let stream = before.map(|event| &event.stream);
    Ok(Event {
        id: row.id(5)?,
        name: shared(row.text(6)?, before.map(|event| &event.name), EventName::stored),
        payload: RawJson::stored(row.text(7)?),
        metadata: shared(row.text(8)?, before.map(|event| &event.metadata), RawJson::stored),
        occurred_at: row.time(10)?,
        observed_at: row.time(9)?,
        recorded_at: row.time(11)?,
        stream: StreamKey {
            category: shared(row.text(2)?, stream.map(|s| &s.category), CategoryName::stored),
            stream: shared(row.text(3)?, stream.map(|s| &s.stream), StreamName::stored),
        },
        position: row.number(4)?,
        sequence_number: lanes.number(row.number(0)?, row.number(1)?),
    })
}

fn shared<'a, T: Clone + AsRef<str>>(
    text: &'a str,
    before: Option<&T>,
    stored: impl FnOnce(&'a str) -> T,
) -> T {
    match before {
        Some(before) if before.as_ref() == text => before.clone(),
        _ => stored(text),
    }
}

/// Events of rows as they arrive, up to the row that brings their bytes to so many. What is not read
/// is not held.
pub(in crate::storage) async fn collect<R: Columns>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    lanes: Lanes,
    bytes_max: usize,
) -> Result<Vec<Event>, sqlx::Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max
        && let Some(row) = rows.try_next().await?
    {
        let event = event(&row, lanes, events.last())?;
        bytes += event.bytes();
        events.push(event);
    }
    Ok(events)
}

/// sequence, position, id, recorded
pub(in crate::storage) type TipRow<T> = (i64, i64, Uuid, T);

pub(in crate::storage) fn tip<T: StoredTime>((n, position, id, at): TipRow<T>) -> Tip {
    Tip { n, position, id, recorded_at: at.time() }
}

/// id, name, ordering, lanes, hash version, require condition, incarnation, created
pub(in crate::storage) type LogRow<T> = (i64, String, String, i64, i64, bool, Uuid, T);

pub(in crate::storage) fn log<T: StoredTime>(row: LogRow<T>) -> Result<Log, StorageError> {
    let (id, name, ordering, count, hash_version, require_condition, incarnation, created) = row;
    let ordering: Ordering = ordering.parse().map_err(|()| StorageError::broken("ordering"))?;
    if hash_version != HASH_VERSION {
        let what = format!("log {name} was made by a later Everlog: hash version {hash_version}");
        return Err(StorageError::broken(what));
    }
    Ok(Log {
        id,
        name: LogName::stored(name),
        lanes: Lanes { ordering, count },
        require_condition,
        incarnation,
        created_at: created.time(),
    })
}
