//! What a store's author supplies to the suite, and how the cases use it.

use std::{any::Any, sync::Arc};

use async_trait::async_trait;

use crate::{
    model::{
        Ack, Cursor, Event, Filter, Lanes, Limits, Log, LogName, LogSettings, Ordering, Page,
        Publish, Scan, Source, StreamKey, Timestamp,
    },
    storage::{
        Outcome, Storage,
        scan::{self, ScanError},
    },
    testing::{PublishBuilder, StaticClock, random},
};

/// A fresh, empty store under test.
#[derive(Clone)]
pub struct TestStore {
    pub storage: Storage,
    pub backdoor: Arc<dyn Backdoor>,
    /// The clock that the store was opened with.
    pub clock: Arc<StaticClock>,
    /// What must live as long as the case: a temporary folder, a database.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestStore({:?})", self.storage)
    }
}

/// A road to the rows that is not the code under test: plain SQL, say.
#[async_trait]
pub trait Backdoor: Send + Sync {
    /// Inserts one row without lock, condition or replay. The store's unique rules alone judge it:
    /// it must fail if the sequence number, the position or the id is taken.
    async fn insert(&self, log: &Log, event: &Event) -> Result<(), String>;
    /// Every row of the log, by sequence number.
    async fn events(&self, log: &Log) -> Vec<Event>;
}

impl TestStore {
    /// A new log with a total order.
    pub async fn log(&self) -> Log {
        self.log_with(Ordering::Log, 1).await
    }

    /// A new log with these lanes.
    pub async fn log_with(&self, ordering: Ordering, count: i64) -> Log {
        let (name, lanes) = (random::log(), Lanes { ordering, count });
        let settings =
            LogSettings { name: name.clone(), lanes: Some(lanes), require_condition: None };
        let put = self.storage.logs.put_log(&settings, fresh(name, lanes)).await;
        let (log, is_new) = put.expect("a new log is put");
        assert!(is_new, "a log of a random name is new");
        log
    }

    /// Appends a batch, which the store must be able to.
    pub async fn append(&self, log: &Log, batch: &[Publish]) -> Vec<Outcome> {
        let outcomes = self.storage.events.append(log, batch).await.expect("the store appends");
        assert_eq!(outcomes.len(), batch.len(), "an outcome for each publish");
        outcomes
    }

    /// Appends one publish.
    pub async fn publish(&self, log: &Log, publish: &Publish) -> Outcome {
        self.append(log, std::slice::from_ref(publish)).await.remove(0)
    }

    /// Appends one publish, which must be written.
    pub async fn write(&self, log: &Log, publish: &Publish) -> Vec<Event> {
        let ack = self.publish(log, publish).await.expect("the publish is not refused");
        assert!(!ack.replayed, "the publish is new");
        events_of(&ack)
    }

    /// Writes so many random events to a stream.
    pub async fn fill(&self, log: &Log, stream: &StreamKey, count: usize) -> Vec<Event> {
        self.write(log, &PublishBuilder::random(stream, count).build()).await
    }

    /// Reads a page, or tells why not.
    pub async fn try_scan(
        &self,
        log: &Log,
        source: &Source,
        ask: &Scan,
        limits: &Limits,
    ) -> Result<Page, ScanError> {
        let mut view = self.storage.events.view(log).await?;
        let page = scan::scan(&mut *view, log, source, ask, limits).await;
        view.close().await;
        page
    }

    /// Reads a page, which must be possible.
    pub async fn scan(&self, log: &Log, source: &Source, ask: &Scan) -> Page {
        self.try_scan(log, source, ask, &Limits::default()).await.expect("the source is scanned")
    }

    /// Every event of a source, which must fit one page.
    pub async fn events(&self, log: &Log, source: &Source) -> Vec<Event> {
        let page = self.scan(log, source, &Scan::first(100_000)).await;
        assert!(page.at_end, "the source fits one page");
        page.events
    }

    /// The last event of a source that passes a filter.
    pub async fn latest(&self, log: &Log, source: &Source, filter: &Filter) -> Option<Event> {
        let events = self.storage.events.as_ref();
        let latest = scan::latest(events, log, source, filter, &Limits::default()).await;
        latest.expect("the latest event is looked for")
    }

    /// The cursor of the last event of a source.
    pub async fn high_water(&self, log: &Log, source: &Source) -> Option<Cursor> {
        let mut view = self.storage.events.view(log).await.expect("a view opens");
        let cursor = scan::high_water(&mut *view, log, source).await;
        view.close().await;
        cursor.expect("the end is looked for")
    }

    /// Every row of the log, by the backdoor.
    pub async fn stored(&self, log: &Log) -> Vec<Event> {
        self.backdoor.events(log).await
    }
}

/// What a log of this name would be if it were new.
#[must_use]
pub fn fresh(name: LogName, lanes: Lanes) -> Log {
    let created_at = time("2026-01-01T00:00:00Z");
    Log { id: 0, name, lanes, require_condition: false, incarnation: random::id(), created_at }
}

/// The events that an answer tells, in request order.
pub(super) fn events_of(ack: &Ack) -> Vec<Event> {
    ack.writes.iter().flat_map(|write| write.events.clone()).collect()
}

/// A time that is written in a test.
pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("a test states an RFC 3339 time")
}

/// A stream as a source.
pub(super) fn of_stream(stream: &StreamKey) -> Source {
    Source::Stream(stream.clone())
}

/// A stream's category as a source.
pub(super) fn of_category(stream: &StreamKey) -> Source {
    Source::Category(stream.category.clone())
}

/// The sequence numbers of some events.
pub(super) fn numbers(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.sequence_number).collect()
}

/// The positions of some events.
pub(super) fn positions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.position).collect()
}
