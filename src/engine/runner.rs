//! Runs one revision of a projector: follows its source, has its events applied, and commits what became of them.
//!
//! Documents that changed are kept in memory for some batches and committed together with the place up to which
//! everything was applied. If a commit fails or is refused, what is in memory is let go, and whoever holds the revision
//! next goes on from the store.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    changes::Changes,
    hub::SharedEvent,
    tail::{From, Step, Tails},
    workers::{WorkerError, Workers},
};
use crate::{
    model::{Cursor, EntryId, Event, Filter, Form, Log, Place, Progress, Revision},
    projector::{
        Batch, Document, Documents, Rules,
        definition::{Concern, MissingHandler},
    },
    storage::{Storage, StorageError, projectors::Advance, scan, scan::ScanError},
    worker::frames::{self, Applied, Located, Reply, Request, Work},
};

/// How long a revision is held without a word, and how often the hold is renewed.
pub const HELD: Duration = Duration::from_secs(5);
const RENEWED: Duration = Duration::from_millis(1_500);
/// Bytes of events that a worker is given at once.
const BATCH_BYTES: usize = 1 << 20;
/// A commit follows after so many events, bytes of documents, or so long.
const COMMIT_EVENTS: i64 = 5_000;
const COMMIT_BYTES: usize = 8 << 20;
const COMMIT_TIME: Duration = Duration::from_millis(200);
/// A place that moved past events of others alone is noted so often.
const PASSED_TIME: Duration = Duration::from_millis(250);
/// Bytes of documents that are kept in memory between commits.
const CACHE_BYTES: usize = 64 << 20;
/// Names of events without a handler that are counted apart.
const IGNORED_NAMES: usize = 100;

/// Why a revision does not run that somebody paused.
pub const PAUSED: &str = "paused";

/// What a runner works with.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) storage: Storage,
    pub(super) tails: Tails,
    pub(super) workers: Workers,
    pub(super) changes: Changes,
}

/// Why a runner ended.
#[derive(Debug)]
pub(super) enum End {
    /// Somebody else holds the revision, or it is not there any more.
    Lost,
    /// An event stopped it.
    Halted,
    /// It is to end.
    Stopped,
    /// Something is not there for now.
    Failed(String),
}

impl std::convert::From<StorageError> for End {
    fn from(error: StorageError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl std::convert::From<ScanError> for End {
    fn from(error: ScanError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What stopped a projector, as it is kept and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The event that could not be applied.
    pub event: HaltedAt,
    pub message: String,
    pub stack: String,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The line's text.
    pub excerpt: Option<String>,
}

/// An event, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltedAt {
    pub id: Uuid,
    pub name: String,
    pub category: String,
    pub stream: String,
    pub position: i64,
    pub sequence_number: i64,
}

impl Halt {
    fn of(event: &Event, fault: frames::Fault) -> Self {
        let place = fault.place;
        Self {
            event: HaltedAt {
                id: event.id,
                name: event.name.to_string(),
                category: event.stream.category.to_string(),
                stream: event.stream.stream.to_string(),
                position: event.position,
                sequence_number: event.sequence_number,
            },
            message: cut(fault.message),
            stack: cut(fault.stack),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            excerpt: place.map(|place| place.excerpt),
        }
    }
}

/// Bytes of a message, and of a stack, that are kept.
const TOLD_BYTES: usize = 2 << 10;

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TOLD_BYTES));
    text
}

fn said(message: impl Into<String>) -> frames::Fault {
    frames::Fault { event: None, message: message.into(), stack: String::new(), place: None }
}

/// An event with the cursor that it stands at.
type Placed = (SharedEvent, Cursor);

/// What came of events.
enum Outcome {
    /// So many of them were applied, or passed over.
    Done(usize),
    /// The first one stops the projector.
    Halted(frames::Fault),
}

/// A revision that is run.
pub(super) struct Runner {
    means: Means,
    log: Arc<Log>,
    revision: Revision,
    rules: Rules,
    owner: Uuid,
    /// How far it is in the store, and how far it is.
    stored: Progress,
    now: Progress,
    documents: Documents,
    bytes: usize,
    /// The documents that are not as they are in the store.
    dirty: HashSet<EntryId>,
    dirty_bytes: usize,
    ignored: BTreeMap<String, i64>,
    committed_at: Instant,
    /// Events that are asked for one by one, because one among them fails.
    careful: usize,
}

