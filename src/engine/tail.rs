//! Catch up, then follow: the one loop under SSE, long polls and whoever follows a source.
//!
//! A tail reads pages from the store until it has all that was there, and then takes what the log's
//! hub is told of. One that falls behind the hub reads pages again. Nothing is queued for it: it costs
//! what it holds in its hands.
//!
//! Invariant: each event of the source after the cursor is given once, those of a lane in order; or
//! the tail ends with an error.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    hub::{Hubs, Shared, SharedEvent, Subscription},
    tasks::Tasks,
};
use crate::{
    model::{Cursor, Event, Filter, Lane, Limits, Log, Page, Place, Scan, Source, event::id_check},
    storage::{End, Storage, StorageError, View, scan, scan::ScanError},
};

/// What a tail takes at once.
#[derive(Debug, Clone, Copy)]
struct Stride {
    events: usize,
    bytes: usize,
}

/// So much a slow client may hold.
const CLIENT: Stride = Stride { events: 256, bytes: 32 << 10 };
/// So much a projector is given.
const PROJECTOR: Stride = Stride { events: 5_000, bytes: 4 << 20 };
/// Tails that read from the store at once: appends and pages have connections of their own.
const READING_MAX: usize = 8;
/// How soon a store that did not answer is asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// Reads pages, waits for them, and follows sources.
#[derive(Debug, Clone)]
pub struct Tails {
    storage: Storage,
    hubs: Hubs,
    tasks: Tasks,
    limits: Limits,
    reading: Arc<Semaphore>,
}

impl Tails {
    #[must_use]
    pub fn new(storage: Storage, hubs: Hubs, tasks: Tasks, limits: Limits) -> Self {
        let reading = Arc::new(Semaphore::new(READING_MAX));
        Self { storage, hubs, tasks, limits, reading }
    }

    /// Reads a page; an empty one at the end of the source is waited for, so long.
    pub async fn page(
        &self,
        log: &Arc<Log>,
        source: &Source,
        ask: &Scan,
        wait: Duration,
    ) -> Result<Page, ScanError> {
        if wait.is_zero() {
            return self.read(log, source, ask, &self.limits).await;
        }
        let deadline = Instant::now() + wait;
        let mut ask = ask.clone();
        let mut subscription = self.hubs.subscribe(log, source);
        let mut begun = false;
        loop {
            begun = begun || self.begin(&subscription, log, source).await.is_ok();
            subscription.clear();
            let done = Instant::now() >= deadline || self.tasks.stopping();
            match self.read(log, source, &ask, &self.limits).await {
                // Who waits has time: a busy store is asked again.
                Err(ScanError::Storage(StorageError::Unavailable(_))) if !done => {}
                Ok(page) if page.events.is_empty() && page.at_end && !done => {
                    // What was examined need not be examined again.
                    if page.cursor.is_some() {
                        ask.after_sequence_number = None;
                        ask.after = page.cursor;
                    }
                }
                read => return read,
            }
            let until = if begun { deadline } else { deadline.min(Instant::now() + AGAIN) };
            tokio::select! {
                _ = tokio::time::timeout_at(until, subscription.woken()) => {}
                () = self.tasks.stopped() => {}
            }
        }
    }

    /// The last event of a source that passes the filter.
    pub async fn latest(
        &self,
        log: &Log,
        source: &Source,
        filter: &Filter,
    ) -> Result<Option<Event>, StorageError> {
        scan::latest(self.storage.events.as_ref(), log, source, filter, &self.limits).await
    }

    /// Follows a source.
    pub async fn follow(
        &self,
        log: &Arc<Log>,
        source: Source,
        from: From,
        filter: Filter,
    ) -> Result<Tail, ScanError> {
        let subscription = self.hubs.subscribe(log, &source);
        let mut tail = Tail {
            tails: self.clone(),
            log: log.clone(),
            lanes: log.lanes.of(&source),
            seen: Vec::new(),
            places: Vec::new(),
            source,
            filter,
            after_number: None,
            subscription,
            high_water: None,
            stride: CLIENT,
            ends: Vec::new(),
        };
        let permit = self.reading.acquire().await;
        let mut view = self.storage.events.view(log).await?;
        let opened = tail.open(view.as_mut(), from).await;
        view.close().await;
        drop(permit);
        opened.map(|()| tail)
    }

