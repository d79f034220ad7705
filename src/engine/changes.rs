//! Who waits for changes of a projection, and their wake-up.
//!
//! Editors tell of what they committed; one poller looks, for the names that somebody follows, for what other
//! processes did. A wake-up is a hint: whoever is woken reads from the store, where changes are numbered in the order
//! of their commits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, watch},
    time::Instant,
};

use super::tasks::Tasks;
use crate::{
    model::{EntryId, Log, ProjectionName},
    storage::{Storage, StorageError, projections::ProjectionView},
};

/// How often the poller looks: after it found something, and at last.
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(250);
/// Those who are woken that read from the store at once, and those who begin: others have readers left.
const READING_MAX: usize = 4;
const BEGINNING_MAX: usize = 2;
/// How long who waits for an event waits for its turn to look.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// The changes of all projections.
#[derive(Debug, Clone)]
pub struct Changes {
    storage: Storage,
    tasks: Tasks,
    shared: Arc<Everyone>,
    reading: Arc<Semaphore>,
    beginning: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Everyone {
    names: Mutex<HashMap<(i64, ProjectionName), Channel>>,
    /// Tells the poller that there is something to do.
    kick: Notify,
    polling: OnceLock<()>,
}

/// Those who follow one name.
#[derive(Debug)]
struct Channel {
    log: Arc<Log>,
    sender: watch::Sender<()>,
    /// The last change that the poller saw.
    seen: i64,
    /// Whether it was changed by this process since then.
    told: bool,
}

/// Somebody who follows a name.
#[derive(Debug)]
pub struct Following {
    changes: Changes,
    log: Arc<Log>,
    name: ProjectionName,
    woken: watch::Receiver<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Changes {
    #[must_use]
    pub fn new(storage: Storage, tasks: Tasks) -> Self {
        let reading = Arc::new(Semaphore::new(READING_MAX));
        let beginning = Arc::new(Semaphore::new(BEGINNING_MAX));
        Self { storage, tasks, shared: Arc::default(), reading, beginning }
    }

    /// Follows a name from now on.
    #[must_use]
    pub fn follow(&self, log: &Arc<Log>, name: &ProjectionName) -> Following {
        let (woken, is_new) = {
            let mut names = lock(&self.shared.names);
            let is_new = !names.contains_key(&(log.id, name.clone()));
            let channel = names.entry((log.id, name.clone())).or_insert_with(|| Channel {
                log: log.clone(),
                sender: watch::Sender::default(),
                seen: 0,
                told: false,
            });
            (channel.sender.subscribe(), is_new)
        };
        self.shared.polling.get_or_init(|| self.tasks.background(self.clone().poll()));
        if is_new {
            self.shared.kick.notify_one();
        }
        Following { changes: self.clone(), log: log.clone(), name: name.clone(), woken }
    }

    /// Tells those who follow a name that it was changed.
    pub fn changed(&self, log: &Log, name: &ProjectionName) {
        if let Some(channel) = lock(&self.shared.names).get_mut(&(log.id, name.clone())) {
            channel.told = true;
            channel.sender.send_replace(());
        }
    }

    async fn poll(self) {
        let mut pause = POLL_FIRST;
        loop {
            let followed = self.followed();
            if followed.is_empty() {
                self.shared.kick.notified().await;
                continue;
            }
            let mut found = false;
            for (log, name, seen) in followed {
                match self.last(&log, &name).await {
                    Ok(last) if last != seen => {
                        if let Some(channel) = lock(&self.shared.names).get_mut(&(log.id, name)) {
                            // Only what others did is a reason to look again soon.
                            found |= !std::mem::take(&mut channel.told);
                            channel.seen = last;
                            channel.sender.send_replace(());
                        }
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "changes are not looked for"),
                }
            }
            pause = if found { POLL_FIRST } else { pause.mul_f32(1.5).min(POLL_MAX) };
            let kicked = self.shared.kick.notified();
            if tokio::time::timeout(pause, kicked).await.is_ok() {
                pause = POLL_FIRST;
            }
        }
    }

    /// The names that somebody follows. The others are let go.
    fn followed(&self) -> Vec<(Arc<Log>, ProjectionName, i64)> {
        let mut names = lock(&self.shared.names);
        names.retain(|_, channel| channel.sender.receiver_count() > 0);
        let one = |((_, name), channel): (&(i64, ProjectionName), &Channel)| {
            (channel.log.clone(), name.clone(), channel.seen)
        };
        names.iter().map(one).collect()
    }

    /// The last event that a projection, or one document of it, holds now.
    pub async fn held(
        &self,
        log: &Log,
        name: &ProjectionName,
        id: Option<&EntryId>,
    ) -> Result<i64, StorageError> {
        let mut view = self.storage.projections.projections(log).await?;
        let held = held(view.as_mut(), name, id).await;
        view.close().await;
        held
    }

    async fn last(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        let mut view = self.storage.projections.projections(log).await?;
        let end = view.end(name).await;
        view.close().await;
        Ok(end?.change)
    }
}

impl Following {
    /// Opens a view when it is this follower's turn. What is committed after it wakes the follower.
    pub async fn look(
        &mut self,
    ) -> Result<(Box<dyn ProjectionView>, SemaphorePermit<'_>), StorageError> {
        self.turn(false).await
    }

