//! Group commit: one committer for each lane that this process writes to.
//!
//! It takes all that queued while its previous commit was under way; there is no timer. What the known
//! end of the lane says yes to is written in one step ([`Heads`]); all else is decided in a critical
//! section. A batch whose outcome is not known is resolved by writing it again: its ids are found, or
//! it takes the numbers that a statement still in flight would need.
//!
//! Invariant: a request is answered once; "not written" only if nothing of it was ever in doubt.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{hub::Hubs, metrics::Metrics};
use crate::{
    model::{Ack, Clock, Lane, Log, Publish},
    storage::{
        AppendError, Known, Outcome, Storage, StorageError,
        heads::{Draft, Expected, Heads, Wanted},
    },
};

/// Events and bytes of one batch; a larger request is a batch of its own.
const BATCH_EVENTS_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Waits between attempts after a failure that may pass.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// So many batches after a replay was met, stated ids are looked up first.
const REPLAYS_EXPECTED: u32 = 64;
/// So many look-ups in a row have to find new streams alone, and they are taken for new without one.
const OLD_STREAMS_EXPECTED: u32 = 16;
/// What is known of a lane is forgotten after so long without a publish.
const IDLE: Duration = Duration::from_secs(60);

/// The answer to one publish: its outcome, or why there is none.
pub(super) type Answer = Result<Outcome, StorageError>;

/// A publish that waits for its turn.
#[derive(Debug)]
pub(super) struct Request {
    pub publish: Publish,
    pub log: Arc<Log>,
    pub reply: oneshot::Sender<Answer>,
    /// Since when it waits.
    pub since: Instant,
    /// Until then it may be written.
    pub deadline: Instant,
    /// Whether an earlier attempt may have written it, and what that attempt had decided.
    pub in_doubt: bool,
    pub decided: Option<Ack>,
    /// Its place among those under way, and the task that it is, until it is answered.
    pub _seat: (OwnedSemaphorePermit, TaskTrackerToken),
}

impl Request {
    fn answer(self, answer: Answer) {
        // The client may have gone away.
        let _ = self.reply.send(answer);
    }

    /// Says why it was not written, or that nobody knows.
    fn fail(self, error: &StorageError) {
        let error = match error {
            error if self.in_doubt => StorageError::OutcomeUnknown(error.to_string().into()),
            // Of another's doubt: this one was never sent.
            StorageError::OutcomeUnknown(cause) => {
                StorageError::Unavailable(cause.to_string().into())
            }
            error => error.shared(),
        };
        self.answer(Err(error));
    }

    fn size(&self) -> (usize, usize) {
        let json = |event: &crate::model::NewEvent| {
            event.payload.as_str().len() + event.metadata.as_str().len()
        };
        (self.publish.events().count(), self.publish.events().map(json).sum())
    }
}

/// Writes to one lane.
pub(super) struct Committer {
    pub storage: Storage,
    pub clock: Arc<dyn Clock>,
    pub hubs: Hubs,
    pub metrics: Arc<Metrics>,
    pub lane: Lane,
    heads: Option<Heads>,
    /// For how many batches more replays, and old streams that are not known, are expected.
    replays: u32,
    old_streams: u32,
}

