//! Reading events: pages of a source, its last event, single events.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use uuid::Uuid;

use super::{
    caching::{self, Lifetime},
    error::{Fault, Kind, Problem},
    event_json::{EventOutput, PageOutput, PlaceOutput, write_event, write_page},
    export,
    extract::{InCategory, InLog, InStream, MediaType, Sourced, negotiate},
    gate::{Authorized, Read},
    links,
    openapi::{
        CategoryPath, EventPath, FilterQuery, LogPath, PositionPath, ReadFailures, ScanQuery,
        StreamPath,
    },
    query::Query,
    state::App,
    tail,
};
use crate::{
    engine::keyring::Caller,
    model::{Cursor, Direction, INTEGER_MAX, Log, Page, Place, Scan, Source, StreamKey},
    storage::Span,
};

const JSON: &str = "application/json";

/// Read a log
///
/// A page of the log's events, in sequence order (of a log with many lanes: in order of arrival).
#[utoipa::path(get, path = "/logs/{log}/events", tag = "read", security(("key" = ["read"])), params(LogPath, ScanQuery),
    responses((status = 200, description = "A page.", body = PageOutput), ReadFailures))]
pub(super) async fn read_log(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InLog>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(app, by, at, query, headers).await
}

/// Read a category
///
/// A page of the events of all the category's streams.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/events", tag = "read", security(("key" = ["read"])),
    params(CategoryPath, ScanQuery),
    responses((status = 200, description = "A page.", body = PageOutput), ReadFailures))]
pub(super) async fn read_category(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InCategory>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(app, by, at, query, headers).await
}

/// Read a stream
///
/// A page of the stream's events; `after` and `before` are positions. 404 while the stream is
/// empty, unless the request waits.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/events",
    tag = "read", security(("key" = ["read"])), params(StreamPath, ScanQuery),
    responses((status = 200, description = "A page.", body = PageOutput), ReadFailures))]
pub(super) async fn read_stream(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InStream>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read(app, by, at, query, headers).await
}

async fn read(
    app: App,
    by: Arc<Caller>,
    at: impl Sourced,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (log, source) = at.sourced();
    match negotiate(&headers, &[MediaType::Json, MediaType::Ndjson, MediaType::EventStream])? {
        MediaType::Json | MediaType::Javascript => {}
        MediaType::Ndjson => return export::export(app, by, log, source, query).await,
        MediaType::EventStream => return tail::tail(app, by, log, source, query, &headers).await,
    }
    let (mut ask, wait) = query.scan(&app.limits);
    after_number(&source, &mut ask);
    let filter = std::mem::take(&mut query.filter_pairs);
    query.finish()?;
    let page = app.tails.page(&log, &source, &ask, wait.unwrap_or(Duration::ZERO)).await?;
    if page.high_water.is_none() && wait.is_none() {
        not_empty(&source)?;
    }
    let closed = Lifetime::of_unchanging(&app);
    Ok(Reading { log: &log, source: &source, ask: &ask, filter, closed }.answer(&headers, &page))
}

/// Where numbers are sequence numbers anyway, `after_sequence_number` is `after`.
pub(super) fn after_number(source: &Source, ask: &mut Scan) {
    if let (Source::Log | Source::Category(_), Some(n)) = (source, ask.after_sequence_number) {
        ask.after = Some(Cursor::Number(Place { n, check: None }));
        ask.after_sequence_number = None;
    }
}

/// A stream without events is not there; a log or a category is merely empty.
pub(super) fn not_empty(source: &Source) -> Result<(), Problem> {
    let Source::Stream(StreamKey { category, stream }) = source else { return Ok(()) };
    let detail = format!("Stream `{stream}` of category `{category}` has no events.");
    Err(Problem::new(Kind::StreamNotFound, detail))
}

/// A page that was asked for.
struct Reading<'a> {
    log: &'a Log,
    source: &'a Source,
    ask: &'a Scan,
    filter: Vec<(String, String)>,
    /// How long a page holds that nothing can be added to.
    closed: Lifetime,
}

