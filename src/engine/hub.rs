//! The hub of a log: its latest events in memory, shared by all who follow it, and their wake-up.
//!
//! Committers push what they committed. One poller looks, for all lanes that somebody follows, for
//! what other processes wrote: often while there is something, seldom while there is not.
//!
//! Invariant: a ring holds consecutive events of its lane, all of them committed. A lost wake-up costs
//! the time of one poll, never an event.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::tasks::Tasks;
use crate::{
    model::{Direction, Event, Lane, Log, Source},
    storage::{End, Span, Storage, StorageError},
};

/// Events and bytes that one ring keeps.
const RING_EVENTS_MAX: usize = 4_096;
const RING_BYTES_MAX: usize = 8 << 20;
/// How often the poller looks: after it found something, and at last.
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(250);
/// What the poller reads at once.
const PAGE_EVENTS: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An event that many followers are given, encoded once for all of them.
#[derive(Debug)]
pub struct Shared<T> {
    pub event: Event,
    encoded: [OnceLock<T>; 2],
}

impl<T> Shared<T> {
    /// An event that is not encoded yet.
    #[must_use]
    pub fn new(event: Event) -> Self {
        Self { event, encoded: [OnceLock::new(), OnceLock::new()] }
    }

    /// What it is encoded as where cursors are positions, or where they are not.
    pub fn encoded(&self, positions: bool, encode: impl FnOnce(&Event) -> T) -> &T {
        self.encoded[usize::from(positions)].get_or_init(|| encode(&self.event))
    }
}

/// An event as followers share it: text that goes out as it is.
pub type SharedEvent = Arc<Shared<Vec<u8>>>;

/// The last events of one lane.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<SharedEvent>,
    bytes: usize,
    /// The lane's end, as far as is known here.
    end: Option<End>,
    /// How often history was found to be another.
    pub(super) turn: u64,
}

/// Whether so much is missing that those who want it read it from the store themselves.
fn is_far(end: End, later: End) -> bool {
    usize::try_from(later.n - end.n).is_ok_and(|missing| missing > RING_EVENTS_MAX)
}

/// What became of events that were to be added to a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// They follow, or were there.
    Fits,
    /// There are others in between.
    Gap,
    /// They are older than what is here: whether they were there before cannot be told.
    Unseen,
    /// Another event is in the place of one.
    Diverged,
}

impl Ring {
    /// The events after n; nothing if they are not all here.
    pub(super) fn after(&self, n: i64) -> Option<impl Iterator<Item = &SharedEvent>> {
        let missing = usize::try_from(self.end?.n - n).unwrap_or(0);
        let skip = self.events.len().checked_sub(missing)?;
        Some(self.events.range(skip..))
    }

    /// The lane's end.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// Begins at this end, if it has not begun, has been left far behind, or knows another history.
    pub(super) fn begin(&mut self, at: End) {
        if self.end.is_some_and(|end| end.n == at.n && end.id != at.id) {
            self.forget();
        }
        if self.end.is_none_or(|end| is_far(end, at)) {
            self.events.clear();
            (self.bytes, self.end) = (0, Some(at));
        }
    }

    fn push(&mut self, at: End, event: &Event) -> Pushed {
        match self.end {
            Some(end) if at.n > end.n + 1 => return Pushed::Gap,
            Some(end) if at.n <= end.n => return self.compare(end, at),
            _ => {}
        }
        self.bytes += event.bytes();
        self.events.push_back(Arc::new(Shared::new(event.clone())));
        self.end = Some(at);
        while self.events.len() > RING_EVENTS_MAX || self.bytes > RING_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.event.bytes();
        }
        Pushed::Fits
    }

    /// Holds an event against what is here in its place.
    fn compare(&self, end: End, at: End) -> Pushed {
        let back = usize::try_from(end.n - at.n).unwrap_or(usize::MAX);
        let index = self.events.len().checked_sub(back).and_then(|i| i.checked_sub(1));
        let here = index.and_then(|index| self.events.get(index)).map(|shared| shared.event.id);
        match here.or((at.n == end.n).then_some(end.id)) {
            Some(id) if id == at.id => Pushed::Fits,
            Some(_) => Pushed::Diverged,
            None => Pushed::Unseen,
        }
    }

    fn forget(&mut self) {
        *self = Self { turn: self.turn + 1, ..Self::default() };
    }
}

