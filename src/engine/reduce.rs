//! What a projector makes of one stream, now or as it was: reduced when it is asked for, and not stored.
//!
//! Every thousand events a snapshot is kept, from which the next who asks goes on. It says which event it ends at, and
//! is of no use if the stream has another there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    define::rules,
    program::Program,
    runner::{
        attempt::{Applying, AtHand, Settled},
        halt::Halt,
    },
};
use crate::{
    model::{
        Cursor, Direction, EntryId, Event, Filter, Json, Limits, Log, Page, Place, Projection,
        ProjectionName, Revision, Scan, Skipped, Source, StreamKey, Timestamp,
    },
    projector::{Batch, Document, Documents, Rules, definition::Concern},
    storage::{
        Storage, StorageError,
        projections::{Kept, Stretch},
        scan::{self, ScanError},
    },
};

/// A snapshot is kept after so many events of a stream.
pub const SNAPSHOT_EVENTS: i64 = 1_000;
/// Bytes of one; beyond, none is kept.
const SNAPSHOT_BYTES: usize = 1 << 20;
/// Bytes of those that are kept at once.
const SNAPSHOTS_BYTES: usize = 16 << 20;
/// What is read at once: little, for it is read while what came before is applied.
const PAGE_EVENTS: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;
/// Bytes of documents of one stream.
const DOCUMENTS_BYTES: usize = 64 << 20;
/// How long it may take. What was reduced until then is in snapshots.
pub const TIME: Duration = Duration::from_secs(10);

/// As of when.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// The last position.
    pub position: Option<i64>,
    /// What events must pass.
    pub filter: Filter,
}

impl Until {
    fn holds(&self, event: &Event) -> bool {
        self.filter.holds(event)
    }
}

/// What a projector made of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduced {
    /// The entries that there are, by their ids.
    pub entries: Vec<Projection>,
    /// The last event that was looked at.
    pub position: i64,
    pub sequence_number: i64,
    /// How many were applied.
    pub events: i64,
}

/// Why there is nothing.
#[derive(Debug)]
pub enum ReduceError {
    /// An event could not be applied.
    Faulted(Box<Halt>),
    /// The program that the projector is part of is not this one.
    Elsewhere,
    /// It took too long; who asks again goes on from there.
    TooLong,
    /// The entries are too large together.
    TooLarge(usize),
    Failed(String),
    Storage(StorageError),
}

impl From<StorageError> for ReduceError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) storage: &'a Storage,
    pub(super) log: &'a Log,
    pub(super) revision: &'a Revision,
    pub(super) program: Program,
    pub(super) stream: &'a StreamKey,
    pub(super) until: &'a Until,
    /// Whether it may go on from a snapshot.
    pub(super) goes_on: bool,
}

/// What came of it, and the snapshots that are to be kept.
pub(super) struct Answer {
    pub(super) reduced: Result<Option<Reduced>, ReduceError>,
    pub(super) snapshots: Vec<Kept>,
}

/// Reduces a stream.
pub(super) async fn reduce(ask: Ask<'_>) -> Answer {
    let failed = |error| Answer { reduced: Err(error), snapshots: Vec::new() };
    let rules = match rules(&ask.revision.definition) {
        Ok(rules) => rules,
        Err(error) => return failed(error.into()),
    };
    let snapshot = match ask.goes_on {
        true => Snapshot::find(&ask).await,
        false => Ok(None),
    };
    let snapshot = match snapshot {
        Ok(snapshot) => snapshot,
        Err(error) => return failed(error.into()),
    };
    let goes_on = snapshot.is_some();
    let mut reduction = Reduction::new(&ask, rules.clone(), snapshot);
    let reduced = match reduction.run().await {
        // The snapshot is of another history.
        Err(Stop::Diverged) if goes_on => {
            reduction = Reduction::new(&ask, rules, None);
            reduction.run().await
        }
        run => run,
    };
    let reduced = match reduced {
        Ok(()) => Ok(reduction.reduced()),
        Err(Stop::Diverged) => Err(ReduceError::Failed("the stream changes".to_owned())),
        Err(Stop::Error(error)) => Err(error),
    };
    Answer { reduced, snapshots: reduction.snapshots }
}

