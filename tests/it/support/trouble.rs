//! A store that fails on command, tells when it is used, and holds appends back.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use async_trait::async_trait;
use everlog::{
    auth::{ApiKey, Ticket},
    model::{
        CategoryName, Definition, Edit, Event, EventName, Lane, Log, LogName, LogSettings,
        Progress, ProjectionName, ProjectorName, Publish, Revision, Source, StreamKey, StreamName,
        Timestamp,
    },
    query::index::Index,
    storage::{
        AppendError, End, Events, Health, Known, Listing, Logs, Outcome, PutLogError, Span,
        Storage, StorageError, Tip, Usage, View,
        indexes::Unfinished,
        keys::Keys,
        projections::{EditOutcome, Kept, ProjectionView, Projections},
        projectors::{Advance, Listed, Projectors, Put},
    },
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What stands in every cause, and may stand in no answer.
pub(crate) const SECRET: &str = "password=hunter2 at 10.0.0.7";

/// The name of events that may be refused.
pub(crate) const REFUSED: &str = "refused-by-the-store";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    Unavailable,
    OutcomeUnknown,
    Full,
    Broken,
    /// A handler panics.
    Panic,
    /// Appends panic, on the task that they run on.
    PanicInAppend,
    /// Whatever holds an event named [`REFUSED`] is refused.
    RefusesNames,
    /// The event at position 3 of a stream, or with n = 3 in a lane, is left out of what is read.
    Skip,
}

/// A store with trouble in it.
#[derive(Debug)]
pub(crate) struct Troubled {
    inner: Storage,
    trouble: Mutex<Trouble>,
    /// Whether appends wait for [`Troubled::release`].
    held: AtomicBool,
    gate: Semaphore,
    appends: Semaphore,
    views: Semaphore,
}

impl Troubled {
    pub(crate) fn over(inner: Storage) -> Arc<Self> {
        Arc::new(Self {
            inner,
            trouble: Mutex::new(Trouble::None),
            held: AtomicBool::new(false),
            gate: Semaphore::new(0),
            appends: Semaphore::new(0),
            views: Semaphore::new(0),
        })
    }

    /// The store without the trouble.
    pub(crate) fn inner(&self) -> &Storage {
        &self.inner
    }

    pub(crate) fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn now(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no append begin until it is released.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1);
    }

    /// Waits for an append that was not waited for before.
    pub(crate) async fn an_append(&self) {
        self.appends.acquire().await.expect("the semaphore stays open").forget();
    }

    /// Whether there was an append that was not waited for.
    pub(crate) fn had_an_append(&self) -> bool {
        self.appends.available_permits() > 0
    }

    /// Waits for a view that was not waited for before.
    pub(crate) async fn a_view(&self) {
        self.views.acquire().await.expect("the semaphore stays open").forget();
    }

    /// Forgets the views there were.
    pub(crate) fn forget_views(&self) {
        self.views.forget_permits(self.views.available_permits());
    }

    fn judge<'a>(
        &self,
        mut names: impl Iterator<Item = &'a EventName>,
    ) -> Result<(), StorageError> {
        if self.now() == Trouble::RefusesNames && names.any(|name| name.as_str() == REFUSED) {
            return Err(StorageError::Refused(SECRET.into()));
        }
        Ok(())
    }

    fn fail(&self, append: bool) -> Result<(), StorageError> {
        let secret = || SECRET.into();
        match self.now() {
            Trouble::Unavailable => Err(StorageError::Unavailable(secret())),
            Trouble::OutcomeUnknown if append => Err(StorageError::OutcomeUnknown(secret())),
            Trouble::Full if append => Err(StorageError::Full(secret())),
            Trouble::Broken => Err(StorageError::Broken(secret())),
            Trouble::Panic => panic_now(),
            Trouble::PanicInAppend if append => panic_now(),
            _ => Ok(()),
        }
    }
}

#[expect(clippy::panic, reason = "a panic is what is wanted")]
fn panic_now() -> ! {
    std::panic::panic_any(SECRET)
}

#[async_trait]
impl Logs for Troubled {
    async fn put_log(
        &self,
        settings: &LogSettings,
        fresh: Log,
    ) -> Result<(Log, bool), PutLogError> {
        self.fail(false)?;
        self.inner.logs.put_log(settings, fresh).await
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        self.fail(false)?;
        self.inner.logs.log(name).await
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        self.fail(false)?;
        self.inner.logs.logs(listing).await
    }
}

#[async_trait]
impl Events for Troubled {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        self.fail(false)?;
        let inner = self.inner.events.view(log).await?;
        self.views.add_permits(1);
        let skip = self.now() == Trouble::Skip;
        Ok(if skip { Box::new(Skipping(inner, log.clone())) } else { inner })
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        self.appends.add_permits(1);
        self.fail(true)?;
        if self.held.load(Ordering::SeqCst) {
            self.gate.acquire().await.expect("the semaphore stays open").forget();
        }
        self.judge(batch.iter().flat_map(Publish::events).map(|event| &event.name))?;
        self.inner.events.append(log, batch).await
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        self.fail(false)?;
        self.inner.events.ends(lanes).await
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        self.fail(false)?;
        self.inner.events.look(log, streams, ids).await
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        self.appends.add_permits(1);
        self.fail(true)?;
        if self.held.load(Ordering::SeqCst) {
            self.gate.acquire().await.expect("the semaphore stays open").forget();
        }
        self.judge(events.iter().map(|event| &event.name))?;
        self.inner.events.extend(log, lane, end, events).await
    }
}

