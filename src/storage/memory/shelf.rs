//! The collections of one log: its events by lane, by category, by stream and by id.
//!
//! Invariant: what the unique indexes of the databases hold, [`Shelf::extend`] holds: it refuses a
//! sequence number, a position or an id that is taken, and then changes nothing. There is no way to
//! change or remove an event.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    model::{CategoryName, Direction, Event, Lane, Lanes, Source, StreamKey, StreamName},
    storage::{End, Listing, Span, Tip, scan::n_of},
};

type Row = Vec<Arc<Event>>;

/// What a new event has in common with one that is there, and may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Taken(pub String);

/// All events of one log.
#[derive(Debug)]
pub struct Shelf {
    lanes: Lanes,
    by_lane: Vec<Row>,
    by_category: BTreeMap<CategoryName, BTreeMap<Lane, Row>>,
    by_stream: BTreeMap<StreamKey, Row>,
    by_id: HashMap<Uuid, Arc<Event>>,
}

impl Shelf {
    pub(super) fn new(lanes: Lanes) -> Self {
        Self {
            lanes,
            by_lane: (0..lanes.count).map(|_| Row::new()).collect(),
            by_category: BTreeMap::new(),
            by_stream: BTreeMap::new(),
            by_id: HashMap::new(),
        }
    }

    /// How many events each lane has.
    pub(super) fn extent(&self) -> Vec<i64> {
        self.by_lane.iter().map(|row| i64::try_from(row.len()).unwrap_or(i64::MAX)).collect()
    }

    /// The end of a lane.
    pub(super) fn end(&self, lane: Lane) -> End {
        self.tip(&Source::Log, lane, &self.extent()).into()
    }

    /// Every event by sequence number, read from the ids: for tests that go around the views.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.by_id.values().map(|e| Event::clone(e)).collect();
        events.sort_by_key(|event| event.sequence_number);
        events
    }

    /// Adds events, all or none.
    pub fn extend(&mut self, events: Vec<Event>) -> Result<(), Taken> {
        self.check(&events)?;
        for event in events {
            let event = Arc::new(event);
            let (lane, _) = self.lanes.split(event.sequence_number);
            if let Some(row) = usize::try_from(lane).ok().and_then(|l| self.by_lane.get_mut(l)) {
                row.push(event.clone());
            }
            let category = self.by_category.entry(event.stream.category.clone()).or_default();
            category.entry(lane).or_default().push(event.clone());
            self.by_stream.entry(event.stream.clone()).or_default().push(event.clone());
            self.by_id.insert(event.id, event);
        }
        Ok(())
    }

    fn check(&self, events: &[Event]) -> Result<(), Taken> {
        let mut extent = self.extent();
        let mut positions: HashMap<&StreamKey, i64> = HashMap::new();
        let mut ids = HashSet::new();
        let taken = |what: &str, event: &Event| {
            let number = event.sequence_number;
            Err(Taken(format!("the {what} of sequence number {number} is taken")))
        };
        for event in events {
            let (lane, n) = self.lanes.split(event.sequence_number);
            match usize::try_from(lane).ok().and_then(|lane| extent.get_mut(lane)) {
                Some(last) if *last + 1 == n => *last = n,
                _ => return taken("sequence number", event),
            }
            let stored = self.by_stream.get(&event.stream).and_then(|row| row.last());
            let stored = stored.map_or(-1, |last| last.position);
            let last = positions.entry(&event.stream).or_insert(stored);
            if *last + 1 != event.position {
                return taken("position", event);
            }
            *last = event.position;
            if self.by_id.contains_key(&event.id) || !ids.insert(event.id) {
                return taken("id", event);
            }
        }
        Ok(())
    }

    fn visible(&self, event: &Event, extent: &[i64]) -> bool {
        let (lane, n) = self.lanes.split(event.sequence_number);
        usize::try_from(lane).ok().and_then(|lane| extent.get(lane)).is_some_and(|last| n <= *last)
    }

    fn row(&self, source: &Source, lane: Lane) -> &[Arc<Event>] {
        let row = match source {
            Source::Log => usize::try_from(lane).ok().and_then(|lane| self.by_lane.get(lane)),
            Source::Category(name) => self.by_category.get(name).and_then(|lanes| lanes.get(&lane)),
            Source::Stream(key) => self.by_stream.get(key),
        };
        row.map_or(&[], Vec::as_slice)
    }

    pub(super) fn rows(&self, span: &Span, extent: &[i64]) -> Vec<Event> {
        let row = self.row(&span.source, span.lane);
        let n = |event: &Arc<Event>| n_of(self.lanes, &span.source, event);
        let from = row.partition_point(|event| n(event) <= span.after);
        let to = row.partition_point(|event| n(event) < span.before && self.visible(event, extent));
        let part = row.get(from..to).unwrap_or_default();
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let mut rows = part.iter();
        while taken.len() < span.limit && bytes < span.bytes {
            let next = match span.direction {
                Direction::Forwards => rows.next(),
                Direction::Backwards => rows.next_back(),
            };
            let Some(event) = next else { break };
            bytes += event.bytes();
            taken.push(Event::clone(event));
        }
        taken
    }

    pub(super) fn tip(&self, source: &Source, lane: Lane, extent: &[i64]) -> Option<Tip> {
        let row = self.row(source, lane);
        let last = row.iter().rev().find(|event| self.visible(event, extent))?;
        Some(Tip {
            n: self.lanes.split(last.sequence_number).1,
            position: last.position,
            id: last.id,
            recorded_at: last.recorded_at,
        })
    }

    pub(super) fn with_ids(&self, ids: &[Uuid], extent: &[i64]) -> Vec<Event> {
        let stored = ids.iter().filter_map(|id| self.by_id.get(id));
        stored.filter(|event| self.visible(event, extent)).map(|e| Event::clone(e)).collect()
    }

    pub(super) fn categories(&self, listing: &Listing, extent: &[i64]) -> Vec<CategoryName> {
        let wanted = self.by_category.iter().filter(|(name, lanes)| {
            let first = lanes.values().filter_map(|row| row.first());
            listing.holds(name.as_str()) && first.into_iter().any(|e| self.visible(e, extent))
        });
        wanted.take(listing.limit).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn streams(
        &self,
        category: &CategoryName,
        listing: &Listing,
        extent: &[i64],
    ) -> Vec<StreamName> {
        let wanted = self.by_stream.iter().filter(|(key, row)| {
            key.category == *category
                && listing.holds(key.stream.as_str())
                && row.first().is_some_and(|event| self.visible(event, extent))
        });
        wanted.take(listing.limit).map(|(key, _)| key.stream.clone()).collect()
    }

    pub(super) fn count(&self, category: &CategoryName, extent: &[i64]) -> i64 {
        let rows = self.by_category.get(category).into_iter().flat_map(BTreeMap::values).flatten();
        let count = rows.filter(|event| self.visible(event, extent)).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}
