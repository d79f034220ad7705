//! Writes events as JSON. By hand, because payload and metadata go out as they came in.

use std::fmt::Write;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use crate::model::event_text::write_event;
use crate::model::{
    Ack, Event, Log, Page, WriteAck,
    event_text::{Quoted, write_content, write_stream},
};

/// An event, as it is read.
#[derive(Debug, ToSchema)]
#[schema(as = Event, examples(json!({
    "id": "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71", "name": "profile-created",
    "payload": {"name": "Joe"}, "metadata": null,
    "occurred_at": "2026-11-23T09:00:00.000000Z", "observed_at": "2026-11-23T09:00:00.000000Z",
    "recorded_at": "2026-11-23T09:00:00.120000Z", "category": "profiles", "stream": "joe.bloggs",
    "position": 0, "sequence_number": 1
})))]
#[expect(dead_code, reason = "describes what write_event writes; a test holds the two together")]
pub(super) struct EventOutput {
    /// The event's UUID, in lower case.
    id: String,
    /// What happened.
    name: String,
    /// Any JSON, as it was sent.
    payload: serde_json::Value,
    /// Any JSON, as it was sent; null by default.
    metadata: serde_json::Value,
    /// When it was true (RFC 3339, UTC, microseconds).
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When its source knew it.
    #[schema(format = DateTime)]
    observed_at: String,
    /// When it was stored.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// The category of its stream.
    category: String,
    /// Its stream.
    stream: String,
    /// 0-based number in its stream, without holes.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// Number in its log.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
}

/// A page of events.
#[derive(Debug, ToSchema)]
#[schema(as = EventPage)]
#[expect(dead_code, reason = "describes what write_page writes")]
pub(super) struct PageOutput {
    /// The events, in the direction asked for.
    events: Vec<EventOutput>,
    /// Where the page stands in its source.
    page: PlaceOutput,
}

/// Where a page stands in its source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PagePlace)]
pub(super) struct PlaceOutput {
    /// The next page; null when nothing further existed. Then poll with `after`.
    #[schema(required)]
    pub next: Option<String>,
    /// The page before this one, read the other way; null at the edge of the source, and of a page
    /// with a bound at its far end (`before` forwards, `after` backwards).
    #[schema(required)]
    pub previous: Option<String>,
    /// The cursor past everything examined: the next `after` (read backwards: the next `before`).
    #[schema(required)]
    pub after: Option<String>,
    /// The cursor of the source's last event at that moment.
    #[schema(required)]
    pub high_water: Option<String>,
    /// Nothing further existed in this direction.
    pub at_end: bool,
}

/// What was stored of one event. The members below `recorded_at` are there with
/// `Prefer: return=representation` only.
#[derive(Debug, ToSchema)]
#[schema(as = PublishedEvent)]
#[expect(dead_code, reason = "describes what write_acked writes")]
pub(super) struct PublishedOutput {
    /// The event's UUID.
    id: String,
    /// Its number in its stream.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// Its number in its log.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// When it was stored.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// What happened.
    #[schema(nullable = false)]
    name: Option<String>,
    /// As it was sent.
    #[schema(required = false)]
    payload: serde_json::Value,
    /// As it was sent.
    #[schema(required = false)]
    metadata: serde_json::Value,
    /// When it was true.
    #[schema(nullable = false, format = DateTime)]
    occurred_at: Option<String>,
    /// When its source knew it.
    #[schema(nullable = false, format = DateTime)]
    observed_at: Option<String>,
    /// The category of its stream.
    #[schema(nullable = false)]
    category: Option<String>,
    /// Its stream.
    #[schema(nullable = false)]
    stream: Option<String>,
}

/// The answer to a publish to one stream.
#[derive(Debug, ToSchema)]
#[schema(as = PublishAck)]
#[expect(dead_code, reason = "describes what write_stream_ack writes")]
pub(super) struct StreamAckOutput {
    /// The log.
    log: String,
    /// The category.
    category: String,
    /// The stream.
    stream: String,
    /// The position of the request's last event.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// The sequence number of the request's last event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// Whether an earlier request had stored it all.
    replayed: bool,
    /// The events, in request order.
    events: Vec<PublishedOutput>,
}

