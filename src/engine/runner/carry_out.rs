//! Carries out what somebody decided about events that failed.

use super::{
    End, Placed, Runner,
    attempt::Settled,
    halt::Halt,
    orders::{Order, What},
    parking,
};
use crate::{
    model::{EntryId, Event, Skipped},
    projector::{Batch, definition::Concern},
};

/// Events that were passed over and are told.
pub const SKIPPED_MAX: usize = 1_000;

impl Runner {
    /// Carries out the orders that are new.
    pub(super) async fn carry_out(&mut self) -> Result<(), End> {
        if !self.orders.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let lines = self.orders.borrow_and_update().clone();
        if lines.is_empty() {
            return Ok(());
        }
        for order in Order::all(&lines) {
            if !self.carried_out.insert(order.id) {
                continue;
            }
            match order.what {
                What::Skip(event) => self.to_skip = Some(event),
                What::SkipParked { id, event } => {
                    let id = EntryId::stored(id.as_str());
                    // It may wait at a later one by now: what came before may be carried out, and not noted as done.
                    let first = self.first_of(&id).await?;
                    if let Some(first) = first.filter(|first| first.id == event) {
                        self.skipped(&first, Some(&id));
                        self.parking.passed(&id, 1);
                    }
                    self.retry(&id).await?;
                }
                What::Retry(Some(id)) => self.retry(&EntryId::stored(id.as_str())).await?,
                What::Retry(None) => {
                    for id in self.parking.ids() {
                        self.retry(&id).await?;
                    }
                }
            }
        }
        self.done = lines;
        self.commit(None).await
    }

    /// The event that an entry waits at.
    async fn first_of(&self, id: &EntryId) -> Result<Option<Event>, End> {
        let Some(waiting) = self.parking.get(id) else { return Ok(None) };
        let first = waiting.events.get(..1).unwrap_or_default();
        let found = parking::events(&self.means.storage, &self.log, first).await?;
        Ok(found.into_iter().next())
    }

    /// Notes that an event is passed over.
    fn skipped(&mut self, event: &Event, id: Option<&EntryId>) {
        self.now.skipped.push(Skipped {
            event: event.id,
            sequence_number: event.sequence_number,
            id: id.map(ToString::to_string),
            at: Some(self.means.clock.now()),
        });
    }

    /// Applies what an entry waits with, up to the next event that fails.
    async fn retry(&mut self, id: &EntryId) -> Result<(), End> {
        while let Some(waiting) = self.parking.get(id) {
            let count = waiting.events.len().min(self.applying.rules.batch_events);
            let ids = waiting.events[..count].to_vec();
            let events = parking::events(&self.means.storage, &self.log, &ids).await?;
            if events.len() < count {
                let why = "an event that waits is not stored any more; rebuild the projector";
                return Err(End::Failed(why.to_owned()));
            }
            let mut batch = Batch::of_entry(&events, id);
            match self.settle(&mut batch).await? {
                Settled::Done(done) => self.parking.passed(id, done),
                Settled::Failed(fault, _) => {
                    self.parking.failed(id, Halt::of(&events[0], fault));
                    return Ok(());
                }
            }
            self.commit_if_due(false).await?;
        }
        Ok(())
    }

    /// Passes over the first event that would be applied, if that is what was decided.
    pub(super) fn skip_first(&mut self, events: &[Placed]) {
        let Some(to_skip) = self.to_skip else { return };
        let mut events = events.iter().map(|(shared, _)| &shared.event);
        let Some(first) = events.find(|event| self.concern(event) == Concern::Applied) else {
            return;
        };
        if first.id == to_skip {
            self.skipped(first, None);
        }
        self.to_skip = None;
    }
}