    /// Has the poller look after the lanes of a source.
    async fn begin(
        &self,
        subscription: &Subscription,
        log: &Log,
        source: &Source,
    ) -> Result<(), StorageError> {
        let lanes: Vec<_> = log.lanes.of(source).into_iter().map(|lane| (log.id, lane)).collect();
        let ends = self.storage.events.ends(&lanes).await?;
        for ((_, lane), end) in lanes.into_iter().zip(ends) {
            subscription.hub.ring(lane).begin(end);
        }
        Ok(())
    }

    async fn read(
        &self,
        log: &Log,
        source: &Source,
        ask: &Scan,
        limits: &Limits,
    ) -> Result<Page, ScanError> {
        let mut view = self.storage.events.view(log).await?;
        let page = scan::scan(view.as_mut(), log, source, ask, limits).await;
        view.close().await;
        page
    }
}

/// Where a tail begins.
#[derive(Debug, Clone)]
pub enum From {
    /// The first event of the source.
    Start,
    /// What comes after this moment.
    Now,
    After(Cursor),
    /// Larger sequence numbers.
    AfterNumber(i64),
}

/// What a tail came to.
#[derive(Debug)]
pub enum Step {
    /// Events of the source that pass the filter, each with the cursor that it stands at; none if none
    /// of those examined did.
    Events(Vec<(SharedEvent, Option<Cursor>)>),
    /// All there is was given: wait.
    Idle,
}

/// Somebody who follows a source.
#[derive(Debug)]
pub struct Tail {
    tails: Tails,
    log: Arc<Log>,
    source: Source,
    filter: Filter,
    /// The lanes of the source.
    lanes: Vec<Lane>,
    /// How far each lane has been examined, and in which turn of its ring; empty while it catches up.
    seen: Vec<(i64, u64)>,
    /// The place of the last event given, or examined, in each lane; empty before the first.
    places: Vec<Place>,
    after_number: Option<i64>,
    subscription: Subscription,
    /// The end of the source when it began.
    pub high_water: Option<Cursor>,
    stride: Stride,
    /// Where its lanes ended when all of the source that there was had been given.
    ends: Vec<Place>,
}

impl Tail {
    /// Takes as much at once as a projector does.
    #[must_use]
    pub fn wide(self) -> Self {
        Self { stride: PROJECTOR, ..self }
    }

    async fn open(&mut self, view: &mut dyn View, from: From) -> Result<(), ScanError> {
        self.high_water = scan::high_water(view, &self.log, &self.source).await?;
        match from {
            From::Start => {}
            From::After(cursor) => {
                // It is held against the event that it points at.
                let ask = Scan { after: Some(cursor.clone()), ..Scan::first(1) };
                scan::stretch(view, &self.log, &self.source, &ask, &self.tails.limits).await?;
                self.places = scan::places_of(&self.log, &self.source, &cursor);
            }
            From::AfterNumber(number) => self.after_number = Some(number),
            From::Now => {
                if let Some(end) = &self.high_water {
                    self.places = scan::places_of(&self.log, &self.source, end);
                }
                self.go_live(view).await?;
            }
        }
        Ok(())
    }

    /// From here on the hub tells what comes.
    async fn go_live(&mut self, view: &mut dyn View) -> Result<(), StorageError> {
        let mut seen = Vec::with_capacity(self.lanes.len());
        self.ends.clear();
        for lane in &self.lanes {
            let end = End::from(view.tip(&Source::Log, *lane).await?);
            let check = (end.n > 0).then(|| id_check(end.id));
            self.ends.push(Place { n: end.n, check });
            let mut ring = self.subscription.hub.ring(*lane);
            ring.begin(end);
            seen.push((end.n, ring.turn));
        }
        self.seen = seen;
        Ok(())
    }

