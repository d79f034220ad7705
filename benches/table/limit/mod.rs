//! What a store could do: the same rows through one bare connection, without Everlog.
//!
//! Publishes: clients in this process each submit a batch and wait for its acknowledgement. One task
//! owns the connection, takes all that queued while its last commit was under way (at most 1,000
//! events), writes it into Everlog's own table, and acknowledges.

mod postgres;
mod reads;
mod sqlite;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use everlog::{engine::ids, model::Clock};
use sqlx::{PgConnection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

/// Most events of one commit.
const COMMIT_EVENTS_MAX: usize = 1_000;
/// Bytes of JSON in a payload.
const PAYLOAD_BYTES: usize = 200;
/// Publishes to each stream.
const STREAM_APPENDS: u32 = 10;
/// Its log; Everlog's have small numbers.
const LOG: i64 = 1_000_000;

/// How much load, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub clients: u32,
    pub batch: u32,
    pub warm_up: Duration,
    pub measured: Duration,
}

/// One connection to a store.
pub(crate) struct Limit {
    wire: Wire,
    /// The last sequence number of its log.
    last: i64,
    url: String,
    /// Whether a source of so many events has been made, by log.
    sources: Vec<(u32, bool)>,
}

enum Wire {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// What a client submits.
struct Batch {
    category: Arc<str>,
    stream: String,
    /// Of its first event.
    position: i64,
    events: Vec<(Uuid, String)>,
    done: oneshot::Sender<()>,
}

/// A row to be written.
struct Row<'a> {
    log: i64,
    sequence: i64,
    category: &'a str,
    stream: &'a str,
    position: i64,
    id: Uuid,
    payload: &'a str,
    /// All three times, in microseconds.
    at: i64,
}

impl Limit {
    pub(crate) async fn postgres(url: &str) -> anyhow::Result<Self> {
        let wire = Wire::Postgres(postgres::connect(url).await?);
        Ok(Self { wire, last: 0, url: url.to_owned(), sources: Vec::new() })
    }

    pub(crate) async fn sqlite(path: &Path) -> anyhow::Result<Self> {
        let wire = Wire::Sqlite(sqlite::connect(path).await?);
        Ok(Self { wire, last: 0, url: String::new(), sources: Vec::new() })
    }

    fn connection(&mut self) -> anyhow::Result<&mut PgConnection> {
        match &mut self.wire {
            Wire::Postgres(connection) => Ok(connection),
            Wire::Sqlite(_) => anyhow::bail!("reads are measured on Postgres"),
        }
    }

    /// Levels the ground: what a cell left to be written is written before the next.
    pub(crate) async fn checkpoint(&mut self) -> anyhow::Result<()> {
        sqlx::query("CHECKPOINT").execute(self.connection()?).await?;
        Ok(())
    }

    /// Tells the planner what is there.
    pub(crate) async fn analyze(&mut self) -> anyhow::Result<()> {
        sqlx::query("VACUUM ANALYZE event").execute(self.connection()?).await?;
        Ok(())
    }

    /// Events a second that are acknowledged.
    pub(crate) async fn publish(&mut self, load: Load, category: &str) -> anyhow::Result<f64> {
        let from = Instant::now() + load.warm_up;
        let until = from + load.measured;
        let (submit, queue) = mpsc::channel(usize::try_from(load.clients)?);
        let mut clients = JoinSet::new();
        for index in 0..load.clients {
            let client = client(load.batch, category.into(), index, submit.clone(), from..until);
            clients.spawn(client);
        }
        drop(submit);
        self.commit_all(queue).await?;
        let mut publishes = 0;
        while let Some(ended) = clients.join_next().await {
            publishes += ended?;
        }
        let events = u32::try_from(publishes)?.saturating_mul(load.batch);
        Ok(f64::from(events) / load.measured.as_secs_f64())
    }

    /// Group commit, until all clients have gone.
    async fn commit_all(&mut self, mut queue: mpsc::Receiver<Batch>) -> anyhow::Result<()> {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(batch) => batch,
                None => match queue.recv().await {
                    Some(batch) => batch,
                    None => return Ok(()),
                },
            };
            let mut events = first.events.len();
            let mut batches = vec![first];
            while let Ok(batch) = queue.try_recv() {
                events += batch.events.len();
                if events > COMMIT_EVENTS_MAX {
                    held = Some(batch);
                    break;
                }
                batches.push(batch);
            }
            self.write(LOG, &batches).await?;
            for batch in batches {
                // A client that has gone does not wait.
                let _ = batch.done.send(());
            }
        }
    }

    /// Writes batches at the end of the log and commits.
    async fn write(&mut self, log: i64, batches: &[Batch]) -> anyhow::Result<()> {
        let at = everlog::engine::clock::SystemClock.now().micros();
        let mut rows = Vec::new();
        for batch in batches {
            for (position, (id, payload)) in (batch.position..).zip(&batch.events) {
                self.last += 1;
                rows.push(Row {
                    log,
                    sequence: self.last,
                    category: &batch.category,
                    stream: &batch.stream,
                    position,
                    id: *id,
                    payload,
                    at,
                });
            }
        }
        match &mut self.wire {
            Wire::Postgres(connection) => postgres::insert(connection, log, &rows).await,
            Wire::Sqlite(connection) => sqlite::insert(connection, &rows).await,
        }
    }
}

/// Submits batches until the end; how many were acknowledged while it counted.
async fn client(
    batch: u32,
    category: Arc<str>,
    index: u32,
    submit: mpsc::Sender<Batch>,
    counted: std::ops::Range<Instant>,
) -> u64 {
    let mut acknowledged = 0;
    let mut number = 0;
    for publish in 0_u32.. {
        if Instant::now() >= counted.end {
            break;
        }
        let (done, acknowledgement) = oneshot::channel();
        let appends = publish % STREAM_APPENDS;
        let batch = Batch {
            category: category.clone(),
            stream: format!("{index}-{}", publish / STREAM_APPENDS),
            position: i64::from(appends) * i64::from(batch),
            events: (0..batch).map(|_| event(&mut number)).collect(),
            done,
        };
        if submit.send(batch).await.is_err() || acknowledgement.await.is_err() {
            break;
        }
        if counted.contains(&Instant::now()) {
            acknowledged += 1;
        }
    }
    acknowledged
}

/// An event as `everlog bench` makes them.
fn event(number: &mut u64) -> (Uuid, String) {
    let mut payload = format!("{{\"bench_n\":{number},\"text\":\"");
    let words = "the quick brown fox jumps over the lazy dog ";
    while payload.len() < PAYLOAD_BYTES - 2 {
        let left = PAYLOAD_BYTES - 2 - payload.len();
        payload.push_str(words.get(..left.min(words.len())).unwrap_or_default());
    }
    payload.push_str("\"}");
    *number += 1;
    (ids::mint(), payload)
}

/// So many events in one write, for reads.
fn filled(category: &str, stream: String, position: i64, events: u32) -> Batch {
    let (done, _) = oneshot::channel();
    let mut number = 0;
    let events = (0..events).map(|_| event(&mut number)).collect();
    Batch { category: category.into(), stream, position, events, done }
}

/// A moment of the database's, of microseconds.
fn moment(micros: i64) -> anyhow::Result<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_micros(micros).context("a time")
}