impl Runner {
    pub(super) fn new(
        means: Means,
        log: Arc<Log>,
        revision: Revision,
        rules: Rules,
        owner: Uuid,
        progress: Progress,
    ) -> Self {
        let ignored = serde_json::from_str(&progress.ignored).unwrap_or_default();
        let (stored, now) = (progress.clone(), progress);
        Self {
            means,
            log,
            revision,
            rules,
            owner,
            stored,
            now,
            documents: Documents::new(),
            bytes: 0,
            dirty: HashSet::new(),
            dirty_bytes: 0,
            ignored,
            committed_at: Instant::now(),
            careful: 0,
        }
    }

    /// Runs until something ends it. `live` is told once it has caught up.
    pub(super) async fn run(
        mut self,
        stop: &CancellationToken,
        live: impl Fn() + Send + Sync,
    ) -> End {
        let projectors = self.means.storage.projectors.clone();
        let (revision, owner) = (self.revision.id, self.owner);
        // Beside the work, which may take longer than a hold lasts.
        let held = async {
            let mut since = Instant::now();
            loop {
                tokio::time::sleep(RENEWED).await;
                match projectors.hold(revision, owner, HELD).await {
                    Ok(Some(_)) => since = Instant::now(),
                    Ok(None) => return End::Lost,
                    Err(error) if since.elapsed() > HELD => return End::from(error),
                    Err(error) => tracing::debug!(%error, "a projector may be lost soon"),
                }
            }
        };
        tokio::select! {
            end = self.follow(&live) => end.err().unwrap_or(End::Stopped),
            end = held => end,
            () = stop.cancelled() => End::Stopped,
        }
    }

    async fn follow(&mut self, live: &(impl Fn() + Send + Sync)) -> Result<(), End> {
        let from = match self.stored.cursor.parse() {
            Ok(cursor) => From::After(cursor),
            Err(_) => From::Start,
        };
        let (source, filter) = (self.rules.source.clone(), Filter::default());
        let tail = self.means.tails.follow(&self.log, source, from, filter).await?;
        let mut tail = tail.wide();
        loop {
            match tail.step().await? {
                Step::Events(events) => {
                    let placed = events.into_iter().map(|(event, cursor)| {
                        let cursor = cursor.unwrap_or_else(|| self.own_cursor(&event.event));
                        (event, cursor)
                    });
                    let placed: Vec<Placed> = placed.collect();
                    self.take(&placed).await?;
                    tail.pass_others();
                    if let Some(cursor) = tail.cursor() {
                        self.now.cursor = cursor.to_string();
                    }
                    if let Some(number) = tail.examined() {
                        self.now.sequence_number = self.now.sequence_number.max(number);
                    }
                    // Those who wait for an event wait for it also if it was passed over.
                    if self.now != self.stored && self.committed_at.elapsed() >= PASSED_TIME {
                        self.commit(None).await?;
                    }
                }
                Step::Idle => {
                    if !self.dirty.is_empty() {
                        self.commit(None).await?;
                    }
                    live();
                    let passed = self.now != self.stored;
                    let wait = if passed { PASSED_TIME } else { HELD };
                    if tokio::time::timeout(wait, tail.woken()).await.is_err() && passed {
                        self.commit(None).await?;
                    }
                }
            }
        }
    }

    /// The cursor of an event whose source has one lane.
    fn own_cursor(&self, event: &Event) -> Cursor {
        let (lanes, source) = (self.log.lanes, &self.rules.source);
        let place = Place { n: scan::n_of(lanes, source, event), check: Some(event.check()) };
        scan::cursor_of(lanes, source, vec![place])
    }

