//! `everlog import`: publishes the lines of a file through a running server.
//!
//! Each line's id is derived from the file's SHA-256 and the line's number, unless the line states
//! one: an import that is run again stores nothing twice and goes on where it was cut off. Memory
//! holds one request at a time.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{
    client::{Target, problem},
    line,
};
use crate::engine::ids;

/// The most bytes of events in one request, well below the server's limit.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// The longest line.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// How often a request is sent again while the server cannot be reached.
const TRIES: u32 = 12;

/// What order the events get across streams; within a stream it is always the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// The file's: exact, with smaller requests where streams alternate
    File,
    /// By stream within each request: fewer requests
    Stream,
}

/// The settings of `everlog import`.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// The file: one event a line, as `export` writes them or as {category, stream, event: {…}}
    #[arg(value_name = "FILE.ndjson[.gz]")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Most events in one request
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// What order the events get across streams
    #[arg(long, default_value = "file", value_name = "ORDER")]
    order: Order,
}

/// The members of an event, in either shape of a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nested<'a> {
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    occurred_at: Option<String>,
    observed_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NestedLine<'a> {
    category: String,
    stream: String,
    #[serde(borrow)]
    event: Nested<'a>,
}

/// What `export` writes. What the server assigns is assigned anew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatLine<'a> {
    category: String,
    stream: String,
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    occurred_at: Option<String>,
    observed_at: Option<String>,
    #[serde(rename = "recorded_at")]
    _recorded_at: Option<String>,
    #[serde(rename = "position")]
    _position: Option<i64>,
    #[serde(rename = "sequence_number")]
    _sequence_number: Option<i64>,
}

/// One event, ready to be sent.
#[derive(Clone)]
struct Row {
    number: u64,
    category: String,
    stream: String,
    json: String,
}

impl Row {
    fn parse(text: &str, number: u64, file_hash: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Shape {
            event: Option<serde::de::IgnoredAny>,
        }
        let nested = serde_json::from_str::<Shape>(text)?.event.is_some();
        let (category, stream, event) = if nested {
            let line: NestedLine<'_> = serde_json::from_str(text)?;
            (line.category, line.stream, line.event)
        } else {
            let flat: FlatLine<'_> = serde_json::from_str(text)?;
            let event = Nested {
                id: flat.id,
                name: flat.name,
                payload: flat.payload,
                metadata: flat.metadata,
                occurred_at: flat.occurred_at,
                observed_at: flat.observed_at,
            };
            (flat.category, flat.stream, event)
        };
        let id = event.id.clone().unwrap_or_else(|| ids::imported(file_hash, number).to_string());
        Ok(Self { number, category, stream, json: event.json(&id) })
    }
}

impl Nested<'_> {
    fn json(&self, id: &str) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut json = format!("{{\"id\":{},\"name\":{}", quoted(id), quoted(&self.name));
        for (name, value) in [("payload", self.payload), ("metadata", self.metadata)] {
            if let Some(value) = value {
                json.push_str(&format!(",\"{name}\":{}", value.get()));
            }
        }
        let times = [("occurred_at", &self.occurred_at), ("observed_at", &self.observed_at)];
        for (name, time) in times {
            if let Some(time) = time {
                json.push_str(&format!(",\"{name}\":{}", quoted(time)));
            }
        }
        json.push('}');
        json
    }
}

/// The events of the next request.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    streams: HashMap<(String, String), usize>,
}

impl Batch {
    /// Whether a row can join without breaking a limit or the order.
    fn takes(&self, row: &Row, settings: &Settings) -> bool {
        let key = (row.category.clone(), row.stream.clone());
        let known = self.streams.get(&key).copied();
        let alternates = known.is_some_and(|index| index + 1 != self.streams.len());
        self.rows.is_empty()
            || (self.rows.len() < usize::from(settings.batch)
                && self.bytes + row.json.len() <= REQUEST_BYTES_MAX
                && (known.is_some() || self.streams.len() < 1_000)
                && !(alternates && settings.order == Order::File))
    }

    fn push(&mut self, row: Row) {
        let next = self.streams.len();
        self.streams.entry((row.category.clone(), row.stream.clone())).or_insert(next);
        self.bytes += row.json.len();
        self.rows.push(row);
    }

