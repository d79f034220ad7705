//! Reads a page of a source. The one meaning of a scan: lanes are merged, filters judged, bounds
//! kept and cursors made here, over the spans that a store's view gives.

use std::collections::VecDeque;

use super::{Events, Span, StorageError, Tip, View};
use crate::model::{
    Cursor, Direction, Event, Filter, Lane, Lanes, Limits, Log, Page, Place, Scan, Source,
    event::id_check,
};

/// How a scan fails.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The source spans several lanes: a number is no place in it, only a cursor is.
    #[error("the source needs a cursor")]
    CursorRequired,
    /// The cursor is one of another kind of source.
    #[error("the cursor is of another source")]
    CursorOfAnother,
    /// The event that the cursor points at is not there, or is another.
    #[error("the history that the cursor points at is gone")]
    Diverged { high_water: Option<Cursor> },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Rows that are read at once where few of them may pass.
const FILTERED_ROWS: usize = 1_000;

/// The number that orders an event in its source: a position of a stream, else n of its lane.
#[must_use]
pub fn n_of(lanes: Lanes, source: &Source, event: &Event) -> i64 {
    match source {
        Source::Stream(_) => event.position,
        Source::Log | Source::Category(_) => lanes.split(event.sequence_number).1,
    }
}

/// Reads a page.
pub async fn scan(
    view: &mut dyn View,
    log: &Log,
    source: &Source,
    scan: &Scan,
    limits: &Limits,
) -> Result<Page, ScanError> {
    let mut page = stretch(view, log, source, scan, limits).await?;
    if page.high_water.is_none() {
        page.high_water = high_water(view, log, source).await?;
    }
    Ok(page)
}

/// Reads a page for somebody who does not ask where the source ends: it may have no high water.
pub async fn stretch(
    view: &mut dyn View,
    log: &Log,
    source: &Source,
    scan: &Scan,
    limits: &Limits,
) -> Result<Page, ScanError> {
    let mut reader = Reader::open(view, log, source, scan).await?;
    let mut events = Vec::new();
    let (mut bytes, mut examined) = (0, 0);
    let at_end = loop {
        reader
            .fill(view, scan.limit - events.len(), limits.page_bytes.saturating_sub(bytes))
            .await?;
        let Some((index, next)) = reader.peek() else { break true };
        let full = events.len() == scan.limit || bytes + next.bytes() > limits.page_bytes;
        if (full && !events.is_empty()) || examined == limits.page_examined {
            break false;
        }
        let Some(event) = reader.take(index) else { break true };
        examined += 1;
        if scan.filter.holds(&event) {
            bytes += event.bytes();
            events.push(event);
        }
    };
    reader.certify(view).await?;
    let cursor = reader.cursor();
    let at_head = at_end && scan.direction == Direction::Forwards && scan.before.is_none();
    // Over several lanes the cursor may hold places of the log that are none of the source's.
    let is_last = at_head && examined > 0 && reader.stripes.len() == 1;
    let high_water = cursor.clone().filter(|_| is_last);
    Ok(Page { events, cursor, high_water, at_end })
}

/// The last event of a source that passes the filter. It may have to examine them all, so each page
/// has a view of its own: what is appended meanwhile is later than what is looked at.
pub async fn latest(
    events: &dyn Events,
    log: &Log,
    source: &Source,
    filter: &Filter,
    limits: &Limits,
) -> Result<Option<Event>, StorageError> {
    let mut ask =
        Scan { direction: Direction::Backwards, filter: filter.clone(), ..Scan::first(1) };
    loop {
        let mut view = events.view(log).await?;
        let page = stretch(view.as_mut(), log, source, &ask, limits).await;
        view.close().await;
        let page = page.map_err(|error| match error {
            ScanError::Storage(error) => error,
            other => StorageError::broken(format!("a cursor of ours was refused: {other}")),
        })?;
        match page.events.into_iter().next() {
            Some(event) => return Ok(Some(event)),
            None if page.at_end => return Ok(None),
            None => ask.before = page.cursor,
        }
    }
}

/// The cursor of the last event of a source.
pub async fn high_water(
    view: &mut dyn View,
    log: &Log,
    source: &Source,
) -> Result<Option<Cursor>, StorageError> {
    let mut places = Vec::new();
    let mut any = false;
    for lane in log.lanes.of(source) {
        let tip = view.tip(source, lane).await?;
        any |= tip.is_some();
        let place = |tip: Tip| Place { n: tip_n(source, &tip), check: Some(id_check(tip.id)) };
        places.push(tip.map_or(Place { n: 0, check: None }, place));
    }
    Ok(any.then(|| cursor_of(log.lanes, source, places)))
}

fn tip_n(source: &Source, tip: &Tip) -> i64 {
    if let Source::Stream(_) = source { tip.position } else { tip.n }
}

