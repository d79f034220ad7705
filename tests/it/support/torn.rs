//! A store whose commits of projectors fail now and then, and which lets none go; and one, with a plant in it, that keeps
//! documents and their place in two transactions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
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
use uuid::Uuid;

struct Failing {
    inner: Arc<dyn Projectors>,
    /// Whether documents and place are kept apart.
    torn: bool,
    commits: AtomicUsize,
}

/// The store with commits that fail.
pub(crate) fn failing(storage: &Storage, torn: bool) -> Storage {
    let inner = storage.projectors.clone();
    let projectors = Arc::new(Failing { inner, torn, commits: AtomicUsize::new(0) });
    Storage { projectors, ..storage.clone() }
}

#[async_trait]
impl Projectors for Failing {
    async fn advance(&self, log: &Log, step: &Advance) -> Result<bool, StorageError> {
        let commit = self.commits.fetch_add(1, Ordering::SeqCst);
        if self.torn {
            // The documents, at the place where they were.
            let place = self.inner.progress(step.revision).await?.unwrap_or_default();
            let kept = Advance { to: place, halt: None, ..step.clone() };
            if !self.inner.advance(log, &kept).await? {
                return Ok(false);
            }
            if commit % 3 == 1 {
                return Err(StorageError::Unavailable("between the two".into()));
            }
            return self.inner.advance(log, &Advance { kept: Vec::new(), ..step.clone() }).await;
        }
        match commit % 6 {
            1 => Err(StorageError::Unavailable("before it".into())),
            4 => {
                self.inner.advance(log, step).await?;
                Err(StorageError::OutcomeUnknown("after it".into()))
            }
            _ => self.inner.advance(log, step).await,
        }
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
        // What failed is not let go either.
        if time.is_zero() {
            return Err(StorageError::Unavailable("while it is let go".into()));
        }
        self.inner.hold(revision, owner, time).await
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
