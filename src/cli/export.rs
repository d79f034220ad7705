//! `everlog export`: writes the events of a running server, one a line.
//!
//! With `--resume` it goes on after the last whole line of the file. Memory holds one chunk.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::{
    client::{Target, problem},
    line,
};
use crate::http::encode;

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
    if settings.resume && end.lanes > 1 && settings.stream.is_none() {
        bail!("the log has {} lanes: no number says where an export of it ended", end.lanes);
    }
    let (mut output, after) = match &settings.output {
        None => (Output::Standard(std::io::stdout()), 0),
        Some(path) => open(path, settings.resume).with_context(|| path.display().to_string())?,
    };
    let countable = end.lanes == 1 && settings.category.is_none();
    let bar = progress(countable.then(|| end.last_sequence_number.saturating_sub(after)))?;
    let mut url = format!("{}/export", settings.url());
    if after > 0 {
        url.push_str(&format!("?after_sequence_number={after}"));
    }
    let response = client.get(url).send().await?;
    if response.status() != StatusCode::OK {
        return Err(problem(response).await);
    }
    let mut chunks = response.bytes_stream();
    let mut whole = true;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.context("the export was cut off; --resume goes on where it ended")?;
        let lines = chunk.iter().filter(|byte| **byte == b'\n').count();
        whole = chunk.last().map_or(whole, |byte| *byte == b'\n');
        output.write(&chunk)?;
        bar.inc(u64::try_from(lines)?);
    }
    output.flush()?;
    bar.finish_and_clear();
    ensure!(whole, "the export was cut off in a line; --resume goes on where it ended");
    if settings.output.is_some() {
        let (events, took) = (bar.position(), bar.elapsed());
        line::print(&format!("{events} events written in {took:.1?}"))?;
    }
    Ok(())
}

enum Output {
    Standard(std::io::Stdout),
    File(BufWriter<File>),
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Standard(output) => output.write_all(bytes),
            Self::File(file) => file.write_all(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Standard(output) => output.flush(),
            Self::File(file) => {
                file.flush()?;
                file.get_ref().sync_all()
            }
        }
    }
}

/// Opens the file; says after which sequence number to go on.
fn open(path: &PathBuf, resume: bool) -> anyhow::Result<(Output, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).create_new(!resume);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("the file exists; --resume goes on after its last line")
        }
        opened => opened?,
    };
    let (end, after) = last_line(&mut file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok((Output::File(BufWriter::new(file)), after))
}

/// Where the last whole line ends, and its sequence number; zeros of an empty file.
fn last_line(file: &mut File) -> anyhow::Result<(u64, u64)> {
    #[derive(Deserialize)]
    struct Line {
        sequence_number: u64,
    }
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
        match (end, start) {
            (None, _) if from == 0 => return Ok((0, 0)),
            (Some(end), start) if start.is_some() || from == 0 => {
                let text = tail.get(start.map_or(0, |start| start + 1)..end).unwrap_or_default();
                let line: Line = serde_json::from_slice(text)
                    .context("its last line is not an exported event")?;
                return Ok((from + u64::try_from(end)? + 1, line.sequence_number));
            }
            _ => size *= 4,
        }
    }
}

/// What is known of the log's end.
#[derive(Deserialize)]
struct End {
    lanes: u64,
    last_sequence_number: u64,
}

async fn end(client: &Client, settings: &Settings) -> anyhow::Result<End> {
    let response =
        client.get(settings.target.log_url()).send().await.context("asking the server")?;
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
