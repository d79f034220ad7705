//! Decides a batch of publishes inside a critical section. The one meaning of a publish: replay,
//! then conditions, then numbers; each request sees its predecessors.
//!
//! Invariant: positions follow on the stream's last, sequence numbers on the lane's last, and a
//! refused publish takes none.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{Outcome, Refusal, Section, Span, StorageError};
use crate::model::{
    Ack, At, Condition, Direction, Event, IdOrigin, Lane, Lanes, Log, Matching, NewEvent, Publish,
    Source, StreamKey, Test, Timestamp, Write, WriteAck, condition::Facts,
    limits::CONDITION_EXAMINED_MAX,
};

/// Bytes of events that one read for a condition holds.
const SPAN_BYTES: usize = 8 << 20;

/// The lanes that a batch writes to or judges, in the order in which they must be locked.
#[must_use]
pub fn lanes_touched(log: &Log, batch: &[Publish]) -> Vec<Lane> {
    let mut lanes = BTreeSet::new();
    for publish in batch {
        lanes.extend(publish.writes.iter().map(|write| log.lanes.of_stream(&write.stream)));
        for condition in &publish.conditions {
            condition.walk(&mut |c| lanes.extend(c.source().iter().flat_map(|s| log.lanes.of(s))));
        }
    }
    lanes.into_iter().collect()
}

/// Decides every publish of a batch and stages what is to be written. The store commits.
pub async fn decide(
    section: &mut dyn Section,
    log: &Log,
    now: Timestamp,
    batch: &[Publish],
) -> Result<Vec<Outcome>, StorageError> {
    let mut desk = Desk::open(section, log, now, batch).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for publish in batch {
        outcomes.push(desk.decide(section, publish).await?);
    }
    if !desk.fresh.is_empty() {
        section.insert(&desk.fresh).await?;
    }
    Ok(outcomes)
}

/// What is known of the locked lanes, kept up to date while the batch is decided.
struct Desk<'a> {
    log: &'a Log,
    now: Timestamp,
    /// The last n of each touched lane.
    lanes: HashMap<Lane, i64>,
    facts: Facts,
    /// Stored events by id, of the ids that the batch names.
    stored: HashMap<Uuid, Event>,
    fresh: Vec<Event>,
}

impl<'a> Desk<'a> {
    async fn open(
        section: &mut dyn Section,
        log: &'a Log,
        clock: Timestamp,
        batch: &[Publish],
    ) -> Result<Self, StorageError> {
        let mut now = clock;
        let mut lanes = HashMap::new();
        for lane in lanes_touched(log, batch) {
            let tip = section.tip(&Source::Log, lane).await?;
            lanes.insert(lane, tip.map_or(0, |tip| tip.n));
            // The clock may go back; a lane's times may not.
            now = now.max(tip.map_or(Timestamp::MIN, |tip| tip.recorded_at));
        }
        let (streams, sources) = asked_for(batch);
        let mut facts = Facts::default();
        facts.positions.extend(section.positions(&streams).await?);
        for source in sources {
            for lane in log.lanes.of(&source) {
                if let Some(tip) = section.tip(&source, lane).await? {
                    facts.number(&source, log.lanes.number(lane, tip.n));
                }
            }
        }
        let ids: Vec<Uuid> = batch
            .iter()
            .flat_map(|publish| publish.events().map(|e| e.id).chain(publish.next_keyed_id))
            .collect();
        let stored = section.with_ids(&ids).await?;
        let stored = stored.into_iter().map(|event| (event.id, event)).collect();
        Ok(Self { log, now, lanes, facts, stored, fresh: Vec::new() })
    }