impl Committer {
    pub(super) fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        hubs: Hubs,
        metrics: Arc<Metrics>,
        lane: Lane,
    ) -> Self {
        let old_streams = OLD_STREAMS_EXPECTED;
        Self { storage, clock, hubs, metrics, lane, heads: None, replays: 0, old_streams }
    }

    /// Commits what is queued, until there is nobody left to queue anything.
    pub(super) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Request>) {
        let mut waiting = VecDeque::new();
        let mut arrived = Vec::new();
        loop {
            if waiting.is_empty() {
                let received = queue.recv_many(&mut arrived, BATCH_EVENTS_MAX);
                match tokio::time::timeout(IDLE, received).await {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(_) => self.heads = None,
                }
            } else {
                while arrived.len() < BATCH_EVENTS_MAX
                    && let Ok(request) = queue.try_recv()
                {
                    arrived.push(request);
                }
            }
            waiting.extend(arrived.drain(..));
            let batch = take_batch(&mut waiting);
            if !batch.is_empty() {
                self.commit(batch).await;
            }
        }
    }

    /// Commits a batch: what can be in one step, the rest in a critical section.
    async fn commit(&mut self, batch: Vec<Request>) {
        for request in &batch {
            self.metrics.queue.observe(request.since.elapsed().as_secs_f64());
        }
        let rest = self.extend(batch).await;
        self.append(rest).await;
    }

    /// Writes in one step what the known end of the lane says yes to. Gives the rest back.
    async fn extend(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let (Some(mut heads), Some(log)) =
            (self.heads.take(), batch.last().map(|request| request.log.clone()))
        else {
            return batch;
        };
        let (batch, mut rest): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|request| Heads::can_decide(&log, &request.publish));
        let expected = Expected { replays: self.replays > 0, new_streams: self.old_streams == 0 };
        let Ok(known) = self.look(&mut heads, &log, &batch, expected).await else {
            rest.extend(batch);
            return rest;
        };
        let end = heads.end();
        let mut draft = Draft::new(&mut heads, &log, self.lane, self.clock.now(), expected, known);
        let mut decided = Vec::with_capacity(batch.len());
        for request in batch {
            match draft.decide(&request.publish) {
                Some(ack) if ack.replayed => request.answer(Ok(Ok(ack))),
                Some(ack) => decided.push((request, ack)),
                None => rest.push(request),
            }
        }
        let events = std::mem::take(&mut draft.events);
        if events.is_empty() {
            self.heads = Some(heads);
            return rest;
        }
        let begun = Instant::now();
        let extended = guarded(self.storage.events.extend(&log, self.lane, end, &events)).await;
        match extended {
            Ok(true) => {
                self.metrics.committed("step", events.len(), begun.elapsed());
                self.heads = Some(heads);
                self.hubs.committed(&log, events.iter());
                decided.into_iter().for_each(|(request, ack)| request.answer(Ok(Ok(ack))));
            }
            Err(error @ (StorageError::Full(_) | StorageError::Broken(_))) => {
                decided.into_iter().for_each(|(request, _)| request.fail(&error));
            }
            Err(StorageError::OutcomeUnknown(_)) => {
                rest.extend(decided.into_iter().map(|(mut request, ack)| {
                    (request.in_doubt, request.decided) = (true, Some(ack));
                    request
                }));
            }
            Ok(false) | Err(StorageError::Unavailable(_) | StorageError::Refused(_)) => {
                self.old_streams = OLD_STREAMS_EXPECTED;
                rest.extend(decided.into_iter().map(|(request, _)| request));
            }
        }
        rest
    }

    /// Looks up what the end of the lane does not tell of a batch.
    async fn look(
        &mut self,
        heads: &mut Heads,
        log: &Log,
        batch: &[Request],
        expected: Expected,
    ) -> Result<Known, StorageError> {
        let mut wanted = Wanted::default();
        for request in batch {
            heads.want(&request.publish, expected, &mut wanted);
        }
        if wanted.is_empty() {
            return Ok(Known::default());
        }
        let known = guarded(self.storage.events.look(log, &wanted.streams, &wanted.ids)).await?;
        let met = |left: u32, none: bool, most| if none { left.saturating_sub(1) } else { most };
        self.replays = met(self.replays, known.events.is_empty(), REPLAYS_EXPECTED);
        if !wanted.streams.is_empty() {
            let none = known.positions.is_empty();
            self.old_streams = met(self.old_streams, none, OLD_STREAMS_EXPECTED);
        }
        heads.learn(wanted, &known);
        Ok(known)
    }

    /// Decides and writes requests in a critical section, again and again until each is settled or its
    /// time is over. What the store refuses is halved until the culprit is alone.
    pub(super) async fn append(&mut self, requests: Vec<Request>) {
        let mut parts = vec![requests];
        let mut backoff = BACKOFF_FIRST;
        let mut trouble: Option<StorageError> = None;
        let mut begun = Instant::now();
        while let Some(part) = parts.pop() {
            let mut part = in_time(part, trouble.as_ref());
            let Some(log) = part.last().map(|request| request.log.clone()) else { continue };
            let batch: Vec<Publish> = part.iter().map(|r| r.publish.clone()).collect();
            match guarded(self.storage.events.append(&log, &batch)).await {
                Ok(outcomes) => {
                    let written = outcomes.iter().flatten().filter(|ack| !ack.replayed);
                    let events = written.flat_map(|ack| &ack.writes).map(|w| w.events.len()).sum();
                    self.metrics.committed("section", events, begun.elapsed());
                    begun = Instant::now();
                    self.settle(&log, part, outcomes);
                    (backoff, trouble) = (BACKOFF_FIRST, None);
                }
                Err(AppendError { error: StorageError::Refused(_), .. }) if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(AppendError { error, in_doubt }) => match error {
                    StorageError::Unavailable(_) | StorageError::OutcomeUnknown(_) => {
                        self.heads = None;
                        for request in &mut part {
                            request.in_doubt |= error.may_have_written();
                        }
                        for (request, outcome) in part.iter_mut().zip(in_doubt) {
                            request.decided = request.decided.take().or(outcome.ok());
                        }
                        trouble = Some(error);
                        parts.push(part);
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(BACKOFF_MAX);
                    }
                    StorageError::Full(_) | StorageError::Refused(_) | StorageError::Broken(_) => {
                        part.into_iter().for_each(|request| request.fail(&error));
                    }
                },
            }
        }
    }

    fn settle(&mut self, log: &Log, requests: Vec<Request>, outcomes: Vec<Outcome>) {
        self.heads = Heads::after(self.heads.take(), log, self.lane, &outcomes);
        let written = outcomes.iter().flatten().flat_map(|ack| &ack.writes);
        self.hubs.committed(log, written.flat_map(|write| &write.events));
        for (request, mut outcome) in requests.into_iter().zip(outcomes) {
            if let Ok(ack) = &mut outcome {
                // What an attempt in doubt had written is found as a replay: it is still its own.
                let own = request.decided.as_ref().is_some_and(|earlier| !earlier.replayed);
                self.replays = if ack.replayed { REPLAYS_EXPECTED } else { self.replays };
                ack.replayed &= !own;
            }
            request.answer(Ok(outcome));
        }
    }
}

/// As many of those that wait as make a batch, in their order.
fn take_batch(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let mut batch = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    while let Some(request) = waiting.pop_front() {
        let size = request.size();
        (events, bytes) = (events + size.0, bytes + size.1);
        if !batch.is_empty() && (events > BATCH_EVENTS_MAX || bytes > BATCH_BYTES_MAX) {
            waiting.push_front(request);
            break;
        }
        batch.push(request);
    }
    batch
}

/// Those whose time is not over. The others are told what is known of them.
fn in_time(requests: Vec<Request>, trouble: Option<&StorageError>) -> Vec<Request> {
    let now = Instant::now();
    let (live, late): (Vec<_>, Vec<_>) = requests.into_iter().partition(|r| r.deadline > now);
    let no_turn = StorageError::Unavailable("no turn in time".into());
    let trouble = trouble.unwrap_or(&no_turn);
    late.into_iter().for_each(|request| request.fail(trouble));
    live
}

/// A panic of the store is an error of the batch, and not the end of the committer.
pub(super) async fn guarded<T, E: From<StorageError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_| Err(StorageError::broken("the store panicked").into()))
}