    /// Whether all there was has been given.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.seen.is_empty()
    }

    /// The place up to which everything was examined.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        if self.places.is_empty() {
            return None;
        }
        Some(scan::cursor_of(self.log.lanes, &self.source, self.places.clone()))
    }

    /// The last event of its only lane that was examined, once it has been given all there was.
    #[must_use]
    pub fn examined(&self) -> Option<i64> {
        match (self.lanes.as_slice(), self.seen.as_slice()) {
            ([lane], [(seen, _)]) if *seen > 0 => Some(self.log.lanes.number(*lane, *seen)),
            _ => None,
        }
    }

    /// Moves its place to the ends of its lanes, once it has been given all of its source that there was: what comes
    /// before them is of others. Of a stream the place is a position, which only its own events move.
    pub fn pass_others(&mut self) {
        let empty = matches!(self.ends.as_slice(), [] | [Place { n: 0, .. }]);
        if !empty && !matches!(self.source, Source::Stream(_)) {
            self.places = std::mem::take(&mut self.ends);
        }
    }

    /// How many events of its lanes are not examined yet, as far as is known.
    #[must_use]
    pub fn lag(&self) -> i64 {
        let behind = |(lane, seen): (&Lane, &(i64, u64))| {
            self.subscription.hub.ring(*lane).end().map_or(0, |end| (end.n - seen.0).max(0))
        };
        self.lanes.iter().zip(&self.seen).map(behind).sum()
    }

    /// What comes next, without waiting for it.
    pub async fn step(&mut self) -> Result<Step, ScanError> {
        if self.is_live() {
            self.subscription.clear();
            if let Some(step) = self.take() {
                return Ok(step);
            }
            // It fell behind the ring, or history is another: the store tells.
            self.seen.clear();
        }
        // Who waits for the hub need not have room for it.
        Box::pin(self.catch_up()).await
    }

    /// Resolves when there may be another step.
    pub async fn woken(&mut self) {
        self.subscription.woken().await;
    }

    /// One page from the store.
    async fn catch_up(&mut self) -> Result<Step, ScanError> {
        let ask = Scan {
            after: self.cursor(),
            after_sequence_number: self.after_number.filter(|_| self.places.is_empty()),
            filter: self.filter.clone(),
            ..Scan::first(self.stride.events)
        };
        let limits = Limits { page_bytes: self.stride.bytes, ..self.tails.limits };
        let reading = self.tails.reading.clone();
        let permit = reading.acquire().await;
        let mut view = self.tails.storage.events.view(&self.log).await?;
        let page = scan::stretch(view.as_mut(), &self.log, &self.source, &ask, &limits).await;
        let page = match page {
            Ok(page) if page.at_end => self.go_live(view.as_mut()).await.map(|()| page)?,
            page => page?,
        };
        view.close().await;
        drop(permit);
        let mut events = Vec::with_capacity(page.events.len());
        for event in page.events {
            let cursor = self.pass(&event);
            events.push((Arc::new(Shared::new(event)), cursor));
        }
        if let Some(cursor) = page.cursor {
            self.places = scan::places_of(&self.log, &self.source, &cursor);
        }
        Ok(Step::Events(events))
    }

    /// Notes that an event was passed. The cursor there, if it is not the event's own.
    fn pass(&mut self, event: &Event) -> Option<Cursor> {
        let n = scan::n_of(self.log.lanes, &self.source, event);
        let place = Place { n, check: Some(id_check(event.id)) };
        if let [_] = self.lanes.as_slice() {
            self.places = vec![place];
            return None;
        }
        let (lane, _) = self.log.lanes.split(event.sequence_number);
        if self.places.is_empty() {
            self.places = vec![Place { n: 0, check: None }; self.lanes.len()];
        }
        let index = self.lanes.iter().position(|own| *own == lane);
        if let Some(own) = index.and_then(|index| self.places.get_mut(index)) {
            *own = place;
        }
        self.cursor()
    }

    /// What the rings hold; nothing if they do not hold what comes next.
    fn take(&mut self) -> Option<Step> {
        let mut taken: Vec<SharedEvent> = Vec::new();
        let mut passed: Vec<SharedEvent> = Vec::new();
        let (mut bytes, mut examined) = (0, false);
        for (lane, (seen, turn)) in self.lanes.iter().zip(&mut self.seen) {
            let ring = self.subscription.hub.ring(*lane);
            if ring.turn != *turn {
                return None;
            }
            let mut last = None;
            for shared in ring.after(*seen)? {
                let event = &shared.event;
                if taken.len() >= self.stride.events || bytes >= self.stride.bytes {
                    break;
                }
                *seen += 1;
                examined = true;
                let late = self.after_number.is_none_or(|number| event.sequence_number > number);
                if late && self.source.holds(&event.stream) && self.filter.holds(event) {
                    bytes += event.bytes();
                    taken.push(shared.clone());
                }
                last = Some(shared.clone());
            }
            passed.extend(last);
        }
        let cursor = |tail: &mut Self, shared: SharedEvent| {
            let cursor = tail.pass(&shared.event);
            (shared, cursor)
        };
        let events: Vec<_> = taken.into_iter().map(|shared| cursor(self, shared)).collect();
        // Of a stream the place is a position: only its own events move it.
        if !matches!(self.source, Source::Stream(_)) {
            passed.iter().for_each(|shared| drop(self.pass(&shared.event)));
        }
        Some(if examined { Step::Events(events) } else { Step::Idle })
    }
}