    async fn decide(
        &mut self,
        section: &mut dyn Section,
        publish: &Publish,
    ) -> Result<Outcome, StorageError> {
        if let Some(outcome) = replay(&self.stored, publish) {
            return Ok(outcome);
        }
        if self.log.require_condition && !publish.guarded {
            return Ok(Err(Refusal::ConditionRequired));
        }
        let found = self.find(section, publish).await?;
        // A false header is told whatever the body says.
        let judged = publish
            .conditions
            .iter()
            .filter(|condition| found.is_ok() || matches!(condition.at, At::Header(_)));
        let failed: Vec<_> = judged.flat_map(|condition| condition.judge(&self.facts)).collect();
        if !failed.is_empty() {
            let first = publish.writes.first().map(|write| &write.stream);
            let position = first.and_then(|stream| self.facts.positions.get(stream).copied());
            return Ok(Err(Refusal::ConditionFailed { failed, position }));
        }
        if let Err(refusal) = found {
            return Ok(Err(refusal));
        }
        let writes = publish.writes.iter().map(|write| self.number(write)).collect();
        Ok(Ok(Ack { writes, replayed: false }))
    }

    /// Looks for what the publish's `no_event_matching` name.
    async fn find(
        &mut self,
        section: &mut dyn Section,
        publish: &Publish,
    ) -> Result<Result<(), Refusal>, StorageError> {
        self.facts.found.clear();
        let mut matchings = Vec::new();
        for condition in &publish.conditions {
            condition.walk(&mut |c| {
                if let (Test::NoEventMatching(matching), At::Body(pointer)) = (&c.test, &c.at) {
                    matchings.push((matching, pointer.clone()));
                }
            });
        }
        for (matching, pointer) in matchings {
            match self.first_match(section, matching).await? {
                Found::Number(number) => {
                    self.facts.found.insert(pointer, number);
                }
                Found::Nothing => {}
                Found::TooMany => return Ok(Err(Refusal::ConditionTooBroad { pointer })),
            }
        }
        Ok(Ok(()))
    }

    async fn first_match(
        &self,
        section: &mut dyn Section,
        matching: &Matching,
    ) -> Result<Found, StorageError> {
        let (source, lanes) = (&matching.source, self.log.lanes);
        let mut examined = 0;
        for lane in lanes.of(source) {
            let mut after = match (source, matching.after) {
                (Source::Stream(_), None) => -1,
                (Source::Stream(_), Some(number)) => {
                    let n = lanes.at_most(lane, number);
                    super::scan::position_at(section, lanes, source, lane, n).await?
                }
                (_, number) => number.map_or(0, |number| lanes.at_most(lane, number)),
            };
            loop {
                let limit = (CONDITION_EXAMINED_MAX + 1 - examined).min(500);
                let span = Span {
                    source: source.clone(),
                    lane,
                    after,
                    before: i64::MAX,
                    direction: Direction::Forwards,
                    limit,
                    bytes: SPAN_BYTES,
                };
                let rows = section.rows(&span).await?;
                let room = CONDITION_EXAMINED_MAX - examined;
                let found = rows.iter().take(room).find(|event| matching.filter.holds(event));
                if let Some(event) = found {
                    return Ok(Found::Number(event.sequence_number));
                }
                examined += rows.len();
                if examined > CONDITION_EXAMINED_MAX {
                    return Ok(Found::TooMany);
                }
                match rows.last() {
                    Some(last) if !span.is_exhausted_by(&rows) => {
                        after = super::scan::n_of(lanes, source, last);
                    }
                    _ => break,
                }
            }
        }
        let after = matching.after.unwrap_or(0);
        let fresh = self.fresh.iter().find(|event| {
            source.holds(&event.stream)
                && event.sequence_number > after
                && matching.filter.holds(event)
        });
        Ok(fresh.map_or(Found::Nothing, |event| Found::Number(event.sequence_number)))
    }

    /// Gives a write its numbers.
    fn number(&mut self, write: &Write) -> WriteAck {
        let lane = self.log.lanes.of_stream(&write.stream);
        let last = self.lanes.get(&lane).copied().unwrap_or(0);
        let position = self.facts.positions.get(&write.stream).copied().unwrap_or(-1);
        let ack = Pen { lanes: self.log.lanes, lane, now: self.now }.write(write, last, position);
        for event in &ack.events {
            self.lanes.insert(lane, self.log.lanes.split(event.sequence_number).1);
            self.facts.positions.insert(write.stream.clone(), event.position);
            self.stored.insert(event.id, event.clone());
            self.fresh.push(event.clone());
        }
        if let Some(last) = ack.events.last() {
            for source in [Source::Log, Source::Category(write.stream.category.clone())] {
                self.facts.number(&source, last.sequence_number);
            }
        }
        ack
    }
}