/// The rings of a log's lanes, and who waits for what.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) log: Arc<Log>,
    rings: Vec<Mutex<Ring>>,
    channels: Mutex<HashMap<Source, watch::Sender<()>>>,
}

impl Hub {
    fn new(log: Arc<Log>) -> Self {
        let rings = (0..log.lanes.count).map(|_| Mutex::default()).collect();
        Self { log, rings, channels: Mutex::default() }
    }

    /// The ring of a lane.
    pub(super) fn ring(&self, lane: Lane) -> MutexGuard<'_, Ring> {
        // Lanes are those of the log: the last one stands for any that is not.
        let index = usize::try_from(lane).unwrap_or(0).min(self.rings.len() - 1);
        lock(&self.rings[index])
    }

    fn is_followed(&self) -> bool {
        !lock(&self.channels).is_empty()
    }

    /// Adds events of one lane, in order, and wakes who follows their sources.
    fn push(&self, lane: Lane, events: &[&Event]) -> Pushed {
        let mut pushed = Pushed::Fits;
        {
            let mut ring = self.ring(lane);
            for event in events {
                pushed = ring.push(End::at(self.log.lanes, event), event);
                if matches!(pushed, Pushed::Gap | Pushed::Diverged) {
                    break;
                }
            }
        }
        match pushed {
            Pushed::Diverged => self.diverge(lane),
            Pushed::Fits => self.wake(events),
            Pushed::Gap | Pushed::Unseen => {}
        }
        pushed
    }

    /// History is another than the ring of a lane has it: followers look for themselves.
    fn diverge(&self, lane: Lane) {
        self.ring(lane).forget();
        self.wake_all();
    }

    fn wake(&self, events: &[&Event]) {
        let channels = lock(&self.channels);
        let wake = |source: &Source| {
            if let Some(channel) = channels.get(source) {
                channel.send_replace(());
            }
        };
        wake(&Source::Log);
        if channels.len() == usize::from(channels.contains_key(&Source::Log)) {
            return;
        }
        for (index, event) in events.iter().enumerate() {
            let before = events.get(index.wrapping_sub(1));
            if before.is_none_or(|before| before.stream != event.stream) {
                wake(&Source::Category(event.stream.category.clone()));
                wake(&Source::Stream(event.stream.clone()));
            }
        }
    }

    fn wake_all(&self) {
        lock(&self.channels).values().for_each(|channel| channel.send_replace(()));
    }
}

/// Somebody who waits for events of a source.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) hub: Arc<Hub>,
    source: Source,
    woken: watch::Receiver<()>,
}

impl Subscription {
    /// Forgets wake-ups so far: what they were about is looked for next.
    pub(super) fn clear(&mut self) {
        self.woken.mark_unchanged();
    }

    /// Resolves when there may be an event that was not there at the last [`Subscription::clear`].
    pub(super) async fn woken(&mut self) {
        // The sender lives as long as the subscription.
        let _ = self.woken.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut channels = lock(&self.hub.channels);
        if channels.get(&self.source).is_some_and(|channel| channel.receiver_count() <= 1) {
            channels.remove(&self.source);
        }
    }
}

/// The hubs of a process.
#[derive(Debug, Clone)]
pub struct Hubs {
    storage: Storage,
    tasks: Tasks,
    shared: Arc<Everyone>,
    /// Whether pushes are lost on the way: for tests.
    deaf: bool,
}

#[derive(Debug, Default)]
struct Everyone {
    hubs: Mutex<HashMap<i64, Arc<Hub>>>,
    /// Tells the poller that there is something to do.
    kick: Notify,
    polling: OnceLock<()>,
}

impl Hubs {
    #[must_use]
    pub fn new(storage: Storage, tasks: Tasks) -> Self {
        Self { storage, tasks, shared: Arc::default(), deaf: false }
    }

    /// Hubs that are told of no commit, as those of another process: only the poller tells them.
    #[must_use]
    pub fn deaf(self) -> Self {
        Self { deaf: true, ..self }
    }

    /// Waits for events of a source from now on.
    pub(super) fn subscribe(&self, log: &Arc<Log>, source: &Source) -> Subscription {
        let hub = {
            let mut hubs = lock(&self.shared.hubs);
            hubs.entry(log.id).or_insert_with(|| Arc::new(Hub::new(log.clone()))).clone()
        };
        let woken = {
            let mut channels = lock(&hub.channels);
            channels.entry(source.clone()).or_default().subscribe()
        };
        self.shared.polling.get_or_init(|| {
            let poller = Poller { storage: self.storage.clone(), shared: self.shared.clone() };
            self.tasks.background(poller.run());
        });
        self.shared.kick.notify_one();
        Subscription { hub, source: source.clone(), woken }
    }

