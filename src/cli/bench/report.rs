//! What was measured: for people, or as one JSON object.

use std::{collections::BTreeMap, fmt::Write};

use serde::Serialize;

use super::{latency::Percentiles, process::CoresUsed};
use crate::cli::line;

/// A report of one run.
#[derive(Serialize)]
pub(super) struct Report<'a, P> {
    pub bench: &'static str,
    pub version: &'static str,
    pub server: &'a str,
    pub log: &'a str,
    pub durability: &'a str,
    pub parameters: &'a P,
    pub figures: &'a Figures,
}

/// The figures of any of the benches.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Figures {
    Publish(Publishes),
    Read(Reads),
    Export(Exports),
    Tail(Box<Deliveries>),
    Idle(Idle),
}

/// Figures of `publish`.
#[derive(Serialize)]
pub(super) struct Publishes {
    pub seconds: f64,
    pub requests: u64,
    pub requests_per_second: f64,
    /// Of events that were stored: replays are not.
    pub events_per_second: f64,
    pub replays: u64,
    pub latency_us: Percentiles,
    /// How many times a 503 asked to try again, and was obeyed.
    pub asked_to_wait: u64,
    /// All that went wrong, by code, also while warming up.
    pub errors: BTreeMap<String, u64>,
    pub cores: CoresUsed,
    pub client_cpu_us_per_request: Option<f64>,
}

/// Figures of `read`.
#[derive(Serialize)]
pub(super) struct Reads {
    pub seconds: f64,
    pub requests: u64,
    pub requests_per_second: f64,
    pub events_per_second: f64,
    pub bytes_per_second: f64,
    pub latency_us: Percentiles,
    pub cores: CoresUsed,
}

/// Figures of `export`.
#[derive(Serialize)]
pub(super) struct Exports {
    pub events: u64,
    pub bytes: u64,
    pub seconds: Vec<f64>,
    /// Of the median export.
    pub events_per_second: f64,
    pub cores: CoresUsed,
}

/// Figures of `tail`.
#[derive(Serialize)]
pub(super) struct Deliveries {
    pub seconds: f64,
    pub published: u64,
    pub ack_us: Percentiles,
    pub receive_us: Percentiles,
    pub expected: u64,
    pub received: u64,
    pub doubled: u64,
    pub unknown: u64,
    pub ended: u64,
    pub errors: BTreeMap<String, u64>,
    pub cores: CoresUsed,
    pub rss: Option<Rss>,
}

/// Figures of `tail --idle`.
#[derive(Serialize)]
pub(super) struct Idle {
    pub opened_in_seconds: f64,
    pub rss: Option<Rss>,
    pub ack_us: u64,
    /// From just before the event was sent until the last tail had it.
    pub last_received_us: u64,
    pub expected: u64,
    pub received: u64,
    pub doubled: u64,
}

/// The server's memory before and after the tails were opened.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Rss {
    pub before_kib: u64,
    pub after_kib: u64,
    pub per_tail_kib: f64,
}

impl Figures {
    /// What was not as it must be.
    pub(super) fn faults(&self) -> u64 {
        match self {
            Self::Publish(it) => it.errors.values().sum(),
            Self::Read(_) | Self::Export(_) => 0,
            Self::Tail(it) => {
                let lost = it.expected.saturating_sub(it.received);
                lost + it.doubled + it.unknown + it.ended + it.errors.values().sum::<u64>()
            }
            Self::Idle(it) => it.expected.saturating_sub(it.received) + it.doubled,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Publish(it) => it.text(),
            Self::Read(it) => it.text(),
            Self::Export(it) => it.text(),
            Self::Tail(it) => it.text(),
            Self::Idle(it) => it.text(),
        }
    }
}

impl Publishes {
    fn text(&self) -> String {
        let mut text = format!(
            "{:.0} events/s stored, {:.0} requests/s, {} requests in {:.1} s\nlatency      {}",
            self.events_per_second,
            self.requests_per_second,
            self.requests,
            self.seconds,
            self.latency_us
        );
        if self.replays > 0 {
            row(&mut text, "replays", &format!("{}, each answered as such", self.replays));
        }
        if self.asked_to_wait > 0 {
            row(&mut text, "busy", &format!("{} times 503, obeyed", self.asked_to_wait));
        }
        errors(&mut text, &self.errors);
        cores(&mut text, &self.cores);
        text
    }
}

impl Reads {
    fn text(&self) -> String {
        let mut text = format!(
            "{:.0} events/s, {:.0} pages/s, {:.1} MB/s\nlatency      {}",
            self.events_per_second,
            self.requests_per_second,
            self.bytes_per_second / 1e6,
            self.latency_us
        );
        cores(&mut text, &self.cores);
        text
    }
}

impl Exports {
    fn text(&self) -> String {
        let times: Vec<_> = self.seconds.iter().map(|seconds| format!("{seconds:.3} s")).collect();
        let mut text = format!(
            "{:.0} events/s, {} events of {} bytes in all\ntimes        {}",
            self.events_per_second,
            self.events,
            self.bytes,
            times.join("  ")
        );
        cores(&mut text, &self.cores);
        text
    }
}

impl Deliveries {
    fn text(&self) -> String {
        let mut text = format!(
            "{} events published in {:.1} s, {} of {} deliveries arrived, {} doubled",
            self.published, self.seconds, self.received, self.expected, self.doubled
        );
        row(&mut text, "acknowledged", &self.ack_us.to_string());
        row(&mut text, "received", &self.receive_us.to_string());
        if self.ended + self.unknown > 0 {
            let told = format!("{} tails ended, {} strange frames", self.ended, self.unknown);
            row(&mut text, "faults", &told);
        }
        errors(&mut text, &self.errors);
        cores(&mut text, &self.cores);
        rss(&mut text, self.rss);
        text
    }
}

impl Idle {
    fn text(&self) -> String {
        let millis = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64() * 1e3;
        let mut text = format!(
            "{} of {} tails received the event, the last after {:.1} ms; acknowledged after {:.1} ms",
            self.received,
            self.expected,
            millis(self.last_received_us),
            millis(self.ack_us)
        );
        row(&mut text, "opened", &format!("in {:.1} s", self.opened_in_seconds));
        rss(&mut text, self.rss);
        text
    }
}

fn row(text: &mut String, name: &str, what: &str) {
    // Writing to a string never fails.
    let _ = write!(text, "\n{name:<12} {what}");
}

fn errors(text: &mut String, errors: &BTreeMap<String, u64>) {
    for (code, count) in errors {
        row(text, "ERROR", &format!("{count} × {code}"));
    }
}

fn cores(text: &mut String, used: &CoresUsed) {
    let told = |who, cores: Option<f64>| cores.map(|cores| format!("{who} {cores:.2}"));
    let all: Vec<_> = [told("server", used.server), told("this client", used.client)]
        .into_iter()
        .flatten()
        .collect();
    if !all.is_empty() {
        row(text, "cores", &all.join(", "));
    }
}

fn rss(text: &mut String, rss: Option<Rss>) {
    if let Some(Rss { before_kib, after_kib, per_tail_kib }) = rss {
        let told = format!("{before_kib} → {after_kib} KiB, {per_tail_kib:.1} KiB a tail");
        row(text, "memory", &told);
    }
}

impl<P: Serialize> Report<'_, P> {
    /// Writes it to standard output.
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return line::print(&serde_json::to_string(self)?);
        }
        line::print(&format!("{} on {}, log {}", self.bench, self.server, self.log))?;
        line::print(&self.figures.text())?;
        line::print(&format!("stored in    {}", self.durability))
    }
}