#[async_trait]
impl Projections for Troubled {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        self.fail(false)?;
        self.inner.projections.projections(log).await
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        self.appends.add_permits(1);
        self.fail(true)?;
        if self.held.load(Ordering::SeqCst) {
            self.gate.acquire().await.expect("the semaphore stays open").forget();
        }
        self.inner.projections.edit(log, name, batch).await
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        self.fail(true)?;
        self.inner.projections.drop_projection(log, name).await
    }

    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        indexes: &[Index],
    ) -> Result<(), StorageError> {
        self.fail(true)?;
        self.inner.projections.declare(log, name, indexes).await
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        self.inner.projections.unfinished().await
    }

    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError> {
        self.inner.projections.build(log, work).await
    }
}

#[async_trait]
impl Keys for Troubled {
    async fn add_key(&self, key: &ApiKey) -> Result<(), StorageError> {
        self.fail(false)?;
        self.inner.keys.add_key(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        self.fail(false)?;
        self.inner.keys.key(id).await
    }

    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError> {
        self.fail(false)?;
        self.inner.keys.keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        self.fail(false)?;
        self.inner.keys.revoke_key(id, at).await
    }

    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError> {
        self.fail(false)?;
        self.inner.keys.add_ticket(ticket, before).await
    }

    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError> {
        self.fail(false)?;
        self.inner.keys.ticket(id).await
    }

    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        self.fail(false)?;
        self.inner.keys.use_ticket(id, at).await
    }
}

#[async_trait]
impl Health for Troubled {
    async fn ready(&self) -> Result<(), StorageError> {
        self.fail(false)?;
        self.inner.health.ready().await
    }

    fn description(&self) -> String {
        self.inner.health.description()
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.inner.health.usage().await
    }

    fn outlives_process(&self) -> bool {
        self.inner.health.outlives_process()
    }

    async fn close(&self) {
        self.inner.health.close().await;
    }
}

/// A view that leaves an event out.
struct Skipping(Box<dyn View>, Log);

#[async_trait]
impl View for Skipping {
    async fn rows(&mut self, span: &Span) -> Result<Vec<Event>, StorageError> {
        let mut rows = self.0.rows(span).await?;
        let lanes = self.1.lanes;
        rows.retain(|event| match span.source {
            Source::Stream(_) => event.position != 3,
            _ => lanes.split(event.sequence_number).1 != 3,
        });
        Ok(rows)
    }

    async fn tip(&mut self, source: &Source, lane: Lane) -> Result<Option<Tip>, StorageError> {
        self.0.tip(source, lane).await
    }

    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError> {
        self.0.positions(streams).await
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        self.0.with_ids(ids).await
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        self.0.categories(listing).await
    }

    async fn streams(
        &mut self,
        category: &CategoryName,
        listing: &Listing,
    ) -> Result<Vec<StreamName>, StorageError> {
        self.0.streams(category, listing).await
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        self.0.count(category).await
    }

    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

#[async_trait]
impl Projectors for Troubled {
    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError> {
        self.fail(false)?;
        self.inner.projectors.revisions(after).await
    }

    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError> {
        self.fail(false)?;
        self.inner.projectors.revisions_of(log, projector).await
    }

    async fn put_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        definition: &Definition,
        again: bool,
    ) -> Result<Put, StorageError> {
        self.fail(true)?;
        self.inner.projectors.put_projector(log, projector, definition, again).await
    }

    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        self.fail(true)?;
        self.inner.projectors.hold(revision, owner, time).await
    }

    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError> {
        self.fail(false)?;
        self.inner.projectors.progress(revision).await
    }

    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError> {
        self.fail(true)?;
        self.inner.projectors.advance(log, steps).await
    }

    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError> {
        self.fail(true)?;
        self.inner.projectors.halt(revision, why, order).await
    }

    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        self.fail(true)?;
        self.inner.projectors.activate(log, projector, number).await
    }

    async fn take_over(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        self.fail(true)?;
        self.inner.projectors.take_over(log, projector, number).await
    }

    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError> {
        self.fail(true)?;
        self.inner.projectors.delete_projector(log, projector, retain).await
    }

    async fn keep_snapshots(
        &self,
        log: &Log,
        revision: &Revision,
        snapshots: &[Kept],
    ) -> Result<(), StorageError> {
        self.fail(true)?;
        self.inner.projectors.keep_snapshots(log, revision, snapshots).await
    }

    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError> {
        self.fail(true)?;
        self.inner.projectors.sweep(log, revision).await
    }
}
