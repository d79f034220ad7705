//! What the service does, counted and timed: one table of names, units and meanings.
//!
//! Names have the prefix `everlog_` and the unit at their end, counters `_total` (OpenMetrics 1.0). No label holds what a
//! client sends but for the names of logs, projectors and events, which administrators may see anyway.

use std::time::{Duration, Instant};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// How a publish ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfOutcome {
    pub outcome: &'static str,
}

/// How a commit was made: in one step, or in a critical section.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfPath {
    pub path: &'static str,
}

/// A route of the API, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfAnswer {
    pub method: String,
    pub route: String,
    pub status: u16,
}

/// Upper bounds of durations, in seconds: from what memory takes to what a client gives up after.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of numbers of events.
const EVENTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

/// What this process has done since it began.
#[derive(Debug)]
pub struct Metrics {
    pub publishes: Family<OfOutcome, Counter>,
    pub published_events: Counter,
    pub commits: Family<OfPath, Counter>,
    pub commit_events: Histogram,
    pub commit: Histogram,
    pub queue: Histogram,
    pub tails: Gauge,
    pub tail_lag: Histogram,
    pub query: Histogram,
    pub answers: Family<OfAnswer, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            publishes: Family::default(),
            published_events: Counter::default(),
            commits: Family::default(),
            commit_events: Histogram::new(EVENTS),
            commit: durations(),
            queue: durations(),
            tails: Gauge::default(),
            tail_lag: durations(),
            query: durations(),
            answers: Family::new_with_constructor(durations),
        }
    }
}

/// A unit that Prometheus has no name for.
fn unit(name: &str) -> Unit {
    Unit::Other(name.to_owned())
}

impl Metrics {
    /// The table.
    pub fn register(&self, to: &mut Registry) {
        to.register(
            "publishes",
            "Publishes by outcome: written, replayed, refused, unwritten or unknown",
            self.publishes.clone(),
        );
        to.register("published_events", "Events that were written", self.published_events.clone());
        to.register(
            "commits",
            "Commits of publishes by path: step (one statement) or section (lanes locked)",
            self.commits.clone(),
        );
        let commit_events = "Events of a commit, of all publishes that share it";
        to.register_with_unit("commit", commit_events, unit("events"), self.commit_events.clone());
        let commit = "How long a commit took, of all its attempts";
        to.register_with_unit("commit", commit, Unit::Seconds, self.commit.clone());
        let queue = "How long a publish waited for its commit to begin";
        to.register_with_unit("publish_queue", queue, Unit::Seconds, self.queue.clone());
        to.register("tails", "Tails that are open", self.tails.clone());
        let lag = "From when an event was stored to when a live tail had it to send";
        to.register_with_unit("tail_lag", lag, Unit::Seconds, self.tail_lag.clone());
        let query = "How long a query of projections took";
        to.register_with_unit("query", query, Unit::Seconds, self.query.clone());
        let answers = "Until the head of an answer, by method, route and status";
        to.register_with_unit("answer", answers, Unit::Seconds, self.answers.clone());
    }

    /// Counts how a publish ended.
    pub fn published(&self, outcome: &'static str, events: usize) {
        self.publishes.get_or_create(&OfOutcome { outcome }).inc();
        if outcome == "written" {
            self.published_events.inc_by(u64::try_from(events).unwrap_or(u64::MAX));
        }
    }

    /// Counts a commit.
    pub fn committed(&self, path: &'static str, events: usize, took: Duration) {
        self.commits.get_or_create(&OfPath { path }).inc();
        self.commit_events.observe(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
        self.commit.observe(took.as_secs_f64());
    }

    /// Times a query until what is given is dropped.
    #[must_use]
    pub fn query(&self) -> Timed {
        Timed { to: self.query.clone(), since: Instant::now() }
    }

    /// Counts a tail as open until what is given is dropped.
    #[must_use]
    pub fn tail(&self) -> Open {
        self.tails.inc();
        Open(self.tails.clone())
    }
}

/// Notes how long it lived.
#[derive(Debug)]
pub struct Timed {
    to: Histogram,
    since: Instant,
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.to.observe(self.since.elapsed().as_secs_f64());
    }
}

/// Something that is open.
#[derive(Debug)]
pub struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