/// The answer, if some of the ids are among those stored. It needs no lock: what is stored stays.
pub(super) fn replay(stored: &HashMap<Uuid, Event>, publish: &Publish) -> Option<Outcome> {
    let known = |id: Uuid| stored.contains_key(&id);
    let longer = publish.next_keyed_id.is_some_and(known);
    let first = publish.events().find(|event| known(event.id));
    if first.is_none() && !longer {
        return None;
    }
    let writes: Option<Vec<_>> = publish.writes.iter().map(|w| replayed(stored, w)).collect();
    Some(match (writes, first) {
        (Some(writes), _) if !longer => Ok(Ack { writes, replayed: true }),
        (_, Some(event)) if event.id_origin != IdOrigin::Keyed => {
            Err(Refusal::IdConflict(event.id))
        }
        _ => Err(Refusal::KeyReused),
    })
}

/// The stored events of a write, if they are just these: same stream, consecutive, same content.
fn replayed(stored: &HashMap<Uuid, Event>, write: &Write) -> Option<WriteAck> {
    let mut events: Vec<Event> = Vec::with_capacity(write.events.len());
    for new in &write.events {
        let event = stored.get(&new.id)?;
        let follows = events.last().is_none_or(|last| last.position + 1 == event.position);
        if event.stream != write.stream || !follows || !event.has_content_of(new) {
            return None;
        }
        events.push(event.clone());
    }
    Some(WriteAck { stream: write.stream.clone(), events })
}

/// Writes events with their numbers and times.
pub(super) struct Pen {
    pub lanes: Lanes,
    pub lane: Lane,
    pub now: Timestamp,
}

impl Pen {
    /// The events of a write to a stream that ends with `position`, in a lane that ends with `last`.
    pub(super) fn write(&self, write: &Write, last: i64, position: i64) -> WriteAck {
        let event = |(new, i): (&NewEvent, i64)| {
            let observed_at = new.observed_at.unwrap_or(self.now);
            Event {
                id: new.id,
                name: new.name.clone(),
                payload: new.payload.clone(),
                metadata: new.metadata.clone(),
                occurred_at: new.occurred_at.unwrap_or(observed_at),
                observed_at,
                recorded_at: self.now,
                stream: write.stream.clone(),
                position: position + i,
                sequence_number: self.lanes.number(self.lane, last + i),
            }
        };
        let events = write.events.iter().zip(1..).map(event).collect();
        WriteAck { stream: write.stream.clone(), events }
    }
}

enum Found {
    Number(i64),
    Nothing,
    TooMany,
}

impl Facts {
    /// Notes a sequence number of a source; the largest counts.
    fn number(&mut self, source: &Source, number: i64) {
        let last = self.numbers.entry(source.clone()).or_insert(number);
        *last = number.max(*last);
    }
}

/// The streams, and the logs and categories, whose ends must be known.
fn asked_for(batch: &[Publish]) -> (Vec<StreamKey>, HashSet<Source>) {
    let mut streams = BTreeSet::new();
    let mut sources = HashSet::new();
    for publish in batch {
        streams.extend(publish.writes.iter().map(|write| write.stream.clone()));
        for condition in &publish.conditions {
            condition.walk(&mut |c: &Condition| match (c.source(), &c.test) {
                (Some(_), Test::NoEventMatching(_)) | (None, _) => {}
                (Some(Source::Stream(stream)), _) => {
                    streams.insert(stream);
                }
                (Some(source), _) => {
                    sources.insert(source);
                }
            });
        }
    }
    (streams.into_iter().collect(), sources)
}
