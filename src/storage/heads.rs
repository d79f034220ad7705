//! What this process knows of the end of a lane, and the publishes that it can decide by that alone.
//!
//! Only a yes may come from here: the store confirms it when it writes (see [`super::Events::extend`]).
//! Whatever cannot be said yes to is decided in a critical section instead (see [`super::append`]).

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{
    End, Known, Outcome,
    append::{self, Pen},
};
use crate::model::{
    Ack, Event, IdOrigin, Lane, Log, Publish, Source, StreamKey, Test, Timestamp, condition::Facts,
};

/// Streams of one generation; two are kept.
const STREAMS_MAX: usize = 16_384;

/// The end of a lane, as of this process's last write to it.
#[derive(Debug)]
pub struct Heads {
    end: End,
    recorded_at: Timestamp,
    streams: Generations,
}

/// The last positions of streams, −1 of an empty one. What was not used for long is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<StreamKey, i64>,
    old: HashMap<StreamKey, i64>,
}

impl Generations {
    fn get(&mut self, stream: &StreamKey) -> Option<i64> {
        if let Some(position) = self.young.get(stream) {
            return Some(*position);
        }
        let (stream, position) = self.old.remove_entry(stream)?;
        self.set(stream, position);
        Some(position)
    }

    fn set(&mut self, stream: StreamKey, position: i64) {
        if self.young.len() >= STREAMS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, position);
    }
}

/// What has to be looked up before a batch can be decided.
#[derive(Debug, Default)]
pub struct Wanted {
    pub streams: Vec<StreamKey>,
    pub ids: Vec<Uuid>,
}

impl Wanted {
    /// Whether nothing has to be looked up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.ids.is_empty()
    }
}

/// What is likely, and need not be looked up then. A store that is asked to write what is not so refuses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Ids that a client stated may be stored already.
    pub replays: bool,
    /// A stream that is not known is a new one.
    pub new_streams: bool,
}

/// The one lane that a publish writes to and judges, if there is just one.
#[must_use]
pub fn lane_of(log: &Log, publish: &Publish) -> Option<Lane> {
    if log.lanes.count == 1 {
        return Some(0);
    }
    match append::lanes_touched(log, std::slice::from_ref(publish)).as_slice() {
        [lane] => Some(*lane),
        _ => None,
    }
}

impl Heads {
    /// The end of a lane after a critical section that this process left last.
    #[must_use]
    pub fn after(
        before: Option<Self>,
        log: &Log,
        lane: Lane,
        outcomes: &[Outcome],
    ) -> Option<Self> {
        let acks = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
        let written = acks.filter(|ack| !ack.replayed).flat_map(|ack| &ack.writes);
        let mut own: Vec<&Event> = written.flat_map(|write| &write.events).collect();
        own.retain(|event| log.lanes.split(event.sequence_number).0 == lane);
        own.sort_unstable_by_key(|event| event.sequence_number);
        let (Some(first), Some(last)) = (own.first(), own.last()) else { return before };
        // If somebody else wrote in between, what was known of streams is no longer so.
        let follows = |before: &Self| before.end.n + 1 == End::at(log.lanes, first).n;
        let streams = before.filter(follows).map(|before| before.streams).unwrap_or_default();
        let end = End::at(log.lanes, last);
        let mut heads = Self { end, recorded_at: last.recorded_at, streams };
        own.iter().for_each(|event| heads.streams.set(event.stream.clone(), event.position));
        Some(heads)
    }

    /// Where the lane ends.
    #[must_use]
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether a publish is of a kind that can be decided by the end of its lane.
    #[must_use]
    pub fn can_decide(log: &Log, publish: &Publish) -> bool {
        let mut can = publish.guarded || !log.require_condition;
        for condition in &publish.conditions {
            condition.walk(&mut |c| {
                can &= !matches!(c.test, Test::NoEventMatching(_))
                    && match c.source() {
                        None | Some(Source::Stream(_)) => true,
                        Some(Source::Log) => log.lanes.count == 1,
                        Some(Source::Category(_)) => false,
                    };
            });
        }
        can
    }

