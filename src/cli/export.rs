//! `everlog export`: writes the events of a running server, one a line.
//!
//! With `--resume` it goes on after the last whole line of the file, if the server's history holds
//! that event. Memory holds one chunk.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    client::{Target, first, next, problem},
    line,
};
use crate::{
    http::encode,
    model::{Cursor, Place, event::id_check},
};

/// How every line begins.
const LINE_BEGINS: &[u8] = b"{\"id\":\"";

/// The settings of `everlog export`.
#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    target: Target,
    /// Only this category
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only this stream of the category
    #[arg(long, value_name = "NAME", requires = "category")]
    stream: Option<String>,
    /// Where to write; standard output by default
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go on after the last whole line of the file
    #[arg(long, requires = "output")]
    resume: bool,
}

impl Settings {
    fn url(&self) -> String {
        let mut url = self.target.log_url();
        if let Some(category) = &self.category {
            url.push_str(&format!("/categories/{}", encode(category)));
        }
        if let Some(stream) = &self.stream {
            url.push_str(&format!("/streams/{}", encode(stream)));
        }
        url
    }
}

pub(super) async fn export(settings: &Settings) -> anyhow::Result<()> {
    let client = settings.target.client()?;
    let end = end(&client, settings).await?;
    let resumable = end.lanes == 1 || settings.stream.is_some();
    if settings.resume && !resumable {
        bail!(
            "the log has {} lanes: no number says where an export of it ended; --resume needs one \
             stream (--category and --stream)",
            end.lanes
        );
    }
    let kept = match &settings.output {
        Some(path) => Kept::of(path, settings).with_context(|| path.display().to_string())?,
        None => Kept::default(),
    };
    let countable = end.lanes == 1 && settings.category.is_none();
    let before = kept.last.as_ref().map_or(0, |last| last.sequence_number);
    let left = u64::try_from(end.last_sequence_number.saturating_sub(before)).unwrap_or(0);
    let bar = progress(countable.then_some(left))?;
    let response = ask(&client, settings, &kept).await?;
    let mut chunks = response.bytes_stream();
    let mut chunk = chunks.next().await.transpose().context("the export broke off at its start")?;
    // Not before the server has begun to answer is the file made, or cut after its last whole line.
    let mut output = Output::begin(settings, &kept)?;
    let mut whole = true;
    while let Some(bytes) = chunk {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        whole = bytes.last().map_or(whole, |byte| *byte == b'\n');
        if !output.write(&bytes).with_context(|| cut_off(settings, resumable))? {
            return Ok(());
        }
        bar.inc(u64::try_from(lines)?);
        chunk = match chunks.next().await.transpose() {
            Ok(chunk) => chunk,
            Err(error) => {
                output.flush()?;
                return Err(error).with_context(|| cut_off(settings, resumable));
            }
        };
    }
    output.flush().with_context(|| cut_off(settings, resumable))?;
    bar.finish_and_clear();
    ensure!(whole, cut_off(settings, resumable));
    if settings.output.is_some() {
        let (events, took) = (bar.position(), bar.elapsed());
        line::print(&format!("{events} events written in {took:.1?}"))?;
    }
    Ok(())
}

/// Asks for what comes after the file's last event. The server holds the cursor's check digits
/// against its own history.
async fn ask(client: &Client, settings: &Settings, kept: &Kept) -> anyhow::Result<Response> {
    let mut url = format!("{}/export", settings.url());
    let cursor = kept.last.as_ref().map(|last| last.cursor(settings));
    if let Some(cursor) = &cursor {
        url.push_str(&format!("?after={cursor}"));
    }
    let response = next(client.get(url)).await?;
    match (response.status(), cursor, &settings.output) {
        (StatusCode::OK, _, _) => Ok(response),
        (StatusCode::GONE, Some(cursor), Some(path)) => {
            let path = path.display();
            Err(problem(response).await.context(format!(
                "{path} is of another log, or of a history that was lost: its last event \
                 ({cursor}) is not in this log; the file is left as it was"
            )))
        }
        _ => Err(problem(response).await),
    }
}

/// What is said of an export that ended too early, and how to go on.
fn cut_off(settings: &Settings, resumable: bool) -> String {
    match &settings.output {
        None => "the export was cut off".to_owned(),
        Some(path) if resumable => {
            let path = path.display();
            format!("the export was cut off; --resume goes on after the last whole line of {path}")
        }
        Some(path) => {
            format!("the export was cut off; {} is a part that cannot go on", path.display())
        }
    }
}

enum Output {
    Standard(std::io::Stdout),
    File(BufWriter<File>),
}

