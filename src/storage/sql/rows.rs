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
        Timestamp::from_micros(self).unwrap_or(Timestamp::MIN)
    }
}

/// lane, sequence, category, stream, position, id, name, payload, metadata, observed, occurred,
/// recorded
pub(in crate::storage) type EventRow<T> =
    (i64, i64, String, String, i64, Uuid, String, String, String, T, T, T);

pub(in crate::storage) fn event<T: StoredTime>(lanes: Lanes, row: EventRow<T>) -> Event {
    let (lane, n, category, stream, position, id, name, payload, metadata, observed, occurred, at) =
        row;
    Event {
        id,
        name: EventName::stored(name),
        payload: RawJson::stored(payload),
        metadata: RawJson::stored(metadata),
        occurred_at: occurred.time(),
        observed_at: observed.time(),
        recorded_at: at.time(),
        stream: StreamKey {
            category: CategoryName::stored(category),
            stream: StreamName::stored(stream),
        },
        position,
        sequence_number: lanes.number(lane, n),
    }
}

/// Events of rows as they arrive, up to the row that brings their bytes to so many. What is not read
/// is not held.
pub(in crate::storage) async fn collect<T: StoredTime>(
    mut rows: impl Stream<Item = Result<EventRow<T>, sqlx::Error>> + Unpin,
    lanes: Lanes,
    bytes_max: usize,
) -> Result<Vec<Event>, sqlx::Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max
        && let Some(row) = rows.try_next().await?
    {
        let event = event(lanes, row);
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
