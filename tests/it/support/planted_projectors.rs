//! Stores of projectors with a plant in them: whose commits fail now and then, which keep documents and their place apart,
//! which forget what they were told, which are late.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use everlog::{
    model::{Definition, Log, Progress, ProjectorName, Revision},
    storage::{
        Storage, StorageError,
        projections::Kept,
        projectors::{Advance, Listed, Projectors, Put},
    },
};
use tokio::sync::watch;
use uuid::Uuid;

type Store = Arc<dyn Projectors>;

/// What is odd about a store.
#[async_trait]
pub(crate) trait Plant: Send + Sync + 'static {
    async fn advance_all(
        &self,
        store: &Store,
        log: &Log,
        steps: &[Advance],
    ) -> Result<Vec<bool>, StorageError> {
        let mut done = Vec::new();
        for step in steps {
            done.push(self.advance(store, log, step).await?);
        }
        Ok(done)
    }

    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        one(store, log, step).await
    }

    async fn hold(
        &self,
        store: &Store,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        store.hold(revision, owner, time).await
    }
}

async fn one(store: &Store, log: &Log, step: &Advance) -> Result<bool, StorageError> {
    Ok(store.advance(log, std::slice::from_ref(step)).await? == [true])
}

/// The store with a plant in it.
pub(crate) fn planted(storage: &Storage, plant: Arc<dyn Plant>) -> Storage {
    let inner = storage.projectors.clone();
    Storage { projectors: Arc::new(Planted { inner, plant }), ..storage.clone() }
}

/// Commits fail, before they are done and after it; and none is let go.
#[derive(Default)]
pub(crate) struct Failing(AtomicUsize);

#[async_trait]
impl Plant for Failing {
    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        match self.0.fetch_add(1, Ordering::SeqCst) % 6 {
            1 => Err(StorageError::Unavailable("before it".into())),
            4 => {
                one(store, log, step).await?;
                Err(StorageError::OutcomeUnknown("after it".into()))
            }
            _ => one(store, log, step).await,
        }
    }

    async fn hold(
        &self,
        store: &Store,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        if time.is_zero() {
            return Err(StorageError::Unavailable("while it is let go".into()));
        }
        store.hold(revision, owner, time).await
    }
}

/// Commits of several projectors at once fail, before they are done and after it.
#[derive(Default)]
pub(crate) struct Crowded(pub(crate) AtomicUsize);

#[async_trait]
impl Plant for Crowded {
    async fn advance_all(
        &self,
        store: &Store,
        log: &Log,
        steps: &[Advance],
    ) -> Result<Vec<bool>, StorageError> {
        if steps.len() == 1 {
            // Others come meanwhile.
            let late = Instant::now() + Duration::from_millis(5);
            while Instant::now() < late {
                tokio::task::yield_now().await;
            }
            return store.advance(log, steps).await;
        }
        if self.0.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Err(StorageError::Refused("one of them".into()));
        }
        store.advance(log, steps).await?;
        Err(StorageError::OutcomeUnknown("after it".into()))
    }
}

/// Documents are kept before their place; some commits fail between the two.
#[derive(Default)]
pub(crate) struct Torn(AtomicUsize);

#[async_trait]
impl Plant for Torn {
    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        let to = store.progress(step.revision).await?.unwrap_or_default();
        if !one(store, log, &Advance { to, halt: None, ..step.clone() }).await? {
            return Ok(false);
        }
        if self.0.fetch_add(1, Ordering::SeqCst) % 3 == 1 {
            return Err(StorageError::Unavailable("between the two".into()));
        }
        one(store, log, &Advance { kept: Vec::new(), ..step.clone() }).await
    }
}

/// Something of each commit is forgotten.
pub(crate) struct Forgetful(pub(crate) fn(&mut Advance));

#[async_trait]
impl Plant for Forgetful {
    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        let mut step = step.clone();
        self.0(&mut step);
        one(store, log, &step).await
    }
}

/// The first commit fails with which an order is done.
#[derive(Default)]
pub(crate) struct Interrupted {
    failed: AtomicBool,
    /// Whether something was skipped in a commit before that.
    pub(crate) partly: AtomicBool,
}

#[async_trait]
impl Plant for Interrupted {
    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        if step.done.is_empty() {
            self.partly.fetch_or(!step.to.skipped.is_empty(), Ordering::SeqCst);
        } else if !self.failed.swap(true, Ordering::SeqCst) {
            return Err(StorageError::Unavailable("before it is noted".into()));
        }
        one(store, log, step).await
    }
}

