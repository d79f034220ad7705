//! Group commit of projectors: the steps of a log that came while others were committed are committed together.
//!
//! What one commit costs (a sync, round trips) is shared by all whose events came at the same time. Steps over much are long whatever is shared: they go alone, and nobody waits for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    engine::{commit::guarded, tasks::Tasks},
    model::Log,
    storage::{Storage, StorageError, projectors::Advance},
};

/// A step over more documents, or of more bytes, goes alone.
const SHARED_DOCUMENTS: usize = 100;
const SHARED_BYTES: usize = 256 << 10;
/// So many steps are committed together at most.
const STEPS_MAX: usize = 100;

type Reply = oneshot::Sender<Result<bool, StorageError>>;
/// A step, and where it is said what became of it.
type Waiting = (Advance, Reply);

/// Commits the steps of projectors.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Together {
    storage: Storage,
    tasks: Tasks,
    /// Where the steps of a log wait.
    queues: Arc<Mutex<HashMap<i64, mpsc::UnboundedSender<Waiting>>>>,
}

impl Together {
    pub(in crate::engine) fn new(storage: Storage, tasks: Tasks) -> Self {
        Self { storage, tasks, queues: Arc::default() }
    }

    /// Commits a step of so many bytes, alone or with others; false if the store refuses it.
    pub(super) async fn advance(
        &self,
        log: &Arc<Log>,
        step: Advance,
        bytes: usize,
    ) -> Result<bool, StorageError> {
        let documents = step.kept.len() + step.parked.len();
        if documents > SHARED_DOCUMENTS || bytes > SHARED_BYTES {
            return alone(&self.storage, log, step).await;
        }
        let (reply, answer) = oneshot::channel();
        self.queue(log, (step, reply));
        let lost = |_| StorageError::Unavailable("a commit was left unanswered".into());
        answer.await.map_err(lost)?
    }

    fn queue(&self, log: &Arc<Log>, waiting: Waiting) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(log.id).or_insert_with(|| {
            let (sender, queue) = mpsc::unbounded_channel();
            self.tasks.background(run(self.storage.clone(), log.clone(), queue));
            sender
        });
        // Whoever is not answered hears of it.
        let _ = queue.send(waiting);
    }
}

async fn run(storage: Storage, log: Arc<Log>, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let mut group = Vec::new();
    while queue.recv_many(&mut group, STEPS_MAX).await > 0 {
        // Nobody waits for a step of one that was stopped: if it goes on already, it has another.
        group.retain(|(_, reply)| !reply.is_closed());
        group.sort_by_key(|(step, _)| step.revision);
        let (steps, replies): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        match guarded(storage.projectors.advance(&log, &steps)).await {
            Ok(done) => {
                replies.into_iter().zip(done).for_each(|(reply, done)| answer(reply, Ok(done)));
            }
            // What fails for one of them does not fail for all. If it is done after all, each is refused, and reads anew.
            Err(_) if steps.len() > 1 => {
                for (reply, step) in replies.into_iter().zip(steps) {
                    answer(reply, alone(&storage, &log, step).await);
                }
            }
            Err(error) => replies.into_iter().for_each(|reply| answer(reply, Err(error.shared()))),
        }
    }
}

fn answer(reply: Reply, done: Result<bool, StorageError>) {
    // Who asked may have been stopped meanwhile.
    let _ = reply.send(done);
}

async fn alone(storage: &Storage, log: &Log, step: Advance) -> Result<bool, StorageError> {
    let done = guarded(storage.projectors.advance(log, &[step])).await?;
    Ok(done.first().is_some_and(|done| *done))
}
