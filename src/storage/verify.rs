//! Reads a whole store and holds it against what Everlog promises of it: `everlog check`.

use std::collections::{BTreeMap, HashMap};

use super::{Listing, Span, Storage, StorageError};
use crate::model::{
    CategoryName, Direction, Event, Lane, Log, Source, StreamKey, Timestamp, json_scan,
    limits::{JSON_DEPTH_MAX, LISTING_MAX},
};

/// What was found in one log.
#[derive(Debug, Default)]
pub struct Report {
    pub events: i64,
    pub streams: usize,
    pub categories: usize,
    /// What is not as promised, the first hundred of it.
    pub faults: Vec<String>,
}

const FAULTS_MAX: usize = 100;
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 8 << 20;

/// Reads every event of a log, up to what is there at the start.
pub async fn verify(
    storage: &Storage,
    log: &Log,
    progress: &mut (dyn FnMut(i64) + Send),
) -> Result<Report, StorageError> {
    let mut walk = Walk { log, report: Report::default(), heads: HashMap::new() };
    for lane in 0..log.lanes.count {
        walk.lane(storage, lane, progress).await?;
    }
    walk.categories(storage).await?;
    walk.report.streams = walk.heads.len();
    Ok(walk.report)
}

struct Walk<'a> {
    log: &'a Log,
    report: Report,
    /// The last position seen of each stream.
    heads: HashMap<StreamKey, i64>,
}

impl Walk<'_> {
    async fn lane(
        &mut self,
        storage: &Storage,
        lane: Lane,
        progress: &mut (dyn FnMut(i64) + Send),
    ) -> Result<(), StorageError> {
        let mut last = (0, Timestamp::MIN);
        loop {
            let mut view = storage.events.view(self.log).await?;
            let span = Span {
                source: Source::Log,
                lane,
                after: last.0,
                before: i64::MAX,
                direction: Direction::Forwards,
                limit: PAGE_ROWS,
                bytes: PAGE_BYTES,
            };
            let rows = view.rows(&span).await?;
            let ids: Vec<_> = rows.iter().map(|event| event.id).collect();
            let by_id = view.with_ids(&ids).await?;
            view.close().await;
            if by_id.len() != rows.len() {
                self.fault(format!("lane {lane}: ids after {} are not all found", last.0));
            }
            for event in &rows {
                self.event(lane, &mut last, event);
            }
            progress(self.report.events);
            if span.is_exhausted_by(&rows) {
                return Ok(());
            }
        }
    }

    fn event(&mut self, lane: Lane, last: &mut (i64, Timestamp), event: &Event) {
        self.report.events += 1;
        let number = event.sequence_number;
        let (own_lane, n) = self.log.lanes.split(number);
        if n != last.0 + 1 {
            self.fault(format!("lane {lane}: a hole before sequence number {number}"));
        }
        if own_lane != lane || self.log.lanes.of_stream(&event.stream) != lane {
            self.fault(format!("sequence number {number} is in a lane that is not its stream's"));
        }
        if event.recorded_at < last.1 {
            self.fault(format!("sequence number {number} was recorded before its predecessor"));
        }
        *last = (n, event.recorded_at);
        let expected = self.heads.get(&event.stream).map_or(0, |position| position + 1);
        if event.position != expected {
            let StreamKey { category, stream } = &event.stream;
            self.fault(format!(
                "stream {stream} of category {category}: position {} where {expected} was due",
                event.position
            ));
        }
        self.heads.insert(event.stream.clone(), event.position);
        for (what, text) in [("payload", &event.payload), ("metadata", &event.metadata)] {
            if json_scan::check(text.as_str().as_bytes(), JSON_DEPTH_MAX).is_err() {
                self.fault(format!("sequence number {number}: the {what} is not JSON"));
            }
        }
    }

    /// Holds the listings and counts against what was read.
    async fn categories(&mut self, storage: &Storage) -> Result<(), StorageError> {
        let mut counted: BTreeMap<CategoryName, i64> = BTreeMap::new();
        for (stream, position) in &self.heads {
            *counted.entry(stream.category.clone()).or_default() += position + 1;
        }
        self.report.categories = counted.len();
        let mut listing = Listing { prefix: String::new(), after: None, limit: LISTING_MAX };
        let mut listed = Vec::new();
        let mut view = storage.events.view(self.log).await?;
        loop {
            let names = view.categories(&listing).await?;
            listing.after = names.last().map(ToString::to_string);
            let full = names.len() == LISTING_MAX;
            listed.extend(names);
            if !full {
                break;
            }
        }
        for (category, events) in &counted {
            if !listed.contains(category) {
                self.fault(format!("category {category} is not listed"));
            }
            let count = view.count(category).await?;
            if count < *events {
                self.fault(format!("category {category}: {count} events counted, {events} read"));
            }
        }
        view.close().await;
        Ok(())
    }

    fn fault(&mut self, fault: String) {
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(fault);
        }
    }
}