/// Whoever holds a projector first is cut off from the store for a while: what it would commit comes late, and so does the
/// word that somebody else holds it by then. Without a fence the store takes what comes late.
pub(crate) struct Late {
    fenced: bool,
    first: OnceLock<Uuid>,
    second: OnceLock<Uuid>,
    cut_off: watch::Sender<bool>,
    /// Whether something waits to be committed, and whether that was taken in the end.
    waits: watch::Sender<bool>,
    taken: watch::Sender<Option<bool>>,
}

impl Late {
    pub(crate) fn new(fenced: bool) -> Self {
        Self {
            fenced,
            first: OnceLock::new(),
            second: OnceLock::new(),
            cut_off: watch::Sender::new(false),
            waits: watch::Sender::new(false),
            taken: watch::Sender::new(None),
        }
    }

    /// From now on.
    pub(crate) fn cut_off(&self) {
        self.cut_off.send_replace(true);
    }

    /// Once it has something to commit; it holds the projector no longer then.
    pub(crate) async fn loses(&self, store: &Store, revision: i64) {
        self.waits.subscribe().wait_for(|waits| *waits).await.expect("it has something");
        let first = *self.first.get().expect("there is a first one");
        store.hold(revision, first, Duration::ZERO).await.expect("it is let go");
    }

    /// Lets it through; whether the store took what it had to commit.
    pub(crate) async fn is_taken(&self) -> bool {
        self.cut_off.send_replace(false);
        let mut taken = self.taken.subscribe();
        let taken = taken.wait_for(Option::is_some).await.expect("it is told");
        taken.expect("there is one")
    }

    fn is_first(&self, owner: Uuid) -> bool {
        *self.first.get_or_init(|| owner) == owner
    }

    async fn let_through(&self) {
        let mut cut_off = self.cut_off.subscribe();
        cut_off.wait_for(|cut_off| !cut_off).await.expect("it ends with this");
    }
}

#[async_trait]
impl Plant for Late {
    async fn advance(
        &self,
        store: &Store,
        log: &Log,
        step: &Advance,
    ) -> Result<bool, StorageError> {
        if !self.is_first(step.owner) || !*self.cut_off.borrow() {
            return one(store, log, step).await;
        }
        self.waits.send_replace(true);
        self.let_through().await;
        let mut step = step.clone();
        if !self.fenced {
            // As if nobody looked whose it is and where it stands.
            let second = *self.second.get().expect("there is a second one");
            store.hold(step.revision, second, Duration::ZERO).await?;
            store.hold(step.revision, step.owner, Duration::from_secs(60)).await?;
            step.from = store.progress(step.revision).await?.unwrap_or_default().cursor;
        }
        let taken = one(store, log, &step).await;
        self.taken.send_replace(Some(*taken.as_ref().expect("it is there")));
        taken
    }

    async fn hold(
        &self,
        store: &Store,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        if !self.is_first(owner) {
            self.second.get_or_init(|| owner);
        } else if *self.cut_off.borrow() {
            // No word before it has tried.
            let mut taken = self.taken.subscribe();
            taken.wait_for(Option::is_some).await.expect("it ends with this");
        }
        store.hold(revision, owner, time).await
    }
}

struct Planted {
    inner: Store,
    plant: Arc<dyn Plant>,
}

#[async_trait]
impl Projectors for Planted {
    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError> {
        self.plant.advance_all(&self.inner, log, steps).await
    }

    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError> {
        self.inner.revisions(after).await
    }

    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError> {
        self.inner.revisions_of(log, projector).await
    }

    async fn put_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        definition: &Definition,
        again: bool,
    ) -> Result<Put, StorageError> {
        self.inner.put_projector(log, projector, definition, again).await
    }

    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        self.plant.hold(&self.inner, revision, owner, time).await
    }

    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError> {
        self.inner.progress(revision).await
    }

    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError> {
        self.inner.halt(revision, why, order).await
    }

    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        self.inner.activate(log, projector, number).await
    }

    async fn take_over(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        self.inner.take_over(log, projector, number).await
    }

    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError> {
        self.inner.delete_projector(log, projector, retain).await
    }

    async fn keep_snapshots(
        &self,
        log: &Log,
        revision: &Revision,
        snapshots: &[Kept],
    ) -> Result<(), StorageError> {
        self.inner.keep_snapshots(log, revision, snapshots).await
    }

    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError> {
        self.inner.sweep(log, revision).await
    }
}