    /// Opens a view in which much may be read, when it is this follower's turn to begin.
    pub async fn begin(
        &mut self,
    ) -> Result<(Box<dyn ProjectionView>, SemaphorePermit<'_>), StorageError> {
        self.turn(true).await
    }

    async fn turn(
        &mut self,
        begin: bool,
    ) -> Result<(Box<dyn ProjectionView>, SemaphorePermit<'_>), StorageError> {
        self.woken.mark_unchanged();
        let turns = if begin { &self.changes.beginning } else { &self.changes.reading };
        let permit = turns.acquire().await;
        let permit = permit.map_err(|closed| StorageError::Unavailable(closed.into()))?;
        Ok((self.changes.storage.projections.projections(&self.log).await?, permit))
    }

    /// What was changed up to now wakes nobody.
    pub fn clear(&mut self) {
        self.woken.mark_unchanged();
    }

    /// Resolves when there may be a change that was not there at the last [`Following::look`].
    pub async fn woken(&mut self) {
        // The sender lives as long as somebody follows.
        let _ = self.woken.changed().await;
    }

    /// Waits for the projection, or one document of it, to hold an event, so long; the last event that it holds then.
    pub async fn wait_for(
        &mut self,
        id: Option<&EntryId>,
        number: i64,
        wait: Duration,
    ) -> Result<i64, StorageError> {
        let deadline = Instant::now() + wait;
        let tasks = self.changes.tasks.clone();
        loop {
            let name = self.name.clone();
            let turn = tokio::time::timeout(TURN_TIMEOUT, self.look()).await;
            let (mut view, permit) =
                turn.map_err(|late| StorageError::Unavailable(late.into()))??;
            let held = held(view.as_mut(), &name, id).await;
            view.close().await;
            drop(permit);
            let reached = held?;
            if reached >= number || Instant::now() >= deadline || tasks.stopping() {
                return Ok(reached);
            }
            tokio::select! {
                _ = tokio::time::timeout_at(deadline, self.woken()) => {}
                () = tasks.stopped() => {}
            }
        }
    }
}

/// The last event that a projection, or one document of it, holds.
async fn held(
    view: &mut dyn ProjectionView,
    name: &ProjectionName,
    id: Option<&EntryId>,
) -> Result<i64, StorageError> {
    let Some(id) = id else { return Ok(view.end(name).await?.sequence_number) };
    let kept = view.kept(name, std::slice::from_ref(id)).await?;
    let number = kept.into_iter().find_map(|kept| kept.projection.sequence_number);
    Ok(number.unwrap_or(0))
}