/// Why a reduction ended early.
enum Stop {
    /// The event that it goes on after is not there.
    Diverged,
    Error(ReduceError),
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Diverged { .. } => Self::Diverged,
            ScanError::Storage(error) => Self::Error(error.into()),
            other => Self::Error(ReduceError::Failed(other.to_string())),
        }
    }
}

/// The documents of a stream.
#[derive(Default)]
struct Held(Documents);

impl AtHand for Held {
    async fn load(&mut self, _: &Batch<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    fn documents(&self) -> &Documents {
        &self.0
    }

    fn keep(&mut self, document: Document) {
        self.0.insert(document.kept.projection.id.clone(), Some(document));
    }
}

/// A stream that is being reduced.
struct Reduction<'a> {
    ask: &'a Ask<'a>,
    applying: Applying,
    held: Held,
    /// Where it is.
    at: Option<At>,
    /// Whether every event so far passed: else what there is is no snapshot.
    whole: bool,
    snapshots: Vec<Kept>,
    snapshot_bytes: usize,
    began: Instant,
}

/// A place in a stream, and what of the events up to it bounds when it may be gone on from.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct At {
    position: i64,
    check: u32,
    sequence_number: i64,
    events: i64,
    recorded_max: i64,
    occurred_max: i64,
    observed_max: i64,
}

impl<'a> Reduction<'a> {
    fn new(ask: &'a Ask<'a>, rules: Rules, snapshot: Option<Snapshot>) -> Self {
        let name = ask.revision.documents();
        let mut held = Held::default();
        let at = snapshot.map(|snapshot| {
            for entry in snapshot.entries {
                let source = match rules.has_id {
                    true => rules.source.clone(),
                    false => Source::Stream(ask.stream.clone()),
                };
                held.keep(entry.document(&name, source));
            }
            snapshot.at
        });
        Self {
            ask,
            applying: Applying::new(ask.program.clone(), rules, name),
            held,
            at,
            whole: true,
            snapshots: Vec::new(),
            snapshot_bytes: 0,
            began: Instant::now(),
        }
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let ask = self.ask;
        let place = |event: &Event| Place { n: event.position, check: Some(event.check()) };
        let after = self.at.as_ref().map(|at| Place { n: at.position, check: Some(at.check) });
        let mut page = read(ask, after).await?;
        loop {
            let last = page.events.last().filter(|last| {
                let until = ask.until.position;
                !page.at_end && until.is_none_or(|until| last.position < until)
            });
            // The next page is read while this one is applied.
            let next = async {
                match last {
                    Some(last) => read(ask, Some(place(last))).await.map(Some),
                    None => Ok(None),
                }
            };
            let (applied, next) = tokio::join!(self.apply(&page.events), next);
            applied.map_err(Stop::Error)?;
            match next? {
                Some(next) => page = next,
                None => return Ok(()),
            }
        }
    }

    /// Applies events, up to each snapshot.
    async fn apply(&mut self, events: &[Event]) -> Result<(), ReduceError> {
        let until = self.ask.until.position.unwrap_or(i64::MAX);
        let events = &events[..events.partition_point(|event| event.position <= until)];
        for part in events.chunk_by(|a, _| (a.position + 1) % SNAPSHOT_EVENTS != 0) {
            self.apply_part(part).await?;
            let Some(last) = part.last() else { continue };
            self.pass(part, last);
            if self.whole && (last.position + 1) % SNAPSHOT_EVENTS == 0 {
                self.keep_snapshot();
            }
            let bytes: usize = self.held.0.values().flatten().map(Document::bytes).sum();
            if bytes > DOCUMENTS_BYTES {
                return Err(ReduceError::TooLarge(DOCUMENTS_BYTES));
            }
            if self.began.elapsed() > TIME {
                return Err(ReduceError::TooLong);
            }
        }
        Ok(())
    }