    /// Tells the log's followers of committed events, in any order.
    pub(super) fn committed<'a>(&self, log: &Log, events: impl Iterator<Item = &'a Event>) {
        if self.deaf {
            return;
        }
        let hub = lock(&self.shared.hubs).get(&log.id).cloned();
        let Some(hub) = hub.filter(|hub| hub.is_followed()) else { return };
        let mut events: Vec<&Event> = events.collect();
        events.sort_unstable_by_key(|event| log.lanes.split(event.sequence_number));
        let lane = |event: &&Event| log.lanes.split(event.sequence_number).0;
        for part in events.chunk_by(|a, b| lane(a) == lane(b)) {
            let Some(first) = part.first() else { continue };
            if hub.push(lane(first), part) != Pushed::Fits {
                self.shared.kick.notify_one();
            }
        }
    }
}

/// Looks for what the hubs were not told of.
struct Poller {
    storage: Storage,
    shared: Arc<Everyone>,
}

impl Poller {
    async fn run(self) {
        let mut pause = POLL_FIRST;
        loop {
            let followed = self.followed();
            if followed.is_empty() {
                self.shared.kick.notified().await;
                continue;
            }
            let found = match self.poll(&followed).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, "the poller found no answer");
                    false
                }
            };
            pause = if found { POLL_FIRST } else { pause.mul_f32(1.5).min(POLL_MAX) };
            let kicked = self.shared.kick.notified();
            if tokio::time::timeout(pause, kicked).await.is_ok() {
                pause = POLL_FIRST;
            }
        }
    }

    /// The hubs that somebody follows. The others are let go.
    fn followed(&self) -> Vec<Arc<Hub>> {
        let mut hubs = lock(&self.shared.hubs);
        hubs.retain(|_, hub| hub.is_followed() || Arc::strong_count(hub) > 1);
        hubs.values().cloned().collect()
    }

    /// Whether any lane has events that its ring has not.
    async fn poll(&self, hubs: &[Arc<Hub>]) -> Result<bool, StorageError> {
        // What a ring holds was committed before the probe: a smaller end is another history.
        let mut probed = Vec::new();
        for hub in hubs {
            let lanes = 0..hub.log.lanes.count;
            let known = lanes.filter_map(|lane| Some((lane, hub.ring(lane).end()?)));
            probed.extend(known.map(|(lane, end)| (hub, lane, end)));
        }
        let lanes: Vec<_> = probed.iter().map(|(hub, lane, _)| (hub.log.id, *lane)).collect();
        if lanes.is_empty() {
            return Ok(false);
        }
        let ends = self.storage.events.ends(&lanes).await?;
        let mut found = false;
        for ((hub, lane, before), end) in probed.into_iter().zip(ends) {
            if end.n < before.n || (end.n == before.n && end.id != before.id) {
                hub.diverge(lane);
                continue;
            }
            let known = hub.ring(lane).end().unwrap_or(end);
            found |= known.n < end.n;
            if is_far(known, end) {
                hub.ring(lane).begin(end);
                hub.wake_all();
            } else if known.n < end.n {
                self.fetch(hub, lane).await?;
            }
        }
        Ok(found)
    }

    /// Reads what a lane has after the end of its ring.
    async fn fetch(&self, hub: &Hub, lane: Lane) -> Result<(), StorageError> {
        let Some(end) = hub.ring(lane).end() else { return Ok(()) };
        // The event at the end is read again: it shows whether history is the same.
        let mut span = Span {
            source: Source::Log,
            lane,
            after: (end.n - 1).max(0),
            before: i64::MAX,
            direction: Direction::Forwards,
            limit: PAGE_EVENTS,
            bytes: PAGE_BYTES,
        };
        loop {
            let mut view = self.storage.events.view(&hub.log).await?;
            let rows = view.rows(&span).await;
            view.close().await;
            let rows = rows?;
            if hub.push(lane, &rows.iter().collect::<Vec<_>>()) != Pushed::Fits {
                return Ok(());
            }
            let Some(last) = rows.last().filter(|_| !span.is_exhausted_by(&rows)) else {
                return Ok(());
            };
            span.after = hub.log.lanes.split(last.sequence_number).1;
        }
    }
}
