//! Runs one revision of a projector: follows its source, has its events applied, and commits what became of them.
//!
//! Documents that changed are kept in memory for some batches and committed together with the place up to which
//! everything was applied. If a commit fails or is refused, what is in memory is let go, and whoever holds the revision
//! next goes on from the store.

pub(super) mod attempt;
mod carry_out;
pub mod halt;
pub mod orders;
pub mod parking;
mod shelf;
pub(super) mod together;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use self::carry_out::SKIPPED_MAX;
use self::{
    attempt::{Applying, Settled},
    halt::{Halt, said},
    parking::Parking,
    shelf::Shelf,
    together::Together,
};
use super::{
    changes::Changes,
    hub::SharedEvent,
    program::Program,
    tail::{From, Step, Tail, Tails},
    workers::Workers,
};
use crate::{
    model::{Clock, Cursor, EntryId, Event, Filter, Log, Place, Progress, Revision, Timestamp},
    projector::{
        Batch, Rules,
        definition::{Concern, OnError},
    },
    storage::{Storage, StorageError, projectors::Advance, scan, scan::ScanError},
    worker::frames,
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
/// Names of events without a handler that are counted apart.
const IGNORED_NAMES: usize = 100;
/// How long events are counted for their rate.
const RATED: Duration = Duration::from_secs(2);

/// What a runner works with.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) storage: Storage,
    pub(super) tails: Tails,
    pub(super) workers: Workers,
    pub(super) changes: Changes,
    pub(super) together: Together,
    pub(super) clock: Arc<dyn Clock>,
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

impl End {
    /// Why, in words.
    pub(super) fn told(self) -> String {
        match self {
            Self::Failed(why) => why,
            other => format!("{other:?}"),
        }
    }
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

/// What is run, by whom, from where.
pub(super) struct Part {
    pub(super) log: Arc<Log>,
    pub(super) revision: Revision,
    pub(super) rules: Rules,
    pub(super) program: Program,
    pub(super) owner: Uuid,
    pub(super) progress: Progress,
}

/// An event with the cursor that it stands at.
type Placed = (SharedEvent, Cursor);

/// What came of events.
enum Outcome {
    /// So many of them were applied, or passed over.
    Done(usize),
    /// The first one fails, for these of its entries; none: for all.
    Failed(frames::Fault, Vec<EntryId>),
}

/// A revision that is run.
pub(super) struct Runner {
    means: Means,
    log: Arc<Log>,
    revision: Revision,
    applying: Applying,
    owner: Uuid,
    /// How far it is in the store, and how far it is.
    stored: Progress,
    now: Progress,
    shelf: Shelf,
    parking: Parking,
    /// When the last commit ended.
    committed_at: Instant,
    /// Since when events were counted for their rate, and how many there were then.
    rated: (Instant, i64),
    seen: i64,
    /// The orders that are there, and those that were carried out.
    orders: watch::Receiver<String>,
    carried_out: BTreeSet<Uuid>,
    done: String,
    /// The event that is to be skipped if it comes next.
    to_skip: Option<Uuid>,
}

/// Runs a revision until something ends it. `live` is told once it has caught up; `kicked` when there may be an order.
pub(super) async fn run(
    means: Means,
    part: Part,
    stop: &CancellationToken,
    kicked: &Notify,
    live: impl Fn() + Send + Sync,
) -> End {
    let projectors = means.storage.projectors.clone();
    let (revision, owner) = (part.revision.id, part.owner);
    let (ordered, orders) = watch::channel(part.progress.orders.clone());
    // Beside the work, which may take longer than a hold lasts.
    let held = async {
        let mut since = Instant::now();
        loop {
            let _ = tokio::time::timeout(RENEWED, kicked.notified()).await;
            match projectors.hold(revision, owner, HELD).await {
                Ok(Some(progress)) => {
                    since = Instant::now();
                    ordered.send_if_modified(|orders| {
                        let is_new = *orders != progress.orders;
                        *orders = progress.orders;
                        is_new
                    });
                }
                Ok(None) => return End::Lost,
                Err(error) if since.elapsed() > HELD => return End::from(error),
                Err(error) => tracing::debug!(%error, "a projector may be lost soon"),
            }
        }
    };
    let work = async {
        let parking = Parking::load(&means.storage, &part.log, &part.revision).await?;
        Runner::new(means, part, parking, orders).follow(&live).await
    };
    tokio::select! {
        end = work => end.err().unwrap_or(End::Stopped),
        end = held => end,
        () = stop.cancelled() => End::Stopped,
    }
}

impl Runner {
    fn new(
        means: Means,
        part: Part,
        parking: Parking,
        mut orders: watch::Receiver<String>,
    ) -> Self {
        let Part { log, revision, rules, program, owner, progress } = part;
        let (stored, now) = (progress.clone(), progress);
        // Those that it begins with are there to be seen.
        orders.mark_changed();
        let name = revision.documents();
        let shelf = Shelf::new(means.storage.clone(), log.clone(), name.clone());
        Self {
            means,
            log,
            revision,
            applying: Applying::new(program, rules, name),
            owner,
            stored,
            now,
            shelf,
            parking,
            committed_at: Instant::now(),
            rated: (Instant::now(), 0),
            seen: 0,
            orders,
            carried_out: BTreeSet::new(),
            done: String::new(),
            to_skip: None,
        }
    }

    async fn follow(&mut self, live: &(impl Fn() + Send + Sync)) -> Result<(), End> {
        let from = match self.stored.cursor.parse() {
            Ok(cursor) => From::After(cursor),
            Err(_) => From::Start,
        };
        let (source, filter) = (self.applying.rules.source.clone(), Filter::default());
        let tail = self.means.tails.follow(&self.log, source, from, filter).await?;
        let mut tail = tail.wide();
        loop {
            self.carry_out().await?;
            match tail.step().await? {
                Step::Events(events) => {
                    let placed = events.into_iter().map(|(event, cursor)| {
                        let cursor = cursor.unwrap_or_else(|| self.own_cursor(&event.event));
                        (event, cursor)
                    });
                    let placed: Vec<Placed> = placed.collect();
                    let follows = tail.is_live();
                    self.take(&placed, follows).await?;
                    tail.pass_others();
                    if let Some(cursor) = tail.cursor() {
                        self.now.cursor = cursor.to_string();
                    }
                    if let Some(number) = tail.examined() {
                        self.now.sequence_number = self.now.sequence_number.max(number);
                    }
                    // What is left is one batch at most.
                    if follows
                        && usize::try_from(tail.lag())
                            .is_ok_and(|lag| lag < self.applying.rules.batch_events)
                    {
                        live();
                    }
                    // Those who wait for an event wait for it also if it was passed over.
                    if self.now != self.stored && self.committed_at.elapsed() >= PASSED_TIME {
                        self.commit(None).await?;
                    }
                }
                Step::Idle => {
                    if self.shelf.is_dirty() || self.now.parked != self.stored.parked {
                        self.commit(None).await?;
                    }
                    live();
                    self.wait(&mut tail).await?;
                }
            }
        }
    }

    /// Waits for events and for orders; what was passed over meanwhile is noted.
    async fn wait(&mut self, tail: &mut Tail) -> Result<(), End> {
        let passed = self.now != self.stored;
        let wait = if passed { PASSED_TIME } else { HELD };
        let woken = async {
            tokio::select! {
                () = tail.woken() => {}
                // Whoever sends them ends with it.
                _ = self.orders.changed() => self.orders.mark_changed(),
            }
        };
        if tokio::time::timeout(wait, woken).await.is_err() && passed {
            self.commit(None).await?;
        }
        Ok(())
    }

    /// The cursor of an event whose source has one lane.
    fn own_cursor(&self, event: &Event) -> Cursor {
        let (lanes, source) = (self.log.lanes, &self.applying.rules.source);
        let place = Place { n: scan::n_of(lanes, source, event), check: Some(event.check()) };
        scan::cursor_of(lanes, source, vec![place])
    }

    /// Applies events, in batches. They follow what is published, or are read from the store.
    async fn take(&mut self, events: &[Placed], follows: bool) -> Result<(), End> {
        let mut rest = events;
        while let Some((first, _)) = rest.first() {
            if self.parking.is_crowded()
                && let Some(full) = self.parking.is_full()
            {
                return self.halt(Halt::of(&first.event, said(full))).await;
            }
            let mut bytes = 0;
            let within = |(shared, _): &&Placed| {
                let room = bytes < BATCH_BYTES;
                bytes += shared.event.bytes();
                room
            };
            let count =
                rest.iter().take(self.applying.rules.batch_events).take_while(within).count();
            match self.apply(&rest[..count]).await? {
                Outcome::Done(done) => {
                    self.count(&rest[..done]);
                    rest = &rest[done..];
                }
                Outcome::Failed(fault, ids) => {
                    let event = &rest[0].0.event;
                    let halt = Halt::of(event, fault);
                    let parks = self.applying.rules.on_error == OnError::Park && !ids.is_empty();
                    match self.parking.is_full().filter(|_| parks) {
                        None if parks => {
                            ids.iter().for_each(|id| self.parking.park(id, halt.clone()));
                        }
                        full => {
                            let full = full.map(|full| Halt::of(event, said(full)));
                            return self.halt(full.unwrap_or(halt)).await;
                        }
                    }
                }
            }
            self.commit_if_due(follows && rest.is_empty()).await?;
        }
        Ok(())
    }

    /// Keeps what came before an event, and goes no further.
    async fn halt<T>(&mut self, halt: Halt) -> Result<T, End> {
        let halt = serde_json::to_string(&halt).map_err(|error| End::Failed(error.to_string()))?;
        self.commit(Some(halt)).await?;
        Err(End::Halted)
    }

    /// Whoever follows what is published commits what came: the next commit has what comes meanwhile. Whoever reads from the
    /// store commits rarely, for fewer commits in all.
    async fn commit_if_due(&mut self, all: bool) -> Result<(), End> {
        let due = self.now.events - self.stored.events >= COMMIT_EVENTS
            || self.shelf.dirty_bytes >= COMMIT_BYTES
            || all
            || self.committed_at.elapsed() >= COMMIT_TIME;
        if due && (self.shelf.is_dirty() || self.now.parked != self.stored.parked) {
            self.commit(None).await?;
        }
        Ok(())
    }

    /// What an event is to the projector, and to who decided about it.
    fn concern(&self, event: &Event) -> Concern {
        let skipped = |event: &Event| {
            let mut skipped = self.now.skipped.iter();
            skipped.any(|skipped| skipped.event == event.id && skipped.id.is_none())
        };
        match self.applying.rules.concern(event) {
            Concern::Applied if skipped(event) => Concern::Elsewhere,
            concern => concern,
        }
    }

    /// Applies a batch up to the first event that fails; what waits, or was skipped, is left out.
    async fn settle(&mut self, batch: &mut Batch<'_>) -> Result<Settled, End> {
        let (parking, skipped) = (&self.parking, &self.now.skipped);
        let waits = |event: &Event, id: &EntryId| {
            let mut skipped = skipped.iter().filter(|skipped| skipped.event == event.id);
            parking.holds(id) || skipped.any(|of| of.id.as_deref() == Some(id.as_str()))
        };
        self.applying.settle(batch, &waits, &mut self.shelf).await
    }

    /// Counts events that were applied or passed over.
    fn count(&mut self, events: &[Placed]) {
        for (shared, _) in events {
            match self.concern(&shared.event) {
                Concern::Applied => self.now.events += 1,
                Concern::Ignored => {
                    let (name, ignored) = (shared.event.name.as_str(), &mut self.now.ignored);
                    let known = ignored.contains_key(name);
                    let name = if known || ignored.len() < IGNORED_NAMES { name } else { "*" };
                    *ignored.entry(name.to_owned()).or_insert(0) += 1;
                }
                Concern::Elsewhere => {}
            }
        }
        self.seen += i64::try_from(events.len()).unwrap_or(0);
        if let Some((shared, cursor)) = events.last() {
            self.now.sequence_number = shared.event.sequence_number;
            self.now.recorded_at = Some(shared.event.recorded_at);
            self.now.cursor = cursor.to_string();
        }
    }

    /// Applies as many events as there is time for, from the first on.
    async fn apply(&mut self, events: &[Placed]) -> Result<Outcome, End> {
        self.skip_first(events);
        let is_applied = |index: &usize| self.concern(&events[*index].0.event) == Concern::Applied;
        let applied: Vec<usize> = (0..events.len()).filter(is_applied).collect();
        let Some(first) = applied.first().copied() else { return Ok(Outcome::Done(events.len())) };
        let mut batch = Batch::of(applied.iter().map(|index| &events[*index].0.event));
        match self.settle(&mut batch).await? {
            Settled::Done(done) => {
                for (event, id) in batch.aside(done) {
                    self.parking.add(id, event.id);
                }
                self.now.parked = self.parking.told();
                // What follows the last one and is not applied goes with it.
                Ok(Outcome::Done(applied.get(done).copied().unwrap_or(events.len())))
            }
            // What comes before it and is not applied is passed over first.
            Settled::Failed(..) if first > 0 => Ok(Outcome::Done(first)),
            Settled::Failed(fault, ids) => Ok(Outcome::Failed(fault, ids)),
        }
    }

    /// Commits what changed, with the place.
    async fn commit(&mut self, halt: Option<String>) -> Result<(), End> {
        self.now.parked = self.parking.told();
        let (since, seen) = self.rated;
        let (elapsed, seen) = (since.elapsed(), self.seen - seen);
        if elapsed >= RATED && seen > 0 {
            let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
            self.now.rate = (seen * 1_000 / millis).max(1);
            self.rated = (Instant::now(), self.seen);
        }
        // What is to be skipped is not done before it was.
        let done = if self.to_skip.is_none() { self.done.as_str() } else { "" };
        let at = self.now.recorded_at.unwrap_or(Timestamp::of_stored(0));
        let step = Advance {
            revision: self.revision.id,
            documents: self.revision.documents(),
            owner: self.owner,
            from: self.stored.cursor.clone(),
            to: self.now.clone(),
            kept: self.shelf.changes(),
            parked: self.parking.changes(&self.revision.parked(), at),
            done: done.to_owned(),
            halt,
        };
        let documents = step.documents.clone();
        if !self.means.together.advance(&self.log, step, self.shelf.dirty_bytes).await? {
            return Err(End::Lost);
        }
        self.stored = self.now.clone();
        self.shelf.kept();
        self.parking.kept();
        if self.to_skip.is_none() {
            self.done.clear();
        }
        self.committed_at = Instant::now();
        self.means.changes.changed(&self.log, &documents);
        Ok(())
    }
}
