//! Projectors in memory.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{MemoryStore, lock, projections::Documents};
use crate::{
    model::{Definition, Log, Progress, ProjectorName, Revision, Standing},
    storage::{
        StorageError,
        projections::Kept,
        projectors::{self, Advance, Listed, ProjectorSection, Projectors, Put},
    },
};

/// A revision, and who runs it until when.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) revision: Revision,
    pub(super) owner: Uuid,
    pub(super) held_until: i64,
}

#[async_trait]
impl ProjectorSection for Documents {
    async fn known(&mut self, projector: &ProjectorName) -> Result<Vec<Revision>, StorageError> {
        let all = self.drawer.revisions.values().map(|stored| &stored.revision);
        Ok(all.filter(|revision| revision.projector == *projector).cloned().collect())
    }

    async fn add_revision(&mut self, fresh: &Revision) -> Result<Revision, StorageError> {
        let revision = Revision { id: self.next_revision, ..fresh.clone() };
        let stored = Stored { revision: revision.clone(), owner: Uuid::nil(), held_until: 0 };
        self.stage(move |drawer| {
            drawer.revisions.insert(stored.revision.id, stored);
        });
        Ok(revision)
    }

    async fn set_standing(
        &mut self,
        revision: i64,
        standing: Standing,
    ) -> Result<(), StorageError> {
        self.stage(move |drawer| {
            if let Some(stored) = drawer.revisions.get_mut(&revision) {
                stored.revision.standing = standing;
            }
        });
        Ok(())
    }

    async fn drop_revision(&mut self, revision: &Revision) -> Result<(), StorageError> {
        self.set_standing(revision.id, Standing::Dropped).await
    }

    async fn still(&mut self, _: &ProjectorName) -> Result<(), StorageError> {
        Ok(())
    }

    async fn pass(&mut self, steps: &[Advance]) -> Result<HashSet<i64>, StorageError> {
        let passes = |step: &&Advance| {
            self.drawer.revisions.get(&step.revision).is_some_and(
                |Stored { revision, owner, .. }| {
                    *owner == step.owner
                        && revision.progress.cursor == step.from
                        && revision.halt.is_none()
                        && matches!(revision.standing, Standing::Active | Standing::Building)
                },
            )
        };
        let steps: Vec<Advance> = steps.iter().filter(passes).cloned().collect();
        let passed = steps.iter().map(|step| step.revision).collect();
        self.stage(move |drawer| {
            for Advance { revision: id, to, halt, done, .. } in steps {
                if let Some(Stored { revision, .. }) = drawer.revisions.get_mut(&id) {
                    let orders = std::mem::take(&mut revision.progress.orders);
                    let orders = orders.strip_prefix(&done).unwrap_or(&orders).to_owned();
                    (revision.progress, revision.halt) = (Progress { orders, ..to }, halt);
                }
            }
        });
        Ok(passed)
    }
}

impl MemoryStore {
    /// Changes revisions of a log.
    async fn changed<T>(
        &self,
        log: &Log,
        change: impl AsyncFnOnce(&mut Documents) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let entry = self.entry(log)?;
        let _turn = entry.editing.lock().await;
        let mut section = Documents::open(&entry.drawer);
        section.next_revision =
            self.next_revision.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let done = change(&mut section).await?;
        section.commit(&entry.drawer);
        Ok(done)
    }

    /// Does something with a revision, whichever log it is of.
    fn with<T>(&self, revision: i64, work: impl FnOnce(&mut Stored) -> T) -> Option<T> {
        let logs: Vec<_> = lock(&self.logs).values().cloned().collect();
        let mut drawers = logs.iter().map(|entry| lock(&entry.drawer));
        let mut drawer = drawers.find(|drawer| drawer.revisions.contains_key(&revision))?;
        drawer.revisions.get_mut(&revision).map(work)
    }
}

#[async_trait]
impl Projectors for MemoryStore {
    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError> {
        let logs: Vec<_> = lock(&self.logs).values().cloned().collect();
        let now = self.clock.now().micros();
        let mut found = Vec::new();
        for entry in logs {
            for stored in lock(&entry.drawer).revisions.values() {
                let mut revision = stored.revision.clone();
                if revision.id <= after {
                    let definition = &mut revision.definition;
                    (definition.text, definition.description) = (String::new(), String::new());
                }
                let held = stored.held_until > now;
                found.push(Listed { log: entry.log.name.clone(), revision, held });
            }
        }
        found.sort_by_key(|known| known.revision.id);
        Ok(found)
    }

    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError> {
        let entry = self.entry(log)?;
        let drawer = lock(&entry.drawer);
        let all = drawer.revisions.values().map(|stored| &stored.revision);
        let of = |revision: &&Revision| projector.is_none_or(|name| revision.projector == *name);
        Ok(projectors::there(all.filter(of).cloned().collect()))
    }

    async fn put_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        definition: &Definition,
        again: bool,
    ) -> Result<Put, StorageError> {
        let fresh = projectors::fresh(projector, definition, self.clock.now());
        self.changed(log, async |section| projectors::put(section, fresh, again).await).await
    }

    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        let now = self.clock.now().micros();
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let held = self.with(revision, |stored| {
            if stored.owner != owner && stored.held_until > now {
                return None;
            }
            (stored.owner, stored.held_until) = (owner, now.saturating_add(micros));
            Some(stored.revision.progress.clone())
        });
        Ok(held.flatten())
    }

    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError> {
        Ok(self.with(revision, |stored| stored.revision.progress.clone()))
    }

    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError> {
        self.changed(log, async |section| projectors::advance(section, steps).await).await
    }

    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError> {
        let why = why.map(str::to_owned);
        let logs: Vec<_> = lock(&self.logs).values().cloned().collect();
        let of = |entry: &&super::Entry| lock(&entry.drawer).revisions.contains_key(&revision);
        let Some(entry) = logs.iter().find(of) else { return Ok(false) };
        // A step that is under way comes first.
        let _turn = entry.editing.lock().await;
        let told = self.with(revision, |Stored { revision, .. }| {
            revision.halt = why;
            revision.progress.orders.push_str(order);
        });
        Ok(told.is_some())
    }

    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        self.changed(log, async |section: &mut Documents| {
            projectors::activate(section, projector, number).await
        })
        .await
    }

    async fn take_over(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        let change = async |section: &mut Documents| {
            projectors::take_over(section, log, projector, number).await
        };
        self.changed(log, change).await
    }

    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError> {
        self.changed(log, async |section: &mut Documents| {
            projectors::delete(section, projector, retain).await
        })
        .await
    }

    async fn keep_snapshots(
        &self,
        log: &Log,
        revision: &Revision,
        snapshots: &[Kept],
    ) -> Result<(), StorageError> {
        let change = async |section: &mut Documents| {
            projectors::keep_snapshots(section, revision, snapshots).await
        };
        self.changed(log, change).await
    }

    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError> {
        let (id, names) = (revision.id, revision.names());
        let change = async |section: &mut Documents| {
            section.stage(move |drawer| {
                drawer.revisions.remove(&id);
                for name in &names {
                    drawer.forget(name);
                }
            });
            Ok(true)
        };
        self.changed(log, change).await
    }
}