/// The last position of a stream whose event has at most this n in its lane; −1 if none has.
pub async fn position_at<V: View + ?Sized>(
    view: &mut V,
    lanes: Lanes,
    stream: &Source,
    lane: Lane,
    n: i64,
) -> Result<i64, StorageError> {
    let Some(tip) = view.tip(stream, lane).await? else { return Ok(-1) };
    if tip.n <= n {
        return Ok(tip.position);
    }
    // Positions and n rise together: search between what is at most n and what is above it.
    let (mut low, mut high) = (-1, tip.position);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let Some(event) = event_at(view, stream, lane, middle).await? else {
            return Err(StorageError::broken(format!("no event at position {middle}")));
        };
        if lanes.split(event.sequence_number).1 > n { high = middle } else { low = middle }
    }
    Ok(low)
}

/// Puts places into the form of the source's cursors. A single place is of a lane or a position.
#[must_use]
pub fn cursor_of(lanes: Lanes, source: &Source, places: Vec<Place>) -> Cursor {
    match (source, lanes.single(source), places.as_slice()) {
        (Source::Stream(_), _, [place]) => Cursor::Number(*place),
        (_, Some(lane), [place]) => {
            Cursor::Number(Place { n: lanes.number(lane, place.n), check: place.check })
        }
        _ => Cursor::Vector(places),
    }
}

/// One lane of a source, being read.
struct Stripe {
    lane: Lane,
    /// Exclusive bounds of what is still to be fetched.
    after: i64,
    before: i64,
    /// The last event taken, or where the scan began.
    place: Option<Place>,
    buffer: VecDeque<Event>,
    exhausted: bool,
}

/// All lanes of a source, merged.
struct Reader<'a> {
    lanes: Lanes,
    source: &'a Source,
    direction: Direction,
    stripes: Vec<Stripe>,
    /// Most of what is fetched may not be wanted.
    filtered: bool,
}

impl<'a> Reader<'a> {
    async fn open(
        view: &mut dyn View,
        log: &Log,
        source: &'a Source,
        scan: &Scan,
    ) -> Result<Self, ScanError> {
        let lanes = log.lanes;
        let ids = lanes.of(source);
        let first = if matches!(source, Source::Stream(_)) { -1 } else { 0 };
        let after = places(lanes, source, scan.after.as_ref(), Lanes::at_most)?;
        let before = places(lanes, source, scan.before.as_ref(), Lanes::at_least)?;
        let mut stripes = Vec::with_capacity(ids.len());
        for (index, lane) in ids.into_iter().enumerate() {
            let (after, before) = (after.get(index).copied(), before.get(index).copied());
            for place in after.iter().chain(&before) {
                verify(view, log, source, lane, *place).await?;
            }
            let place = if scan.direction == Direction::Forwards { after } else { before };
            stripes.push(Stripe {
                lane,
                after: after.map_or(first, |place| place.n),
                before: before.map_or(i64::MAX, |place| place.n),
                place,
                buffer: VecDeque::new(),
                exhausted: false,
            });
        }
        if let Some(number) = scan.after_sequence_number {
            let [stripe] = stripes.as_mut_slice() else { return Err(ScanError::CursorRequired) };
            let n = lanes.at_most(stripe.lane, number);
            stripe.after = match source {
                Source::Stream(_) => position_at(view, lanes, source, stripe.lane, n).await?,
                _ => n,
            };
            // A stream that ends before the number has no place for it yet.
            let tip = view.tip(source, stripe.lane).await?;
            let known = tip.is_some_and(|tip| tip.n >= n);
            if scan.direction == Direction::Forwards && stripe.after > first && known {
                stripe.place = Some(Place { n: stripe.after, check: None });
            }
        }
        Ok(Self {
            lanes,
            source,
            direction: scan.direction,
            stripes,
            filtered: !scan.filter.is_empty(),
        })
    }

    /// Makes sure that the next event of every lane is at hand.
    async fn fill(
        &mut self,
        view: &mut dyn View,
        events_left: usize,
        bytes_left: usize,
    ) -> Result<(), StorageError> {
        for index in 0..self.stripes.len() {
            // One row more than is wanted tells whether there is more.
            let share = events_left / self.stripes.len() + 1;
            let limit = if self.filtered { FILTERED_ROWS } else { share };
            let bytes = bytes_left / self.stripes.len() + 1;
            let Some(stripe) = self.stripes.get_mut(index) else { break };
            if !stripe.buffer.is_empty() || stripe.exhausted {
                continue;
            }
            let span = Span {
                source: self.source.clone(),
                lane: stripe.lane,
                after: stripe.after,
                before: stripe.before,
                direction: self.direction,
                limit,
                bytes,
            };
            let rows = view.rows(&span).await?;
            stripe.exhausted = span.is_exhausted_by(&rows);
            if let Some(last) = rows.last() {
                let n = n_of(self.lanes, self.source, last);
                match self.direction {
                    Direction::Forwards => stripe.after = n,
                    Direction::Backwards => stripe.before = n,
                }
            }
            stripe.buffer = rows.into();
        }
        Ok(())
    }