    async fn apply_part(&mut self, events: &[Event]) -> Result<(), ReduceError> {
        let skipped = &self.ask.revision.progress.skipped;
        let skips = |of: &Skipped, event: &Event| of.event == event.id;
        let is_applied = |event: &&Event| {
            let mut skipped = skipped.iter().filter(|of| skips(of, event));
            self.ask.until.holds(event)
                && self.applying.rules.concern(event) == Concern::Applied
                && !skipped.any(|of| of.id.is_none())
        };
        let applied: Vec<&Event> = events.iter().filter(is_applied).collect();
        let waits = |event: &Event, id: &EntryId| {
            let mut skipped = skipped.iter().filter(|of| skips(of, event));
            skipped.any(|of| of.id.as_deref() == Some(id.as_str()))
        };
        let mut rest = applied.as_slice();
        while let Some(first) = rest.first() {
            let mut batch = Batch::of(rest.iter().copied());
            let settled = self.applying.settle(&mut batch, &waits, &mut self.held).await;
            match settled.map_err(|end| ReduceError::Failed(end.told()))? {
                Settled::Done(done) => rest = &rest[done.min(rest.len())..],
                Settled::Failed(fault, _) => {
                    return Err(ReduceError::Faulted(Box::new(Halt::of(first, fault))));
                }
            }
        }
        Ok(())
    }

    /// Notes that events were looked at.
    fn pass(&mut self, part: &[Event], last: &Event) {
        let holds = |event: &Event| self.ask.until.holds(event);
        self.whole &= part.iter().all(holds);
        let most = |time: fn(&Event) -> Timestamp| part.iter().map(time).max();
        let most = |time, before: i64| {
            most(time).map_or(before, |most: Timestamp| before.max(most.micros()))
        };
        let before = self.at.as_ref();
        let never = (i64::MIN, i64::MIN, i64::MIN);
        let (recorded, occurred, observed) =
            before.map_or(never, |at| (at.recorded_max, at.occurred_max, at.observed_max));
        // An event that is applied to several entries, or none, is one event.
        let concerns =
            |event: &&Event| holds(event) && self.applying.rules.concern(event) == Concern::Applied;
        let applied = i64::try_from(part.iter().filter(concerns).count()).unwrap_or(0);
        self.at = Some(At {
            position: last.position,
            check: last.check(),
            sequence_number: last.sequence_number,
            events: before.map_or(0, |at| at.events) + applied,
            recorded_max: most(|event| event.recorded_at, recorded),
            occurred_max: most(|event| event.occurred_at, occurred),
            observed_max: most(|event| event.observed_at, observed),
        });
    }

    fn reduced(&self) -> Option<Reduced> {
        let at = self.at.as_ref()?;
        let live = self.held.0.values().flatten().filter(|document| !document.kept.deleted);
        let mut entries: Vec<Projection> =
            live.map(|document| document.kept.projection.clone()).collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Some(Reduced {
            entries,
            position: at.position,
            sequence_number: at.sequence_number,
            events: at.events,
        })
    }

    /// Of many large snapshots only the last is kept.
    fn keep_snapshot(&mut self) {
        let Some(snapshot) = self.snapshot() else { return };
        self.snapshot_bytes += snapshot.projection.state.to_string().len();
        if self.snapshot_bytes > SNAPSHOTS_BYTES {
            self.snapshots.pop();
        }
        self.snapshots.push(snapshot);
    }

    /// What there is, as a snapshot.
    fn snapshot(&self) -> Option<Kept> {
        let at = self.at.clone()?;
        let mut entries: Vec<SnapshotEntry> =
            self.held.0.values().flatten().filter_map(SnapshotEntry::of).collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let stream = self.ask.stream;
        let snapshot = Snapshot {
            category: stream.category.to_string(),
            stream: stream.stream.to_string(),
            at,
            entries,
        };
        let text = serde_json::to_string(&snapshot).ok()?;
        let recorded = Timestamp::of_stored(snapshot.at.recorded_max);
        let projection = Projection {
            name: self.ask.revision.snapshots(),
            id: snapshot_id(stream, snapshot.at.position),
            source: Source::Stream(stream.clone()),
            state: Json::stored(&text),
            metadata: Json::Null,
            version: 1,
            sequence_number: Some(snapshot.at.sequence_number),
            created_at: recorded,
            updated_at: recorded,
        };
        (text.len() <= SNAPSHOT_BYTES).then_some(Kept { projection, change: 0, deleted: false })
    }
}