impl Reading<'_> {
    fn answer(&self, headers: &HeaderMap, page: &Page) -> Response {
        let text = |cursor: &Option<Cursor>| cursor.as_ref().map(Cursor::to_string);
        let place = PlaceOutput {
            next: self.next(page),
            previous: self.previous(page),
            after: text(&page.cursor),
            high_water: text(&page.high_water),
            at_end: page.at_end,
        };
        let after = place.after.as_deref().unwrap_or("");
        let one_number = matches!(page.cursor, Some(Cursor::Number(_)));
        let forwards = self.ask.direction == Direction::Forwards;
        // Whatever is written later, a page that ended before the head stays what it is.
        let (lifetime, tag) = if one_number && forwards && !page.at_end {
            (self.closed, format!("W/\"{after}\""))
        } else {
            let high_water = place.high_water.as_deref().unwrap_or("");
            (Lifetime::Revalidate, format!("W/\"{after}~{high_water}\""))
        };
        let body = write_page(page, &place);
        let mut response = caching::answer(headers, &tag, lifetime, JSON, body);
        let link = links::link_header(place.next.as_deref(), place.previous.as_deref());
        if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }

    fn url(&self, direction: Direction, bounds: [(&str, Option<&Cursor>); 2]) -> String {
        let mut parameters = self.filter.clone();
        let backwards = direction == Direction::Backwards;
        parameters.push(("limit".to_owned(), self.ask.limit.to_string()));
        if backwards {
            parameters.push(("direction".to_owned(), "backwards".to_owned()));
        }
        // Backwards it is the far bound; forwards the cursor has taken its place.
        let far = self.ask.after_sequence_number;
        if let Some(number) = far.filter(|_| direction == self.ask.direction && backwards) {
            parameters.push(("after_sequence_number".to_owned(), number.to_string()));
        }
        for (name, cursor) in bounds {
            parameters.extend(cursor.map(|cursor| (name.to_owned(), cursor.to_string())));
        }
        links::with_query(&format!("{}/events", links::path(self.log, self.source)), parameters)
    }

    fn next(&self, page: &Page) -> Option<String> {
        let cursor = page.cursor.as_ref().filter(|_| !page.at_end)?;
        let bounds = match self.ask.direction {
            Direction::Forwards => [("after", Some(cursor)), ("before", self.ask.before.as_ref())],
            Direction::Backwards => [("after", self.ask.after.as_ref()), ("before", Some(cursor))],
        };
        Some(self.url(self.ask.direction, bounds))
    }

    /// What stands on the other side of where this page began, read the other way. A window has two
    /// bounds, and this link has no room for the far one: there is none then.
    fn previous(&self, page: &Page) -> Option<String> {
        let (after, before) = (self.ask.after.is_some(), self.ask.before.is_some());
        match self.ask.direction {
            Direction::Forwards if before => None,
            Direction::Backwards if after || self.ask.after_sequence_number.is_some() => None,
            Direction::Forwards => {
                let first = page.events.first().map(|event| event.position);
                let skipped = self.ask.after_sequence_number.and(first).filter(|p| *p > 0);
                let skipped = skipped.map(|n| Cursor::Number(Place { n, check: None }));
                let before = self.ask.after.as_ref().and_then(|c| moved(c, 1)).or(skipped)?;
                Some(self.url(Direction::Backwards, [("after", None), ("before", Some(&before))]))
            }
            Direction::Backwards => {
                let after = moved(self.ask.before.as_ref()?, -1)?;
                Some(self.url(Direction::Forwards, [("after", Some(&after)), ("before", None)]))
            }
        }
    }
}

/// A cursor so many events further; nothing where there are no such places.
fn moved(cursor: &Cursor, by: i64) -> Option<Cursor> {
    let place = |place: &Place| {
        let n = place.n.checked_add(by).filter(|n| (0..=INTEGER_MAX).contains(n))?;
        Some(Place { n, check: None })
    };
    match cursor {
        Cursor::Number(number) => place(number).map(Cursor::Number),
        Cursor::Vector(places) => {
            places.iter().map(place).collect::<Option<_>>().map(Cursor::Vector)
        }
    }
}