    /// The body of the request: each stream once, in the order of first appearance.
    fn body(&self) -> String {
        let mut writes: Vec<(&Row, Vec<&str>)> = Vec::new();
        let mut index = HashMap::new();
        for row in &self.rows {
            let at = *index.entry((&row.category, &row.stream)).or_insert_with(|| {
                writes.push((row, Vec::new()));
                writes.len() - 1
            });
            if let Some((_, events)) = writes.get_mut(at) {
                events.push(&row.json);
            }
        }
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let writes: Vec<_> = writes
            .iter()
            .map(|(row, events)| {
                let (category, stream) = (quoted(&row.category), quoted(&row.stream));
                let events = events.join(",");
                format!("{{\"category\":{category},\"stream\":{stream},\"events\":[{events}]}}")
            })
            .collect();
        format!("{{\"writes\":[{}]}}", writes.join(","))
    }
}

/// Sends batches and counts what became of them.
struct Sender {
    client: Client,
    url: String,
    stored: u64,
    replayed: u64,
}

impl Sender {
    /// Sends a batch. Where an earlier run with other settings stored a part of it, it is halved
    /// until each part is either stored or not.
    async fn send(&mut self, batch: Batch) -> anyhow::Result<()> {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let count = u64::try_from(part.rows.len())?;
            let lines = match (part.rows.first(), part.rows.last()) {
                (Some(first), Some(last)) => format!("lines {} to {}", first.number, last.number),
                _ => continue,
            };
            let response = self.post(part.body()).await.with_context(|| lines.clone())?;
            match response.status() {
                StatusCode::CREATED => self.stored += count,
                StatusCode::OK => self.replayed += count,
                StatusCode::CONFLICT if part.rows.len() > 1 => {
                    let mut half = |rows: Vec<Row>| {
                        let mut batch = Batch::default();
                        rows.into_iter().for_each(|row| batch.push(row));
                        parts.push(batch);
                    };
                    let later = part.rows.split_off(part.rows.len() / 2);
                    half(later);
                    half(part.rows);
                }
                _ => return Err(problem(response).await.context(lines)),
            }
        }
        Ok(())
    }

    /// Tries again while the server cannot be reached: the ids make that safe.
    async fn post(&self, body: String) -> anyhow::Result<reqwest::Response> {
        let mut pause = Duration::from_millis(100);
        for attempt in 1.. {
            let request =
                self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json");
            let error = match request.body(body.clone()).send().await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    problem(response).await
                }
                Ok(response) => return Ok(response),
                Err(error) => error.into(),
            };
            if attempt == TRIES {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
        bail!("never sent")
    }
}

pub(super) async fn import(settings: &Settings) -> anyhow::Result<()> {
    let path = &settings.file;
    let name = || path.display().to_string();
    let style = ProgressStyle::with_template(
        "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta} {msg}",
    )?;
    let length = std::fs::metadata(path).with_context(name)?.len();
    let bar = ProgressBar::new(length).with_style(style).with_prefix("hashing");
    let hash = hash(path, &bar).with_context(name)?;
    bar.reset();
    bar.set_prefix("importing");
    let url = format!("{}/events", settings.target.log_url());
    let mut sender = Sender { client: settings.target.client()?, url, stored: 0, replayed: 0 };
    let mut lines = open(path, &bar).with_context(name)?;
    let (mut batch, mut number) = (Batch::default(), 0);
    while let Some(text) = next_line(&mut lines).with_context(|| format!("line {}", number + 1))? {
        number += 1;
        if text.trim().is_empty() {
            continue;
        }
        let row = Row::parse(&text, number, &hash).with_context(|| format!("line {number}"))?;
        if !batch.takes(&row, settings) {
            sender.send(std::mem::take(&mut batch)).await?;
            bar.set_message(format!("{} events", sender.stored + sender.replayed));
        }
        batch.push(row);
    }
    sender.send(batch).await?;
    bar.finish_and_clear();
    let (stored, replayed, took) = (sender.stored, sender.replayed, bar.elapsed());
    line::print(&format!("{stored} events stored, {replayed} were there already, in {took:.1?}"))
}

fn hash(path: &Path, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    let mut file = bar.wrap_read(File::open(path)?);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(chunk.get(..count).unwrap_or_default());
    }
}

fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Box<dyn BufRead + Send>> {
    let mut file = BufReader::new(bar.wrap_read(File::open(path)?));
    let gzipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

fn next_line(lines: &mut dyn BufRead) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    let count = lines.take(LINE_BYTES_MAX).read_line(&mut text)?;
    ensure!(
        text.ends_with('\n') || u64::try_from(count)? < LINE_BYTES_MAX,
        "is longer than {LINE_BYTES_MAX} bytes"
    );
    Ok((count > 0).then_some(text))
}