async fn read(ask: &Ask<'_>, after: Option<Place>) -> Result<Page, Stop> {
    let source = Source::Stream(ask.stream.clone());
    let scan = Scan { after: after.map(Cursor::Number), ..Scan::first(PAGE_EVENTS) };
    let limits = Limits { page_bytes: PAGE_BYTES, ..Limits::default() };
    let view = ask.storage.events.view(ask.log).await;
    let mut view = view.map_err(|error| Stop::Error(error.into()))?;
    let page = scan::stretch(view.as_mut(), ask.log, &source, &scan, &limits).await;
    view.close().await;
    Ok(page?)
}

/// What events up to a place came to.
#[derive(Debug, Serialize, Deserialize)]
struct Snapshot {
    category: String,
    stream: String,
    at: At,
    entries: Vec<SnapshotEntry>,
}

/// An entry in a snapshot; a deleted one has its versions.
#[derive(Debug, Serialize, Deserialize)]
struct SnapshotEntry {
    id: String,
    /// The text is kept: a state is what it is down to its numbers.
    state: Box<RawValue>,
    metadata: Box<RawValue>,
    version: i64,
    sequence_number: i64,
    created: i64,
    updated: i64,
    deleted: bool,
}

impl SnapshotEntry {
    fn of(document: &Document) -> Option<Self> {
        let Kept { projection, deleted, .. } = &document.kept;
        Some(Self {
            id: projection.id.to_string(),
            state: RawValue::from_string(projection.state.to_string()).ok()?,
            metadata: RawValue::from_string(projection.metadata.to_string()).ok()?,
            version: projection.version,
            sequence_number: projection.sequence_number.unwrap_or(0),
            created: projection.created_at.micros(),
            updated: projection.updated_at.micros(),
            deleted: *deleted,
        })
    }

    fn document(self, name: &ProjectionName, source: Source) -> Document {
        let projection = Projection {
            name: name.clone(),
            id: EntryId::stored(self.id.as_str()),
            source,
            state: Json::stored(self.state.get()),
            metadata: Json::stored(self.metadata.get()),
            version: self.version,
            sequence_number: Some(self.sequence_number),
            created_at: Timestamp::of_stored(self.created),
            updated_at: Timestamp::of_stored(self.updated),
        };
        Document::of(Kept { projection, change: 0, deleted: self.deleted })
    }
}

/// The last position comes first.
fn snapshot_id(stream: &StreamKey, position: i64) -> EntryId {
    let mut hash = Sha256::new();
    hash.update(stream.category.as_str().as_bytes());
    hash.update([0]);
    hash.update(stream.stream.as_str().as_bytes());
    let hash = Uuid::from_slice(&hash.finalize()[..16]).unwrap_or_default();
    EntryId::stored(format!("{hash}:{:019}", i64::MAX - position))
}

impl Snapshot {
    /// The last one of a stream that there is until then.
    async fn find(ask: &Ask<'_>) -> Result<Option<Self>, StorageError> {
        let most = ask.until.position.unwrap_or(i64::MAX - 1).min(i64::MAX - 1);
        let mut stretch = Stretch {
            name: Some(ask.revision.snapshots()),
            // Whatever stands behind the one after.
            from: Some((ask.revision.snapshots(), snapshot_id(ask.stream, most + 1))),
            direction: Direction::Forwards,
            limit: 1,
            bytes: 1,
            sieve: None,
        };
        let mut view = ask.storage.projections.projections(ask.log).await?;
        let found = loop {
            let part = view.stretch(&stretch).await?;
            stretch.from.clone_from(&part.last);
            let Some(document) = part.documents.first() else { break None };
            let found: Self = match serde_json::from_str(&document.state.to_string()) {
                Ok(found) => found,
                Err(error) => return Err(StorageError::Broken(error.into())),
            };
            let stream = (found.category.as_str(), found.stream.as_str());
            if stream != (ask.stream.category.as_str(), ask.stream.stream.as_str()) {
                break None;
            }
            if found.at.passes(&ask.until.filter) {
                break Some(found);
            }
        };
        view.close().await;
        Ok(found)
    }
}

impl At {
    /// Whether all events up to it pass.
    fn passes(&self, filter: &Filter) -> bool {
        let before =
            |until: Option<Timestamp>, most: i64| until.is_none_or(|until| most <= until.micros());
        let Filter { occurred, observed, recorded, .. } = filter;
        before(occurred.until, self.occurred_max)
            && before(observed.until, self.observed_max)
            && before(recorded.until, self.recorded_max)
    }
}