/// Get the last event of a log
///
/// Of those that pass the filters.
#[utoipa::path(get, path = "/logs/{log}/events/latest", tag = "read", security(("key" = ["read"])),
    params(LogPath, FilterQuery),
    responses((status = 200, description = "The event.", body = EventOutput), ReadFailures))]
pub(super) async fn get_latest_event_of_log(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    latest(app, at, query, headers).await
}

/// Get the last event of a category
///
/// Of those that pass the filters.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/events/latest", tag = "read", security(("key" = ["read"])),
    params(CategoryPath, FilterQuery),
    responses((status = 200, description = "The event.", body = EventOutput), ReadFailures))]
pub(super) async fn get_latest_event_of_category(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InCategory>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    latest(app, at, query, headers).await
}

/// Get the last event of a stream
///
/// Of those that pass the filters.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/events/latest",
    tag = "read", security(("key" = ["read"])), params(StreamPath, FilterQuery),
    responses((status = 200, description = "The event.", body = EventOutput), ReadFailures))]
pub(super) async fn get_latest_event_of_stream(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InStream>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    latest(app, at, query, headers).await
}

async fn latest(
    app: App,
    at: impl Sourced,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (log, source) = at.sourced();
    negotiate(&headers, &[MediaType::Json])?;
    let filter = query.filter();
    query.finish()?;
    let event = app.tails.latest(&log, &source, &filter).await?.ok_or_else(|| {
        let all = not_empty(&source).err().filter(|_| filter.is_empty());
        all.unwrap_or_else(|| Problem::new(Kind::EventNotFound, "No event passes the filters."))
    })?;
    Ok(one_event(&headers, &event, Lifetime::Revalidate))
}

fn one_event(headers: &HeaderMap, event: &crate::model::Event, lifetime: Lifetime) -> Response {
    let mut body = String::with_capacity(event.bytes());
    write_event(&mut body, event);
    let tag = format!("\"{}\"", event.id);
    caching::answer(headers, &tag, lifetime, JSON, body)
}

/// Get an event by its id
///
/// It never changes, so it may be cached for ever.
#[utoipa::path(get, path = "/logs/{log}/events/{event_id}", tag = "read", security(("key" = ["read"])), params(EventPath),
    responses((status = 200, description = "The event.", body = EventOutput), ReadFailures))]
pub(super) async fn get_event(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    query.finish()?;
    let id = Uuid::try_parse(&at.event_id).map_err(|_| {
        Problem::invalid(vec![Fault::parameter("event_id", "expected a UUID, or `latest`")])
    })?;
    let mut view = app.storage.events.view(&at.log).await?;
    let found = view.with_ids(&[id]).await;
    view.close().await;
    let event = found?.pop().ok_or_else(|| {
        Problem::new(Kind::EventNotFound, format!("No event of this log has the id {id}."))
    })?;
    Ok(one_event(&headers, &event, Lifetime::of_unchanging(&app)))
}

/// Get an event by its position in a stream
///
/// It never changes, so it may be cached for ever.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/events/{position}",
    tag = "read", security(("key" = ["read"])), params(PositionPath),
    responses((status = 200, description = "The event.", body = EventOutput), ReadFailures))]
pub(super) async fn get_stream_event(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InStream>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    query.finish()?;
    let position: i64 =
        at.position.parse().ok().filter(|n| (0..=INTEGER_MAX).contains(n)).ok_or_else(|| {
            let detail = "expected a position from 0 to 9007199254740991, or `latest`";
            Problem::invalid(vec![Fault::parameter("position", detail)])
        })?;
    let span = Span {
        lane: at.log.lanes.of_stream(&at.key),
        source: Source::Stream(at.key),
        after: position - 1,
        before: position + 1,
        direction: Direction::Forwards,
        limit: 1,
        bytes: usize::MAX,
    };
    let mut view = app.storage.events.view(&at.log).await?;
    let found = view.rows(&span).await;
    view.close().await;
    let event = found?.pop().ok_or_else(|| {
        Problem::new(
            Kind::EventNotFound,
            format!("The stream has no event at position {position}."),
        )
    })?;
    Ok(one_event(&headers, &event, Lifetime::of_unchanging(&app)))
}
