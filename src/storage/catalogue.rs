//! What a log holds: its categories, its streams, its end. Written once, over the view of a store.

use super::{Listing, Span, StorageError, View};
use crate::model::{CategoryName, Direction, Lane, Log, Source, StreamKey, Timestamp};

/// A stream that has an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    pub key: StreamKey,
    pub position: i64,
    pub extent: Extent,
}

/// A category that has an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryEntry {
    pub category: CategoryName,
    pub extent: Extent,
    pub events: Option<i64>,
}

/// The ends of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub first_recorded_at: Timestamp,
    pub last_recorded_at: Timestamp,
    pub last_sequence_number: i64,
}

/// The ends of a source, over all its lanes; nothing if it is empty.
pub async fn extent(
    view: &mut dyn View,
    log: &Log,
    source: &Source,
) -> Result<Option<Extent>, StorageError> {
    let mut whole: Option<Extent> = None;
    for lane in log.lanes.of(source) {
        let Some(tip) = view.tip(source, lane).await? else { continue };
        let first = first_recorded_at(view, source, lane).await?;
        let last = (tip.recorded_at, log.lanes.number(lane, tip.n));
        let before = whole.map_or(last, |w| (w.last_recorded_at, w.last_sequence_number));
        let (last_recorded_at, last_sequence_number) = last.max(before);
        whole = Some(Extent {
            first_recorded_at: whole.map_or(first, |w| w.first_recorded_at.min(first)),
            last_recorded_at,
            last_sequence_number,
        });
    }
    Ok(whole)
}

async fn first_recorded_at(
    view: &mut dyn View,
    source: &Source,
    lane: Lane,
) -> Result<Timestamp, StorageError> {
    let span = Span {
        source: source.clone(),
        lane,
        after: -1,
        before: i64::MAX,
        direction: Direction::Forwards,
        limit: 1,
        bytes: usize::MAX,
    };
    let first = view.rows(&span).await?.pop();
    first
        .map(|e| e.recorded_at)
        .ok_or_else(|| StorageError::broken("a source without a first event"))
}

/// The sequence number of the last event of the log; 0 while it is empty.
pub async fn last_sequence_number(view: &mut dyn View, log: &Log) -> Result<i64, StorageError> {
    let mut last = (Timestamp::MIN, 0);
    for lane in log.lanes.of(&Source::Log) {
        if let Some(tip) = view.tip(&Source::Log, lane).await? {
            last = last.max((tip.recorded_at, log.lanes.number(lane, tip.n)));
        }
    }
    Ok(last.1)
}

/// One stream, if it has an event.
pub async fn stream(
    view: &mut dyn View,
    log: &Log,
    key: &StreamKey,
) -> Result<Option<StreamEntry>, StorageError> {
    let positions = view.positions(std::slice::from_ref(key)).await?;
    let Some(&(_, position)) = positions.first() else { return Ok(None) };
    let extent = extent(view, log, &Source::Stream(key.clone())).await?;
    Ok(extent.map(|extent| StreamEntry { key: key.clone(), position, extent }))
}

/// One category, if it has an event.
pub async fn category(
    view: &mut dyn View,
    log: &Log,
    name: &CategoryName,
    count: bool,
) -> Result<Option<CategoryEntry>, StorageError> {
    let Some(extent) = extent(view, log, &Source::Category(name.clone())).await? else {
        return Ok(None);
    };
    let events = if count { Some(view.count(name).await?) } else { None };
    Ok(Some(CategoryEntry { category: name.clone(), extent, events }))
}

/// A page of the log's categories, and whether there are more.
pub async fn categories(
    view: &mut dyn View,
    log: &Log,
    listing: &Listing,
    count: bool,
) -> Result<(Vec<CategoryEntry>, bool), StorageError> {
    let names = view.categories(&one_more(listing)).await?;
    let mut entries = Vec::new();
    for name in names.iter().take(listing.limit) {
        entries.extend(category(view, log, name, count).await?);
    }
    Ok((entries, names.len() > listing.limit))
}

/// A page of a category's streams, and whether there are more.
pub async fn streams(
    view: &mut dyn View,
    log: &Log,
    category: &CategoryName,
    listing: &Listing,
) -> Result<(Vec<StreamEntry>, bool), StorageError> {
    let names = view.streams(category, &one_more(listing)).await?;
    let mut entries = Vec::new();
    for name in names.iter().take(listing.limit) {
        let key = StreamKey { category: category.clone(), stream: name.clone() };
        entries.extend(stream(view, log, &key).await?);
    }
    Ok((entries, names.len() > listing.limit))
}

fn one_more(listing: &Listing) -> Listing {
    Listing { limit: listing.limit + 1, ..listing.clone() }
}