    /// The next event of all lanes, by arrival. Within a lane `recorded_at` never decreases.
    fn peek(&self) -> Option<(usize, &Event)> {
        let heads = self.stripes.iter().enumerate();
        let heads = heads.filter_map(|(index, s)| s.buffer.front().map(|event| (index, event)));
        match self.direction {
            Direction::Forwards => heads.min_by_key(|(index, event)| (event.recorded_at, *index)),
            Direction::Backwards => heads.max_by_key(|(index, event)| (event.recorded_at, *index)),
        }
    }

    fn take(&mut self, index: usize) -> Option<Event> {
        let stripe = self.stripes.get_mut(index)?;
        let event = stripe.buffer.pop_front()?;
        let n = n_of(self.lanes, self.source, &event);
        stripe.place = Some(Place { n, check: Some(event.check()) });
        Some(event)
    }

    /// Gives the places that came as bare numbers the check of their event.
    async fn certify(&mut self, view: &mut dyn View) -> Result<(), StorageError> {
        for stripe in &mut self.stripes {
            if let Some(place @ Place { check: None, .. }) = &mut stripe.place {
                let event = event_at(view, self.source, stripe.lane, place.n).await?;
                place.check = event.map(|event| event.check());
            }
        }
        Ok(())
    }

    /// Past everything taken.
    fn cursor(&self) -> Option<Cursor> {
        if self.stripes.iter().all(|stripe| stripe.place.is_none()) {
            return None;
        }
        // Of a lane not read yet nothing is passed; backwards, what comes after its end stays out.
        let unread = |stripe: &Stripe| match self.direction {
            Direction::Forwards => 0,
            Direction::Backwards => {
                let next = stripe.buffer.front();
                next.map_or(stripe.after, |event| n_of(self.lanes, self.source, event)) + 1
            }
        };
        let place = |stripe: &Stripe| {
            stripe.place.unwrap_or_else(|| Place { n: unread(stripe), check: None })
        };
        Some(cursor_of(self.lanes, self.source, self.stripes.iter().map(place).collect()))
    }
}

/// A cursor of ours as one place for each lane of the source; none of another's.
#[must_use]
pub fn places_of(log: &Log, source: &Source, cursor: &Cursor) -> Vec<Place> {
    places(log.lanes, source, Some(cursor), Lanes::at_most).unwrap_or_default()
}

/// A cursor as one place for each lane of the source; none without a cursor.
fn places(
    lanes: Lanes,
    source: &Source,
    cursor: Option<&Cursor>,
    in_lane: fn(Lanes, Lane, i64) -> i64,
) -> Result<Vec<Place>, ScanError> {
    match (cursor, lanes.single(source)) {
        (None, _) => Ok(Vec::new()),
        (Some(Cursor::Number(place)), Some(lane)) => Ok(vec![match source {
            Source::Stream(_) => *place,
            _ => Place { n: in_lane(lanes, lane, place.n), check: place.check },
        }]),
        (Some(Cursor::Number(_)), None) => Err(ScanError::CursorRequired),
        (Some(Cursor::Vector(places)), None) if places.len() == lanes.of(source).len() => {
            Ok(places.clone())
        }
        (Some(Cursor::Vector(_)), _) => Err(ScanError::CursorOfAnother),
    }
}

/// Holds a place against the event that it points at.
async fn verify(
    view: &mut dyn View,
    log: &Log,
    source: &Source,
    lane: Lane,
    place: Place,
) -> Result<(), ScanError> {
    let Some(check) = place.check else { return Ok(()) };
    if event_at(view, source, lane, place.n).await?.is_some_and(|event| event.check() == check) {
        return Ok(());
    }
    Err(ScanError::Diverged { high_water: high_water(view, log, source).await? })
}

/// The event that a place of the source points at. A place of a category may be an event of another:
/// it is a place in the lane.
async fn event_at<V: View + ?Sized>(
    view: &mut V,
    source: &Source,
    lane: Lane,
    n: i64,
) -> Result<Option<Event>, StorageError> {
    let scope = if let Source::Stream(_) = source { source } else { &Source::Log };
    let span = Span {
        source: scope.clone(),
        lane,
        after: n - 1,
        before: n.saturating_add(1),
        direction: Direction::Forwards,
        limit: 1,
        bytes: usize::MAX,
    };
    Ok(view.rows(&span).await?.pop())
}
