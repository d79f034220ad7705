//! Publishes: a bounded door to the committers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};
use tracing::Instrument;

use super::{
    commit::{Committer, Request},
    hub::Hubs,
    metrics::Metrics,
    tasks::Tasks,
};
use crate::{
    model::{Ack, Clock, Lane, Log, Publish},
    storage::{Refusal, Storage, StorageError, heads},
};

/// Publishes that may be under way at once; one more is told to come back.
const IN_FLIGHT_MAX: usize = 10_000;
/// How long a publish may wait to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a publish was not done.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("refused")]
    Refused(Box<Refusal>),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes to a store.
#[derive(Debug, Clone)]
pub struct Publisher {
    storage: Storage,
    clock: Arc<dyn Clock>,
    hubs: Hubs,
    tasks: Tasks,
    in_flight: Arc<Semaphore>,
    patience: Duration,
    metrics: Arc<Metrics>,
    committers: Arc<Mutex<Queues>>,
}

/// The queue of each committer, by log and lane.
type Queues = HashMap<(i64, Lane), mpsc::UnboundedSender<Request>>;

impl Publisher {
    #[must_use]
    pub fn new(storage: Storage, clock: Arc<dyn Clock>, hubs: Hubs, tasks: Tasks) -> Self {
        let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let committers = Arc::default();
        let metrics = Arc::default();
        Self { storage, clock, hubs, tasks, in_flight, patience: PATIENCE, metrics, committers }
    }

    /// Counted by these.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// With another patience for the store.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Publishes. A caller that goes away does not undo what it asked for.
    pub async fn publish(&self, log: &Arc<Log>, publish: Publish) -> Result<Ack, PublishError> {
        let events = publish.events().count();
        let span = traced!("publish", events, outcome = tracing::field::Empty);
        let done = self.queued(log, publish).instrument(span.clone()).await;
        let outcome = match &done {
            Ok(ack) if ack.replayed => "replayed",
            Ok(_) => "written",
            Err(PublishError::Refused(_)) => "refused",
            Err(PublishError::Storage(error)) if error.may_have_written() => "unknown",
            Err(PublishError::Storage(_)) => "unwritten",
        };
        span.record("outcome", outcome);
        self.metrics.published(outcome, events);
        done
    }

    async fn queued(&self, log: &Arc<Log>, publish: Publish) -> Result<Ack, PublishError> {
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            return Err(StorageError::Unavailable("too many publishes under way".into()).into());
        };
        let (reply, answer) = oneshot::channel();
        let lane = heads::lane_of(log, &publish);
        let request = Request {
            publish,
            log: log.clone(),
            reply,
            since: Instant::now(),
            deadline: Instant::now() + self.patience,
            in_doubt: false,
            decided: None,
            _seat: (permit, self.tasks.token()),
        };
        match lane {
            Some(lane) => self.queue(log, lane, request),
            None => self.alone(request),
        }
        let lost = |_| StorageError::OutcomeUnknown("the publish was left unanswered".into());
        match answer.await.map_err(lost)?? {
            Ok(ack) => Ok(ack),
            Err(refusal) => Err(PublishError::Refused(Box::new(refusal))),
        }
    }

    /// Queues a request of one lane.
    fn queue(&self, log: &Log, lane: Lane, request: Request) {
        let mut committers = self.committers.lock().unwrap_or_else(PoisonError::into_inner);
        let committer = committers.entry((log.id, lane)).or_insert_with(|| {
            let (sender, queue) = mpsc::unbounded_channel();
            self.tasks.background(self.committer(lane).run(queue));
            sender
        });
        // A committer ends after its senders only: the request is not lost.
        let _ = committer.send(request);
    }

    /// A request of several lanes goes between the batches of all of them.
    fn alone(&self, request: Request) {
        let mut committer = self.committer(0);
        self.tasks.spawn(async move { committer.append(vec![request]).await });
    }

    fn committer(&self, lane: Lane) -> Committer {
        let (storage, clock) = (self.storage.clone(), self.clock.clone());
        Committer::new(storage, clock, self.hubs.clone(), self.metrics.clone(), lane)
    }
}
