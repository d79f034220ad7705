//! Bare rows: Everlog's own statements, each column decoded, one connection for each client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::{PgConnection, Row, postgres::PgRow};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use super::{LOG, Limit, Load, filled, postgres};

const STREAM: &str = include_str!("../../../src/storage/postgres/sql/stream_forwards.sql");
const CATEGORY: &str = include_str!("../../../src/storage/postgres/sql/category_forwards.sql");
const WHOLE_LOG: &str = include_str!("../../../src/storage/postgres/sql/log_forwards.sql");
/// The category of what is read.
const READ: &str = "limit-read";
/// Events of the stream that is read.
const STREAM_EVENTS: u32 = 1_000;
/// Events of each stream of a source.
const SOURCE_STREAM_EVENTS: u32 = 10;

impl Limit {
    /// A new stream of 1,000 events.
    pub(crate) async fn a_stream(&mut self) -> anyhow::Result<String> {
        let stream = format!("stream-{}", self.last);
        self.write(LOG, &[filled(READ, stream.clone(), 0, STREAM_EVENTS)]).await?;
        self.analyze().await?;
        Ok(stream)
    }

    /// A category of so many events, or a log of its own; made once.
    pub(crate) async fn a_source(&mut self, events: u32, log: bool) -> anyhow::Result<()> {
        if self.sources.contains(&(events, log)) {
            return Ok(());
        }
        let id = if log { LOG + 1 } else { LOG };
        for thousand in 0..events / 1_000 {
            let stream =
                |n| filled(&source(events), format!("{thousand}-{n}"), 0, SOURCE_STREAM_EVENTS);
            let batches: Vec<_> = (0..1_000 / SOURCE_STREAM_EVENTS).map(stream).collect();
            self.write(id, &batches).await?;
        }
        self.sources.push((events, log));
        Ok(())
    }

    /// Events a second of the stream, read over and over.
    pub(crate) async fn read(&mut self, load: Load, stream: &str) -> anyhow::Result<f64> {
        let from = Instant::now() + load.warm_up;
        let until = from + load.measured;
        let counted = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..load.clients {
            let mut connection = postgres::connect(&self.url).await?;
            let (stream, counted) = (stream.to_owned(), counted.clone());
            clients.spawn(async move {
                while Instant::now() < until {
                    let rows = read_stream(&mut connection, &stream).await?;
                    anyhow::ensure!(rows == u64::from(STREAM_EVENTS), "{rows} rows of a stream");
                    if (from..until).contains(&Instant::now()) {
                        counted.fetch_add(rows, Relaxed);
                    }
                }
                Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(rate(counted.load(Relaxed), load.measured))
    }

    /// Events a second of the source, of the median of some scans.
    pub(crate) async fn scan(
        &mut self,
        events: u32,
        log: bool,
        times: usize,
    ) -> anyhow::Result<f64> {
        let mut rates = Vec::new();
        let connection = self.connection()?;
        for _ in 0..=times {
            let began = Instant::now();
            let rows = scan(connection, events, log).await?;
            anyhow::ensure!(rows == u64::from(events), "{rows} rows of {events}");
            rates.push(rate(rows, began.elapsed()));
        }
        // The first one warms up.
        rates.remove(0);
        rates.sort_by(f64::total_cmp);
        Ok(rates.get(rates.len() / 2).copied().unwrap_or_default())
    }
}

fn source(events: u32) -> String {
    format!("{READ}-{events}")
}

fn rate(events: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(events).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

async fn read_stream(connection: &mut PgConnection, stream: &str) -> anyhow::Result<u64> {
    let query = sqlx::query(STREAM)
        .bind(LOG)
        .bind(-1_i64)
        .bind(i64::MAX)
        .bind(i64::from(STREAM_EVENTS) + 1)
        .bind(READ)
        .bind(stream);
    let mut rows = query.fetch(connection);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        touch(&row)?;
        count += 1;
    }
    Ok(count)
}

async fn scan(connection: &mut PgConnection, events: u32, log: bool) -> anyhow::Result<u64> {
    let category = source(events);
    let (statement, id) = if log { (WHOLE_LOG, LOG + 1) } else { (CATEGORY, LOG) };
    let mut query = sqlx::query(statement)
        .bind(id)
        .bind(0_i64)
        .bind(0_i64)
        .bind(i64::MAX)
        .bind(i64::from(events) + 1);
    if !log {
        query = query.bind(&category);
    }
    let mut rows = query.fetch(connection);
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        touch(&row)?;
        count += 1;
    }
    Ok(count)
}

/// Decodes each column.
fn touch(row: &PgRow) -> anyhow::Result<()> {
    for number in ["lane", "sequence", "position"] {
        std::hint::black_box(row.try_get::<i64, _>(number)?);
    }
    for text in ["category", "stream", "name", "payload", "metadata"] {
        std::hint::black_box(row.try_get::<&str, _>(text)?);
    }
    std::hint::black_box(row.try_get::<Uuid, _>("event_id")?);
    for time in ["observed_at", "occurred_at", "recorded_at"] {
        std::hint::black_box(row.try_get::<DateTime<Utc>, _>(time)?);
    }
    Ok(())
}
