//! Has a batch applied: all of it, or up to the event that fails, which is found.

use std::future::Future;

use super::{End, frames, halt::said};
use crate::{
    engine::program::{NoAnswer, Program},
    model::{EntryId, Event, ProjectionName},
    projector::{Batch, Document, Documents, Rules},
    storage::StorageError,
    worker::frames::{Applied, Located},
};

/// Documents that events are applied to.
pub(in crate::engine) trait AtHand: Send {
    /// Gets those of a batch.
    fn load(&mut self, batch: &Batch<'_>) -> impl Future<Output = Result<(), StorageError>> + Send;
    fn documents(&self) -> &Documents;
    fn keep(&mut self, document: Document);
}

/// What a batch came to.
pub(in crate::engine) enum Settled {
    /// So many events were applied; one at least.
    Done(usize),
    /// The first one fails, for these of its entries; none: it is not known which.
    Failed(frames::Fault, Vec<EntryId>),
}

/// What an attempt came to.
enum Attempt {
    /// So many events were applied.
    Done(usize),
    /// This event failed, or one that is not known; for this entry, or one that is not known.
    Failed(Option<usize>, Option<EntryId>, frames::Fault),
}

impl Attempt {
    fn failed(fault: frames::Fault) -> Self {
        Self::Failed(None, None, fault)
    }
}

/// What applies batches.
pub(in crate::engine) struct Applying {
    pub(in crate::engine) program: Program,
    pub(in crate::engine) rules: Rules,
    /// The name of the documents.
    pub(in crate::engine) name: ProjectionName,
    /// Events that are asked for one by one, because one among them fails.
    careful: usize,
}

impl Applying {
    pub(in crate::engine) fn new(program: Program, rules: Rules, name: ProjectionName) -> Self {
        Self { program, rules, name, careful: 0 }
    }

    /// Applies a batch up to the first event that fails. What `waits` is left out.
    pub(in crate::engine) async fn settle(
        &mut self,
        batch: &mut Batch<'_>,
        waits: &(impl Fn(&Event, &EntryId) -> bool + Sync),
        at_hand: &mut impl AtHand,
    ) -> Result<Settled, End> {
        loop {
            if self.careful > 0 {
                batch.truncate(1);
            }
            match self.attempt(batch, waits, at_hand).await? {
                Attempt::Done(done) => {
                    self.careful = self.careful.saturating_sub(done);
                    return Ok(Settled::Done(done));
                }
                Attempt::Failed(event, id, fault) if event == Some(0) || batch.len() == 1 => {
                    let of_event = || batch.ids_of(0).to_vec();
                    // Before an event has ids there is nothing that could wait for it.
                    let ids = if batch.is_located() { of_event() } else { Vec::new() };
                    return Ok(Settled::Failed(fault, id.map_or(ids, |id| vec![id])));
                }
                Attempt::Failed(Some(event), ..) => batch.truncate(event),
                Attempt::Failed(None, ..) => self.careful = batch.len(),
            }
        }
    }

    /// Has a batch applied, once.
    async fn attempt(
        &mut self,
        batch: &mut Batch<'_>,
        waits: &(impl Fn(&Event, &EntryId) -> bool + Sync),
        at_hand: &mut impl AtHand,
    ) -> Result<Attempt, End> {
        if !batch.is_located() {
            if self.rules.has_id {
                let located = match self.program.locate(batch).await {
                    Ok(located) => located,
                    Err(NoAnswer::Fault(fault)) => return Ok(Attempt::failed(fault)),
                    Err(NoAnswer::Unavailable(why)) => return Err(End::Failed(why)),
                };
                let Located { ids, fault } = located;
                match fault {
                    Some(fault) if ids.is_empty() => {
                        return Ok(Attempt::Failed(Some(0), None, fault));
                    }
                    _ => {}
                }
                if let Err((event, message)) = batch.locate(ids) {
                    return Ok(Attempt::Failed(Some(event), None, said(message)));
                }
            }
            batch.set_aside(waits);
        }
        at_hand.load(batch).await?;
        let applied = match self.program.apply(batch, at_hand.documents(), false).await {
            Ok(applied) => applied,
            Err(NoAnswer::Fault(fault)) => return Ok(Attempt::failed(fault)),
            Err(NoAnswer::Unavailable(why)) => return Err(End::Failed(why)),
        };
        let Applied { events, entries, fault, .. } = applied;
        if let Some(fault) = fault {
            let event = fault.event.and_then(|event| usize::try_from(event).ok());
            let id = fault.entry.and_then(|entry| batch.id(entry));
            return Ok(Attempt::Failed(event, id, fault));
        }
        let events = usize::try_from(events).unwrap_or(usize::MAX).min(batch.len());
        match batch.done(events, &self.name, &self.rules, entries, at_hand.documents()) {
            Ok(done) => {
                done.into_iter().for_each(|document| at_hand.keep(document));
                Ok(Attempt::Done(events))
            }
            Err((id, message)) => {
                let event = (events == 1).then_some(0);
                Ok(Attempt::Failed(event, Some(id), said(message)))
            }
        }
    }
}