/// The answer to a publish to many streams.
#[derive(Debug, ToSchema)]
#[schema(as = WritesAck)]
#[expect(dead_code, reason = "describes what write_writes_ack writes")]
pub(super) struct WritesAckOutput {
    /// The log.
    log: String,
    /// The sequence number of the request's last event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// Whether an earlier request had stored it all.
    replayed: bool,
    /// What was stored in each stream, in request order.
    writes: Vec<WriteAckOutput>,
}

/// What was stored in one stream.
#[derive(Debug, ToSchema)]
#[schema(as = WriteAck)]
#[expect(dead_code, reason = "describes what write_writes_ack writes")]
pub(super) struct WriteAckOutput {
    /// The category.
    category: String,
    /// The stream.
    stream: String,
    /// The position of the last event.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// The events, in request order.
    events: Vec<PublishedOutput>,
}

/// Appends what is formatted; a string takes all there is.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {
        let _ = write!($out, $($what)*);
    };
}

/// A page.
#[must_use]
pub(super) fn write_page(page: &Page, place: &PlaceOutput) -> String {
    let mut out = String::with_capacity(page.events.iter().map(Event::bytes).sum::<usize>() + 512);
    out.push_str("{\"events\":");
    write_list(&mut out, &page.events, write_event);
    out.push_str(",\"page\":");
    out.push_str(&serde_json::to_string(place).unwrap_or_default());
    out.push('}');
    out
}

fn write_list<T>(out: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_acked(out: &mut String, event: &Event, whole: bool) {
    let Event { id, position, sequence_number, recorded_at, .. } = event;
    put!(out, "{{\"id\":\"{id}\",\"position\":{position}");
    put!(out, ",\"sequence_number\":{sequence_number},\"recorded_at\":\"{recorded_at}\"");
    if whole {
        out.push(',');
        write_content(out, event);
        out.push(',');
        write_stream(out, event);
    }
    out.push('}');
}

/// The answer to a publish to one stream; `whole`: with the events' other members.
#[must_use]
pub(super) fn write_stream_ack(log: &Log, ack: &Ack, write: &WriteAck, whole: bool) -> String {
    let mut out = String::with_capacity(256 + 160 * write.events.len());
    put!(out, "{{\"log\":{},", Quoted(log.name.as_str()));
    write_write_ack(&mut out, write);
    let last = ack.last().map_or(0, |event| event.sequence_number);
    put!(out, ",\"sequence_number\":{last},\"replayed\":{},", ack.replayed);
    write_events(&mut out, write, whole);
    out.push('}');
    out
}

/// The answer to a publish to many streams.
#[must_use]
pub(super) fn write_writes_ack(log: &Log, ack: &Ack, whole: bool) -> String {
    let last = ack.last().map_or(0, |event| event.sequence_number);
    let mut out = format!(
        "{{\"log\":{},\"sequence_number\":{last},\"replayed\":{},\"writes\":",
        Quoted(log.name.as_str()),
        ack.replayed
    );
    write_list(&mut out, &ack.writes, |out, write| {
        out.push('{');
        write_write_ack(out, write);
        out.push(',');
        write_events(out, write, whole);
        out.push('}');
    });
    out.push('}');
    out
}

fn write_write_ack(out: &mut String, write: &WriteAck) {
    let position = write.events.last().map_or(0, |event| event.position);
    let stream = &write.stream;
    put!(out, "\"category\":{}", Quoted(stream.category.as_str()));
    put!(out, ",\"stream\":{},\"position\":{position}", Quoted(stream.stream.as_str()));
}

fn write_events(out: &mut String, write: &WriteAck, whole: bool) {
    out.push_str("\"events\":");
    write_list(out, &write.events, |out, event| write_acked(out, event, whole));
}
