//! `everlog import`: publishes the lines of a file through a running server.
//!
//! Each line's id is derived from the file's SHA-256 and the line's number, unless the line states
//! one: an import that is run again stores nothing twice and goes on where it was cut off. Hence all
//! lines are checked before the first is sent: a file that is mended is another one, with other ids.
//! Memory holds one request at a time.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    client::{Target, first, next, problem},
    line,
};
use crate::{
    engine::ids,
    model::{
        CategoryName, EventName, NameFault, StreamName, Timestamp, json_scan,
        limits::JSON_DEPTH_MAX, time::TimeFault,
    },
};

/// The most bytes of events in one request, well below the server's limit.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// The longest line.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// How often a request is sent again while the server cannot be reached.
const TRIES: u32 = 12;
/// What is said of a failure before the first request with events.
const NOTHING_SENT: &str = "nothing was sent";
/// How to go on when a server has gone away.
const GO_ON: &str = "Run the same command again to go on: nothing is stored twice";

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
    fn of(line: &NestedLine<'_>, number: u64, file_hash: &[u8]) -> Self {
        let derived = || ids::imported(file_hash, number).to_string();
        let json = line.event.json(&line.event.id.clone().unwrap_or_else(derived));
        Self { number, category: line.category.clone(), stream: line.stream.clone(), json }
    }
}

impl<'a> NestedLine<'a> {
    /// Reads either shape of a line.
    fn parse(text: &'a str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Shape {
            event: Option<serde::de::IgnoredAny>,
        }
        if serde_json::from_str::<Shape>(text)?.event.is_some() {
            return serde_json::from_str(text);
        }
        let flat: FlatLine<'a> = serde_json::from_str(text)?;
        let event = Nested {
            id: flat.id,
            name: flat.name,
            payload: flat.payload,
            metadata: flat.metadata,
            occurred_at: flat.occurred_at,
            observed_at: flat.observed_at,
        };
        Ok(Self { category: flat.category, stream: flat.stream, event })
    }

    /// Refuses what a server would refuse, but for its limits of size.
    fn check(&self) -> anyhow::Result<()> {
        let event = &self.event;
        let name = |member: &'static str, parsed: Result<(), NameFault>| parsed.context(member);
        name("category", self.category.parse::<CategoryName>().map(drop))?;
        name("stream", self.stream.parse::<StreamName>().map(drop))?;
        name("name", event.name.parse::<EventName>().map(drop))?;
        if let Some(id) = &event.id {
            let hyphenated = id.len() == 36 && Uuid::try_parse(id).is_ok();
            ensure!(hyphenated, "id: expected a UUID such as 019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71");
        }
        for (member, value) in [("payload", event.payload), ("metadata", event.metadata)] {
            let scanned =
                value.map(|value| json_scan::check(value.get().as_bytes(), JSON_DEPTH_MAX));
            if let Some(Err(fault)) = scanned {
                bail!("{member}{}: {}", fault.pointer, fault.kind);
            }
        }
        let times = [("occurred_at", &event.occurred_at), ("observed_at", &event.observed_at)];
        for (member, time) in times {
            let parsed: Option<Result<Timestamp, TimeFault>> =
                time.as_ref().map(|time| time.parse());
            parsed.transpose().context(member)?;
        }
        Ok(())
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
    bar: ProgressBar,
    stored: u64,
    replayed: u64,
}

impl Sender {
    /// Asks for the log before anything is read or sent: one that is not there is met at once.
    async fn open(target: &Target, bar: &ProgressBar) -> anyhow::Result<Self> {
        let (client, log) = (target.client()?, target.log_url());
        let response = first(client.get(&log)).await?;
        if !matches!(response.status(), StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
            return Err(problem(response).await);
        }
        let url = format!("{log}/events");
        Ok(Self { client, url, bar: bar.clone(), stored: 0, replayed: 0 })
    }

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
    async fn post(&self, body: String) -> anyhow::Result<Response> {
        let mut pause = Duration::from_millis(100);
        for attempt in 1.. {
            let request =
                self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json");
            let error = match next(request.body(body.clone())).await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    problem(response).await
                }
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if attempt == 1 {
                let said = format!("everlog: {error:#}; trying again for a minute");
                self.bar.suspend(|| line::tell(&said));
            }
            if attempt == TRIES {
                bail!("{error:#}; gave up. {GO_ON}");
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
    let bar = ProgressBar::new(length).with_style(style).with_prefix("checking");
    let mut sender = Sender::open(&settings.target, &bar).await.context(NOTHING_SENT)?;
    let hash = check(path, &bar).with_context(name).context(NOTHING_SENT)?;
    bar.reset();
    bar.set_prefix("importing");
    let file = bar.wrap_read(File::open(path).with_context(name)?);
    let mut lines = Lines::of(file).with_context(name)?;
    let mut batch = Batch::default();
    while let Some((number, text)) = lines.next().with_context(name)? {
        let line = NestedLine::parse(&text).with_context(|| format!("line {number}"))?;
        let row = Row::of(&line, number, &hash);
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

/// Checks every line of the file, and gives the SHA-256 of its bytes.
fn check(path: &Path, bar: &ProgressBar) -> anyhow::Result<Vec<u8>> {
    let mut file = Hashed { file: bar.wrap_read(File::open(path)?), hasher: Sha256::new() };
    let mut lines = Lines::of(&mut file)?;
    while let Some((number, text)) = lines.next()? {
        let line = NestedLine::parse(&text).map_err(|error| {
            // It is the text's only line: its number there would be taken for that of the file.
            anyhow!(error.to_string().replace(" at line 1 column ", " at column "))
        });
        line.and_then(|line| line.check()).with_context(|| format!("line {number}"))?;
    }
    drop(lines);
    // What unzips need not read to the end.
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(file.hasher.finalize().to_vec())
}

/// A file whose bytes are hashed as they are read.
struct Hashed<R> {
    file: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The lines of a file, unzipped if it is gzipped.
struct Lines<'a> {
    text: Box<dyn BufRead + Send + 'a>,
    number: u64,
}

impl<'a> Lines<'a> {
    fn of(file: impl Read + Send + 'a) -> std::io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, file);
        let gzipped = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let text: Box<dyn BufRead + Send + 'a> = if gzipped {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { text, number: 0 })
    }

    /// The next line that is not blank, and its number among all of them.
    fn next(&mut self) -> anyhow::Result<Option<(u64, String)>> {
        loop {
            self.number += 1;
            let mut text = String::new();
            let read = self.text.by_ref().take(LINE_BYTES_MAX).read_line(&mut text);
            let count = read.with_context(|| format!("line {}", self.number))?;
            ensure!(
                text.ends_with('\n') || u64::try_from(count)? < LINE_BYTES_MAX,
                "line {} is longer than {LINE_BYTES_MAX} bytes",
                self.number
            );
            if count == 0 {
                return Ok(None);
            }
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                return Ok(Some((self.number, text)));
            }
        }
    }
}
