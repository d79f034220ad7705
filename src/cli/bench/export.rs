//! `everlog bench export`: a whole category, or a whole log, several times.

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use hyper::{Method, StatusCode, Uri, body::Bytes};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    body::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Shape},
    connection::Connection,
    process::Cores,
    publish::float,
    report::{Exports, Figures},
    server::Server,
    window::spinner,
};

/// Events of each stream that is made.
const STREAM_EVENTS: u64 = 10;

/// What is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Of {
    /// The category
    Category,
    /// The whole log
    Log,
}

/// The settings of `everlog bench export`.
#[derive(Debug, Clone, Args, Serialize)]
pub(in crate::cli) struct Settings {
    /// What to export
    #[arg(long, default_value = "category", value_name = "WHAT")]
    of: Of,
    /// The category, which is filled as far as needed
    #[arg(long, default_value = "bench-export", value_name = "NAME")]
    category: String,
    /// How many events it must have at least
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// How many times to export it
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    times: u32,
    /// Bytes of JSON in the payload of each event that is made
    #[arg(long, default_value_t = 200, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(i64::from(PAYLOAD_BYTES_MIN)..=i64::from(PAYLOAD_BYTES_MAX)))]
    payload_bytes: u32,
}

pub(super) async fn export(server: &Server, settings: &Settings) -> anyhow::Result<Figures> {
    let mut connection = server.connect().await?;
    let there = count(&mut connection, server, settings).await?;
    let missing = settings.events.saturating_sub(there);
    let shape = Shape::new(settings.payload_bytes, false);
    let stream = server.fresh("s");
    server.prepare(&settings.category, &stream, &shape, (missing, STREAM_EVENTS)).await?;
    let uri = match settings.of {
        Of::Category => server.category(&settings.category, "/export")?,
        Of::Log => server.uri("/export")?,
    };
    let bar = spinner("exporting {spinner} {human_pos} events {per_sec}")?;
    let cores = Cores::watch(server.process())?;
    let mut rounds = Vec::new();
    for _ in 0..settings.times {
        let began = Instant::now();
        let (events, bytes) = once(&mut connection, uri.clone()).await?;
        rounds.push((began.elapsed().as_secs_f64(), events, bytes));
        bar.inc(events);
        ensure!(
            events >= there + missing,
            "the export had {events} lines, but {} events are stored",
            there + missing
        );
    }
    bar.finish_and_clear();
    let cores = cores.used();
    let mut rates: Vec<_> =
        rounds.iter().map(|(seconds, events, _)| float(*events) / seconds).collect();
    rates.sort_by(f64::total_cmp);
    Ok(Figures::Export(Exports {
        events: rounds.iter().map(|(_, events, _)| events).sum(),
        bytes: rounds.iter().map(|(_, _, bytes)| bytes).sum(),
        seconds: rounds.iter().map(|(seconds, _, _)| *seconds).collect(),
        events_per_second: rates.get(rates.len() / 2).copied().unwrap_or_default(),
        cores,
    }))
}

/// Exports once: how many lines, how many bytes.
async fn once(connection: &mut Connection, uri: Uri) -> anyhow::Result<(u64, u64)> {
    let request = connection.request(Method::GET, uri, Bytes::new());
    let mut answer = connection.send(request).await?;
    ensure!(answer.status == StatusCode::OK, "the export was answered with {}", answer.status);
    let (mut lines, mut bytes) = (0, 0);
    while let Some(piece) = connection.piece(&mut answer).await? {
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
        bytes += piece.len();
    }
    Ok((u64::try_from(lines)?, u64::try_from(bytes)?))
}

/// How many events there are.
async fn count(
    connection: &mut Connection,
    server: &Server,
    settings: &Settings,
) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Category {
        events: u64,
    }
    #[derive(Deserialize)]
    struct Log {
        lanes: u64,
        last_sequence_number: u64,
    }
    let uri = match settings.of {
        Of::Category => server.category(&settings.category, "?count=true")?,
        Of::Log => server.uri("")?,
    };
    let request = connection.request(Method::GET, uri, Bytes::new());
    let mut answer = connection.send(request).await?;
    let body = connection.whole(&mut answer).await?;
    if answer.status == StatusCode::NOT_FOUND && settings.of == Of::Category {
        return Ok(0);
    }
    let text = || String::from_utf8_lossy(&body).into_owned();
    ensure!(answer.status == StatusCode::OK, "asking for a count: {}", text());
    match settings.of {
        Of::Category => Ok(serde_json::from_slice::<Category>(&body).with_context(text)?.events),
        Of::Log => {
            let log: Log = serde_json::from_slice(&body).with_context(text)?;
            // With many lanes the last number says nothing about how many there are.
            ensure!(log.lanes == 1, "--of log needs a log of one lane");
            Ok(log.last_sequence_number)
        }
    }
}
