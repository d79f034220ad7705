//! Edits of projections: one committer for each name that this process changes.
//!
//! Like that of a lane it takes all that queued while its previous commit was under way. An edit has no
//! ids to be known by: an outcome that is not known stays so, and the client's `If-Match` tells.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{changes::Changes, commit::guarded, tasks::Tasks};
use crate::{
    model::{Edit, Log, ProjectionName},
    storage::{
        Storage, StorageError,
        projections::{EditOutcome, EditRefusal, Edited},
    },
};

/// Edits that may be under way at once; one more is told to come back.
const IN_FLIGHT_MAX: usize = 10_000;
/// Changes and bytes of one batch; a larger edit is a batch of its own.
const BATCH_CHANGES_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Commits that are under way at once: publishes have connections left.
const COMMITS_MAX: usize = 4;
/// How long an edit may wait to be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// Waits between attempts after a failure that may pass.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// A committer ends after so long without an edit.
const IDLE: Duration = Duration::from_secs(60);

/// Why an edit was not done.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("refused")]
    Refused(EditRefusal),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Changes documents.
#[derive(Debug, Clone)]
pub struct Editor {
    storage: Storage,
    tasks: Tasks,
    in_flight: Arc<Semaphore>,
    patience: Duration,
    commits: Arc<Semaphore>,
    queues: Queues,
    changes: Changes,
}

/// The queue of each committer, by log and name.
type Queues = Arc<Mutex<HashMap<(i64, ProjectionName), mpsc::UnboundedSender<Request>>>>;

/// An edit that waits for its turn.
#[derive(Debug)]
struct Request {
    edit: Edit,
    deadline: Instant,
    reply: oneshot::Sender<Result<EditOutcome, StorageError>>,
    /// Its place among those under way, and the task that it is, until it is answered.
    _seat: (OwnedSemaphorePermit, TaskTrackerToken),
}

impl Request {
    fn answer(self, answer: Result<EditOutcome, StorageError>) {
        // The client may have gone away.
        let _ = self.reply.send(answer);
    }
}

impl Editor {
    #[must_use]
    pub fn new(storage: Storage, changes: Changes, tasks: Tasks) -> Self {
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let commits = Arc::new(Semaphore::new(COMMITS_MAX));
        let (patience, queues) = (PATIENCE, Queues::default());
        Self { storage, tasks, in_flight, patience, commits, queues, changes }
    }

    /// With another patience for the store.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Edits the documents of a name. A caller that goes away does not undo what it asked for.
    pub async fn edit(
        &self,
        log: &Arc<Log>,
        name: &ProjectionName,
        edit: Edit,
    ) -> Result<Vec<Edited>, EditError> {
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            return Err(StorageError::Unavailable("too many edits under way".into()).into());
        };
        let (reply, answer) = oneshot::channel();
        let seat = (permit, self.tasks.token());
        let deadline = Instant::now() + self.patience;
        self.queue(log, name, Request { edit, deadline, reply, _seat: seat });
        let lost = |_| StorageError::OutcomeUnknown("the edit was left unanswered".into());
        answer.await.map_err(lost)??.map_err(EditError::Refused)
    }

    fn queue(&self, log: &Arc<Log>, name: &ProjectionName, request: Request) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry((log.id, name.clone())).or_insert_with(|| {
            let (sender, queue) = mpsc::unbounded_channel();
            let committer = Committer {
                storage: self.storage.clone(),
                commits: self.commits.clone(),
                queues: self.queues.clone(),
                changes: self.changes.clone(),
                log: log.clone(),
                name: name.clone(),
            };
            self.tasks.background(committer.run(queue));
            sender
        });
        // A committer ends after it was taken from the queues: the request is not lost.
        let _ = queue.send(request);
    }
}

/// Changes the documents of one name.
struct Committer {
    storage: Storage,
    commits: Arc<Semaphore>,
    queues: Queues,
    changes: Changes,
    log: Arc<Log>,
    name: ProjectionName,
}

impl Committer {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Request>) {
        let mut arrived = Vec::new();
        loop {
            let received = queue.recv_many(&mut arrived, BATCH_CHANGES_MAX);
            if tokio::time::timeout(IDLE, received).await.is_err() && self.leave(&queue) {
                return;
            }
            let mut parts = batches(arrived.drain(..));
            parts.reverse();
            let mut backoff = BACKOFF_FIRST;
            while let Some(part) = parts.pop() {
                let turn = self.commits.acquire().await;
                let mut part = in_time(part);
                if part.is_empty() {
                    continue;
                }
                let edits: Vec<Edit> = part.iter().map(|request| request.edit.clone()).collect();
                match guarded(self.storage.projections.edit(&self.log, &self.name, &edits)).await {
                    Ok(outcomes) => {
                        backoff = BACKOFF_FIRST;
                        self.changes.changed(&self.log, &self.name);
                        part.into_iter()
                            .zip(outcomes)
                            .for_each(|(r, outcome)| r.answer(Ok(outcome)));
                    }
                    Err(StorageError::Refused(_)) if part.len() > 1 => {
                        parts.push(part.split_off(part.len() / 2));
                        parts.push(part);
                    }
                    Err(StorageError::Unavailable(_)) => {
                        parts.push(part);
                        drop(turn);
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(BACKOFF_MAX);
                    }
                    Err(error) => {
                        part.into_iter().for_each(|request| request.answer(Err(error.shared())));
                    }
                }
            }
        }
    }

    /// Ends, unless a request came meanwhile.
    fn leave(&self, queue: &mpsc::UnboundedReceiver<Request>) -> bool {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_empty() {
            queues.remove(&(self.log.id, self.name.clone()));
        }
        queue.is_empty()
    }
}

/// Those whose time is not over. Nothing was written of the others.
fn in_time(requests: Vec<Request>) -> Vec<Request> {
    let now = Instant::now();
    let (live, late): (Vec<_>, Vec<_>) = requests.into_iter().partition(|r| r.deadline > now);
    let no_turn = || StorageError::Unavailable("no turn in time".into());
    late.into_iter().for_each(|request| request.answer(Err(no_turn())));
    live
}

/// Requests in their order, as many together as make a batch.
fn batches(requests: impl Iterator<Item = Request>) -> Vec<Vec<Request>> {
    let (mut batches, mut changes, mut bytes) = (Vec::<Vec<Request>>::new(), 0, 0);
    for request in requests {
        let size = (request.edit.changes.len(), request.edit.bytes);
        (changes, bytes) = (changes + size.0, bytes + size.1);
        let fits = changes <= BATCH_CHANGES_MAX && bytes <= BATCH_BYTES_MAX;
        match batches.last_mut().filter(|_| fits) {
            Some(batch) => batch.push(request),
            None => {
                (changes, bytes) = size;
                batches.push(vec![request]);
            }
        }
    }
    batches
}