    /// Notes what has to be looked up for a publish: streams that are not known, and ids that a key
    /// may have been used for.
    pub fn want(&mut self, publish: &Publish, expected: Expected, wanted: &mut Wanted) {
        let mut want = |stream: &StreamKey| {
            if self.streams.get(stream).is_none() {
                wanted.streams.push(stream.clone());
            }
        };
        let begun = |stream: &StreamKey| publish.writes.iter().any(|w| w.stream == *stream);
        if !expected.new_streams {
            publish.writes.iter().for_each(|write| want(&write.stream));
        }
        for condition in &publish.conditions {
            condition.walk(&mut |c| {
                let Some(Source::Stream(stream)) = c.source() else { return };
                let new = expected.new_streams && begun(&stream);
                if !(new && c.judge(&Facts::default()).is_empty()) {
                    want(&stream);
                }
            });
        }
        wanted.ids.extend(publish.next_keyed_id);
        if expected.replays {
            let stated = publish.events().filter(|event| event.id_origin != IdOrigin::Minted);
            wanted.ids.extend(stated.map(|event| event.id));
        }
    }

    /// Learns what was looked up.
    pub fn learn(&mut self, wanted: Wanted, known: &Known) {
        wanted.streams.into_iter().for_each(|stream| self.streams.set(stream, -1));
        for (stream, position) in &known.positions {
            self.streams.set(stream.clone(), *position);
        }
    }
}

/// Decides the publishes of one batch, each seeing its predecessors.
#[derive(Debug)]
pub struct Draft<'a> {
    heads: &'a mut Heads,
    log: &'a Log,
    lane: Lane,
    now: Timestamp,
    expected: Expected,
    stored: HashMap<Uuid, Event>,
    drafted: HashSet<Uuid>,
    /// The events to write, in order.
    pub events: Vec<Event>,
}

impl<'a> Draft<'a> {
    /// A draft at the end of a lane. `known` is what was looked up for the batch.
    #[must_use]
    pub fn new(
        heads: &'a mut Heads,
        log: &'a Log,
        lane: Lane,
        clock: Timestamp,
        expected: Expected,
        known: Known,
    ) -> Self {
        let now = clock.max(heads.recorded_at);
        let stored = known.events.into_iter().map(|event| (event.id, event)).collect();
        let (drafted, events) = (HashSet::new(), Vec::new());
        Self { heads, log, lane, now, expected, stored, drafted, events }
    }

    /// The answer to a publish of a kind that [`Heads::can_decide`], if it is a yes.
    pub fn decide(&mut self, publish: &Publish) -> Option<Ack> {
        if let Some(replay) = append::replay(&self.stored, publish) {
            return replay.ok();
        }
        let repeated = publish.events().any(|event| self.drafted.contains(&event.id))
            || publish.next_keyed_id.is_some_and(|id| self.drafted.contains(&id));
        if repeated || !self.holds(publish) {
            return None;
        }
        let stated = publish.events().filter(|event| event.id_origin != IdOrigin::Minted);
        self.drafted.extend(stated.map(|event| event.id));
        let mut writes = Vec::with_capacity(publish.writes.len());
        for write in &publish.writes {
            let position = self.position(&write.stream)?;
            let pen = Pen { lanes: self.log.lanes, lane: self.lane, now: self.now };
            let ack = pen.write(write, self.heads.end.n, position);
            let last = ack.events.last()?;
            self.heads.end = End::at(self.log.lanes, last);
            self.heads.streams.set(write.stream.clone(), last.position);
            self.heads.recorded_at = self.now;
            self.events.extend(ack.events.iter().cloned());
            writes.push(ack);
        }
        Some(Ack { writes, replayed: false })
    }

    /// The last position of a stream that is written to.
    fn position(&mut self, stream: &StreamKey) -> Option<i64> {
        self.heads.streams.get(stream).or(self.expected.new_streams.then_some(-1))
    }

    /// Whether every condition holds, and every stream written to is known.
    fn holds(&mut self, publish: &Publish) -> bool {
        if publish.writes.iter().any(|write| self.position(&write.stream).is_none()) {
            return false;
        }
        let mut facts = Facts::default();
        if self.heads.end.n > 0 {
            facts.numbers.insert(Source::Log, self.log.lanes.number(self.lane, self.heads.end.n));
        }
        let mut known = true;
        for condition in &publish.conditions {
            condition.walk(&mut |c| {
                let Some(Source::Stream(stream)) = c.source() else { return };
                let begun = publish.writes.iter().any(|write| write.stream == stream);
                let position = self.heads.streams.get(&stream);
                match position.or(if begun { self.position(&stream) } else { None }) {
                    Some(-1) => {}
                    Some(position) => drop(facts.positions.insert(stream, position)),
                    None => known = false,
                }
            });
        }
        known && publish.conditions.iter().all(|condition| condition.judge(&facts).is_empty())
    }
}