impl Output {
    fn begin(settings: &Settings, kept: &Kept) -> anyhow::Result<Self> {
        let Some(path) = &settings.output else { return Ok(Self::Standard(std::io::stdout())) };
        let open = || -> std::io::Result<File> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).create_new(!settings.resume).truncate(false);
            let mut file = options.open(path)?;
            file.set_len(kept.bytes)?;
            file.seek(SeekFrom::Start(kept.bytes))?;
            Ok(file)
        };
        Ok(Self::File(BufWriter::new(open().with_context(|| path.display().to_string())?)))
    }

    /// Writes; says whether anybody reads it.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<bool> {
        match self {
            Self::Standard(output) => line::heard(output.write_all(bytes)),
            Self::File(file) => file.write_all(bytes).map(|()| true),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Standard(output) => line::heard(output.flush()).map(|_| ()),
            Self::File(file) => {
                file.flush()?;
                file.get_ref().sync_all()
            }
        }
    }
}

/// The last whole line of a file.
#[derive(Deserialize)]
struct Last {
    id: Uuid,
    category: String,
    stream: String,
    position: i64,
    sequence_number: i64,
}

impl Last {
    /// The cursor that points at it, in what is exported.
    fn cursor(&self, settings: &Settings) -> Cursor {
        let in_stream = settings.stream.is_some();
        let n = if in_stream { self.position } else { self.sequence_number };
        Cursor::Number(Place { n, check: Some(id_check(self.id)) })
    }
}

/// What the file holds already.
#[derive(Default)]
struct Kept {
    /// Where its last whole line ends.
    bytes: u64,
    last: Option<Last>,
}

impl Kept {
    /// Reads the file, and refuses one that is no earlier part of this export.
    fn of(path: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            opened => opened?,
        };
        ensure!(settings.resume, "the file exists; --resume goes on after its last line");
        let kept = last_line(&mut file)?;
        let Some(last) = &kept.last else { return Ok(kept) };
        let others = [
            ("category", &settings.category, &last.category),
            ("stream", &settings.stream, &last.stream),
        ];
        for (what, wanted, found) in others {
            if let Some(wanted) = wanted {
                ensure!(wanted == found, "its last line is of {what} `{found}`, not `{wanted}`");
            }
        }
        // Logs and streams count without holes. A part of one does not, nor does what holds others.
        let (whole, counted) = match (&settings.category, &settings.stream) {
            (None, _) => ("log", last.sequence_number),
            (Some(_), Some(_)) => ("stream", last.position.saturating_add(1)),
            (Some(_), None) => return Ok(kept),
        };
        let lines = count_lines(&mut file)?;
        ensure!(
            u64::try_from(counted) == Ok(lines),
            "it is no export of a whole {whole}: it has {lines} lines, and the last is event \
             {counted} of the {whole}"
        );
        Ok(kept)
    }
}

/// Finds the last whole line from the file's end. What follows it will be cut, and so must be a
/// line that was begun: all else is somebody's.
fn last_line(file: &mut File) -> anyhow::Result<Kept> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut tail = Vec::new();
    let mut size = 1 << 16;
    loop {
        let from = length.saturating_sub(size);
        file.seek(SeekFrom::Start(from))?;
        tail.clear();
        file.take(size).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|byte| *byte == b'\n');
        let start = end.and_then(|end| tail.get(..end)?.iter().rposition(|byte| *byte == b'\n'));
        let rest = tail.get(end.map_or(0, |end| end + 1)..).unwrap_or_default();
        let begun = rest.iter().zip(LINE_BEGINS).all(|(found, expected)| found == expected);
        match (end, start) {
            (None, _) if from == 0 => {
                ensure!(begun, "it is not an export");
                return Ok(Kept::default());
            }
            (Some(end), start) if start.is_some() || from == 0 => {
                ensure!(begun, "what follows its last whole line is not of an export");
                let text = tail.get(start.map_or(0, |start| start + 1)..end).unwrap_or_default();
                let last = serde_json::from_slice(text)
                    .context("its last line is not an exported event")?;
                return Ok(Kept { bytes: from + u64::try_from(end)? + 1, last: Some(last) });
            }
            _ => size *= 4,
        }
    }
}

fn count_lines(file: &mut File) -> anyhow::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut chunk = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(lines);
        }
        let read = chunk.get(..count).unwrap_or_default();
        lines += u64::try_from(read.iter().filter(|byte| **byte == b'\n').count())?;
    }
}

/// What is known of the log's end.
#[derive(Deserialize)]
struct End {
    lanes: u64,
    last_sequence_number: i64,
}

async fn end(client: &Client, settings: &Settings) -> anyhow::Result<End> {
    let response = first(client.get(settings.target.log_url())).await?;
    if response.status() != StatusCode::OK {
        return Err(problem(response).await);
    }
    Ok(response.json().await?)
}

fn progress(total: Option<u64>) -> anyhow::Result<ProgressBar> {
    Ok(match total {
        Some(total) => ProgressBar::new(total).with_style(ProgressStyle::with_template(
            "exporting {bar:30} {human_pos}/{human_len} events {per_sec} eta {eta}",
        )?),
        None => ProgressBar::no_length().with_style(ProgressStyle::with_template(
            "exporting {spinner} {human_pos} events {per_sec}",
        )?),
    })
}
