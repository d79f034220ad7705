//! Fresh SQLite stores for the suite, each in a temporary folder of its own.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use everlog::{
    model::{CategoryName, Event, EventName, Log, RawJson, StreamKey, StreamName, Timestamp},
    storage::{Storage, sqlite::SqliteStore},
    testing::{
        StaticClock,
        conformance::{Backdoor, TestStore},
    },
};
use sqlx::SqlitePool;
use uuid::Uuid;

pub(crate) async fn open() -> TestStore {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let (store, clock) = open_in(folder.path()).await;
    TestStore {
        storage: Storage::new(store.clone()),
        backdoor: Arc::new(BySql(store.writer().clone())),
        clock,
        keep: Arc::new(folder),
    }
}

pub(crate) async fn open_in(folder: &Path) -> (Arc<SqliteStore>, Arc<StaticClock>) {
    let clock = Arc::new(StaticClock::default());
    let store = SqliteStore::open(&folder.join("events.db"), clock.clone()).await;
    (Arc::new(store.expect("the store opens")), clock)
}

pub(crate) struct BySql(pub(crate) SqlitePool);

type Row = (i64, i64, String, String, i64, Uuid, String, String, String, i64, i64, i64);

#[async_trait]
impl Backdoor for BySql {
    async fn insert(&self, log: &Log, event: &Event) -> Result<(), String> {
        let (lane, n) = log.lanes.split(event.sequence_number);
        let insert = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let done = sqlx::query(insert)
            .bind(log.id)
            .bind(lane)
            .bind(n)
            .bind(event.stream.category.as_str())
            .bind(event.stream.stream.as_str())
            .bind(event.position)
            .bind(event.id)
            .bind(event.name.as_str())
            .bind(event.payload.as_str())
            .bind(event.metadata.as_str())
            .bind(event.observed_at.micros())
            .bind(event.occurred_at.micros())
            .bind(event.recorded_at.micros());
        done.execute(&self.0).await.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn events(&self, log: &Log) -> Vec<Event> {
        let select = "SELECT lane, sequence, category, stream, position, event_id, name, payload, \
                      metadata, observed_at, occurred_at, recorded_at FROM event WHERE log_id = ?";
        let rows: Vec<Row> =
            sqlx::query_as(select).bind(log.id).fetch_all(&self.0).await.expect("rows are read");
        let mut events: Vec<Event> = rows.into_iter().map(|row| event(log, row)).collect();
        events.sort_by_key(|event| event.sequence_number);
        events
    }
}

fn event(log: &Log, row: Row) -> Event {
    let (lane, n, category, stream, position, id, name, payload, metadata, observed, occurred, at) =
        row;
    let time = |micros| Timestamp::from_micros(micros).expect("a time in range");
    let (category, stream) = (CategoryName::stored(category), StreamName::stored(stream));
    Event {
        id,
        name: EventName::stored(name),
        payload: RawJson::stored(payload),
        metadata: RawJson::stored(metadata),
        occurred_at: time(occurred),
        observed_at: time(observed),
        recorded_at: time(at),
        stream: StreamKey { category, stream },
        position,
        sequence_number: if log.lanes.count == 1 { n } else { n * log.lanes.count + lane },
    }
}