    /// Applies events, in batches.
    async fn take(&mut self, events: &[Placed]) -> Result<(), End> {
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0;
            let within = |(shared, _): &&Placed| {
                let room = bytes < BATCH_BYTES;
                bytes += shared.event.bytes();
                room
            };
            let count = rest.iter().take(self.rules.batch_events).take_while(within).count();
            match self.apply(&rest[..count]).await? {
                Outcome::Done(done) => {
                    self.count(&rest[..done]);
                    rest = &rest[done..];
                }
                Outcome::Halted(fault) => {
                    let halt = Halt::of(&rest[0].0.event, fault);
                    let halt =
                        serde_json::to_string(&halt).map_err(|e| End::Failed(e.to_string()))?;
                    self.commit(Some(halt)).await?;
                    return Err(End::Halted);
                }
            }
            let full = self.now.events - self.stored.events >= COMMIT_EVENTS
                || self.dirty_bytes >= COMMIT_BYTES
                || self.committed_at.elapsed() >= COMMIT_TIME;
            if full && !self.dirty.is_empty() {
                self.commit(None).await?;
            }
        }
        Ok(())
    }

    /// Counts events that were applied or passed over.
    fn count(&mut self, events: &[Placed]) {
        for (shared, _) in events {
            match self.rules.concern(&shared.event) {
                Concern::Applied => self.now.events += 1,
                Concern::Ignored => {
                    let name = shared.event.name.as_str();
                    let known = self.ignored.contains_key(name);
                    let name = if known || self.ignored.len() < IGNORED_NAMES { name } else { "*" };
                    *self.ignored.entry(name.to_owned()).or_insert(0) += 1;
                }
                Concern::Elsewhere => {}
            }
        }
        if let Some((shared, cursor)) = events.last() {
            self.now.sequence_number = shared.event.sequence_number;
            self.now.recorded_at = Some(shared.event.recorded_at);
            self.now.cursor = cursor.to_string();
        }
    }

    /// Applies as many events as there is time for, from the first on.
    async fn apply(&mut self, events: &[Placed]) -> Result<Outcome, End> {
        let concerns = events.iter().map(|(shared, _)| self.rules.concern(&shared.event));
        let concerns: Vec<Concern> = concerns.collect();
        let mut end = events.len();
        if self.rules.missing_handler == MissingHandler::Fail {
            match concerns.iter().position(|concern| *concern == Concern::Ignored) {
                Some(0) => return Ok(Outcome::Halted(said("it has no handler"))),
                Some(first) => end = first,
                None => {}
            }
        }
        let applied: Vec<usize> =
            (0..end).filter(|index| concerns[*index] == Concern::Applied).collect();
        let mut batch = Batch::of(applied.iter().map(|index| &events[*index].0.event));
        loop {
            if self.careful > 0 {
                batch.truncate(1);
            }
            if batch.is_empty() {
                return Ok(Outcome::Done(applied.first().copied().unwrap_or(end)));
            }
            match self.attempt(&mut batch).await? {
                Attempt::Done(done) => {
                    self.careful = self.careful.saturating_sub(done);
                    // What follows the last one and is not applied goes with it.
                    let after = applied.get(done).copied().unwrap_or(end);
                    return Ok(Outcome::Done(after));
                }
                Attempt::Failed(Some(0), fault) => {
                    // What comes before it and is not applied is passed over first.
                    return Ok(match applied.first() {
                        Some(first) if *first > 0 => Outcome::Done(*first),
                        _ => Outcome::Halted(fault),
                    });
                }
                Attempt::Failed(Some(event), _) => batch.truncate(event),
                Attempt::Failed(None, fault) if batch.len() == 1 => {
                    return Ok(match applied.first() {
                        Some(first) if *first > 0 => Outcome::Done(*first),
                        _ => Outcome::Halted(fault),
                    });
                }
                Attempt::Failed(None, _) => self.careful = batch.len(),
            }
        }
    }

    /// Has a batch applied, once.
    async fn attempt(&mut self, batch: &mut Batch<'_>) -> Result<Attempt, End> {
        if self.rules.has_id {
            let located = match self.ask(batch.where_to()).await? {
                Ok(Reply::Located(located)) => located,
                Ok(_) => {
                    return Ok(Attempt::Failed(None, said("the worker answers something else")));
                }
                Err(fault) => return Ok(Attempt::Failed(None, fault)),
            };
            let Located { ids, fault } = located;
            match fault {
                Some(fault) if ids.is_empty() => return Ok(Attempt::Failed(Some(0), fault)),
                _ => {}
            }
            if let Err((event, message)) = batch.locate(ids) {
                return Ok(Attempt::Failed(Some(event), said(message)));
            }
        }
        self.load(batch).await?;
        let applied = match self.ask(batch.work(0..batch.len(), &self.documents)).await? {
            Ok(Reply::Applied(applied)) => applied,
            Ok(_) => return Ok(Attempt::Failed(None, said("the worker answers something else"))),
            Err(fault) => return Ok(Attempt::Failed(None, fault)),
        };
        let Applied { events, entries, fault, .. } = applied;
        if let Some(fault) = fault {
            let event = fault.event.and_then(|event| usize::try_from(event).ok());
            return Ok(Attempt::Failed(event, fault));
        }
        let events = usize::try_from(events).unwrap_or(usize::MAX).min(batch.len());
        let name = self.revision.documents();
        match batch.done(0..batch.len(), events, &name, &self.rules, entries, &self.documents) {
            Ok(done) => {
                done.into_iter().for_each(|document| self.keep(document));
                Ok(Attempt::Done(events))
            }
            Err(message) => Ok(Attempt::Failed((events == 1).then_some(0), said(message))),
        }
    }

    /// Asks a worker; what it did wrong, or came to grief by, is the fault of the events.
    async fn ask(&self, work: Work<'_>) -> Result<Result<Reply, frames::Fault>, End> {
        let key = self.revision.id.to_string();
        let definition = &self.revision.definition;
        let request = Request {
            key: &key,
            is_module: definition.form == Form::Module,
            definition: &definition.text,
            allowance: self.rules.allowance,
            work,
        };
        match self.means.workers.ask(&request).await {
            Ok(Reply::Refused(complaints)) => {
                let first = complaints.into_iter().next();
                let message = first.map_or_else(String::new, |complaint| complaint.message);
                Ok(Err(said(format!("the definition cannot be loaded any more: {message}"))))
            }
            Ok(reply) => Ok(Ok(reply)),
            Err(error @ (WorkerError::Stuck(_) | WorkerError::Ended(_))) => {
                Ok(Err(said(error.to_string())))
            }
            Err(error @ WorkerError::Unavailable(_)) => Err(End::Failed(error.to_string())),
        }
    }

    /// Reads the documents of a batch that are not at hand.
    async fn load(&mut self, batch: &Batch<'_>) -> Result<(), End> {
        if self.bytes > CACHE_BYTES {
            let dirty = &self.dirty;
            self.documents.retain(|id, _| dirty.contains(id));
            self.bytes = self.documents.values().flatten().map(Document::bytes).sum();
        }
        let missing: HashSet<&EntryId> =
            batch.ids().filter(|id| !self.documents.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<EntryId> = missing.into_iter().cloned().collect();
        let name = self.revision.documents();
        // Nothing but this revision's owner writes them, and if that is somebody else the commit is refused.
        let found = self.means.storage.projections.documents(&self.log, &name, &missing).await?;
        self.documents.extend(missing.into_iter().map(|id| (id, None)));
        for kept in found {
            let document = Document::of(kept);
            self.bytes += document.bytes();
            self.documents.insert(document.kept.projection.id.clone(), Some(document));
        }
        Ok(())
    }

    fn keep(&mut self, document: Document) {
        let id = document.kept.projection.id.clone();
        let bytes = document.bytes();
        self.bytes += bytes;
        self.dirty_bytes += bytes;
        if let Some(before) = self.documents.insert(id.clone(), Some(document)).flatten() {
            self.bytes -= before.bytes();
        }
        self.dirty.insert(id);
    }

    /// Commits what changed, with the place.
    async fn commit(&mut self, halt: Option<String>) -> Result<(), End> {
        if !self.ignored.is_empty() {
            self.now.ignored =
                serde_json::to_string(&self.ignored).map_err(|e| End::Failed(e.to_string()))?;
        }
        let documents = self.dirty.iter().filter_map(|id| self.documents.get(id)?.as_ref());
        let mut kept: Vec<_> = documents.map(|document| document.kept.clone()).collect();
        // Changes are numbered in the order of the events that made them.
        kept.sort_by(|a, b| {
            let (a, b) = (&a.projection, &b.projection);
            (a.sequence_number, &a.id).cmp(&(b.sequence_number, &b.id))
        });
        let step = Advance {
            revision: self.revision.id,
            documents: self.revision.documents(),
            owner: self.owner,
            from: self.stored.cursor.clone(),
            to: self.now.clone(),
            kept,
            halt,
        };
        if !self.means.storage.projectors.advance(&self.log, &step).await? {
            return Err(End::Lost);
        }
        self.stored = self.now.clone();
        self.dirty.clear();
        (self.dirty_bytes, self.committed_at) = (0, Instant::now());
        self.means.changes.changed(&self.log, &step.documents);
        Ok(())
    }
}

/// What became of a batch.
enum Attempt {
    /// So many events were applied.
    Done(usize),
    /// This event failed, or one that is not known.
    Failed(Option<usize>, frames::Fault),
}
