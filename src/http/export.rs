//! Export: every event of a source as NDJSON, up to the end it had when the answer began.
//!
//! Two pages are in memory at a time; a slow reader holds no connection to the store between pages. A
//! failure on the way breaks the connection, so that a cut-off export is never taken for a whole.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use futures_util::{StreamExt, stream};
use tokio_util::task::AbortOnDropHandle;

use super::{
    error::{Fault, Problem},
    event_json::write_event,
    events::{after_number, not_empty},
    extract::{InCategory, InLog, InStream, MediaType, Sourced, negotiate},
    gate::{Authorized, Read},
    openapi::{CategoryPath, ExportQuery, LogPath, ReadFailures, StreamPath},
    query::Query,
    state::App,
};
use crate::{
    engine::keyring::Caller,
    model::{Cursor, Event, Filter, Limits, Log, Page, Place, Scan, Source},
    storage::{
        StorageError,
        scan::{self, ScanError},
    },
};

/// What is read at once. Two such pages are in memory: one being sent, one being read.
const PAGE_EVENTS: usize = 8_000;
const PAGE_BYTES: usize = 4 << 20;

/// Export a log
///
/// One event a line (`application/x-ndjson`), as `GET …/events` gives them.
#[utoipa::path(get, path = "/logs/{log}/export", tag = "export", security(("key" = ["read"])), params(LogPath, ExportQuery),
    responses((status = 200, description = "One event a line.", body = String,
               content_type = "application/x-ndjson"), ReadFailures))]
pub(super) async fn export_log(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InLog>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiated(app, by, at, query, &headers).await
}

/// Export a category
///
/// One event a line (`application/x-ndjson`), as `GET …/events` gives them.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/export", tag = "export", security(("key" = ["read"])),
    params(CategoryPath, ExportQuery),
    responses((status = 200, description = "One event a line.", body = String,
               content_type = "application/x-ndjson"), ReadFailures))]
pub(super) async fn export_category(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InCategory>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiated(app, by, at, query, &headers).await
}

/// Export a stream
///
/// One event a line (`application/x-ndjson`), as `GET …/events` gives them.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/export",
    tag = "export", security(("key" = ["read"])), params(StreamPath, ExportQuery),
    responses((status = 200, description = "One event a line.", body = String,
               content_type = "application/x-ndjson"), ReadFailures))]
pub(super) async fn export_stream(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InStream>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiated(app, by, at, query, &headers).await
}

async fn negotiated(
    app: App,
    by: Arc<Caller>,
    at: impl Sourced,
    query: Query,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    negotiate(headers, &[MediaType::Ndjson])?;
    let (log, source) = at.sourced();
    export(app, by, log, source, query).await
}

/// The whole export.
pub(super) async fn export(
    app: App,
    by: Arc<Caller>,
    log: Arc<Log>,
    source: Source,
    mut query: Query,
) -> Result<Response, Problem> {
    let mut ask = query.bounds(&app.limits);
    after_number(&source, &mut ask);
    query.finish()?;
    if ask.before.is_some() {
        let fault = Fault::parameter("before", "an export goes to the end of the source");
        return Err(Problem::invalid(vec![fault]));
    }
    // Whatever is wrong with where it begins is told before the answer begins.
    let mut view = app.storage.events.view(&log).await?;
    let end = scan::high_water(view.as_mut(), &log, &source).await;
    let one = Scan { limit: 1, filter: Filter::default(), ..ask.clone() };
    let first = scan::stretch(view.as_mut(), &log, &source, &one, &app.limits).await;
    view.close().await;
    let (end, _) = (end?, first?);
    if end.is_none() {
        not_empty(&source)?;
    }
    (ask.before, ask.limit) = (end.map(past), PAGE_EVENTS);
    let mut state = Export { app, by, log, source, ask, next: None };
    state.read();
    let lines = stream::unfold(state, |mut export| async {
        let lines = export.lines().await?;
        Some((lines, export))
    });
    // The compression layer polls a body once more after its end.
    let mut response = Response::new(Body::from_stream(lines.fuse()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// The exclusive bound that includes the last event.
fn past(end: Cursor) -> Cursor {
    let next = |place: Place| Place { n: place.n + 1, check: None };
    match end {
        Cursor::Number(place) => Cursor::Number(next(place)),
        Cursor::Vector(places) => Cursor::Vector(places.into_iter().map(next).collect()),
    }
}

struct Export {
    app: App,
    by: Arc<Caller>,
    log: Arc<Log>,
    source: Source,
    ask: Scan,
    /// The page that comes next, being read while the one before it is sent.
    next: Option<AbortOnDropHandle<Result<Page, StorageError>>>,
}

impl Export {
    /// The lines of the next page; nothing at the end.
    async fn lines(&mut self) -> Option<Result<String, StorageError>> {
        let read = self.next.take()?.await;
        if self.by.is_over() {
            // An answer that merely ended would pass for whole.
            return Some(Err(StorageError::Unavailable("the key of an export has ended".into())));
        }
        let mut page = match read.unwrap_or_else(|lost| Err(StorageError::Broken(lost.into()))) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(error = %error, "an export was cut off");
                return Some(Err(error));
            }
        };
        if !page.at_end {
            self.ask.after = page.cursor.take();
            self.ask.after_sequence_number = None;
            self.read();
        }
        // Milliseconds of work, in which this thread goes on with what the next page sends.
        let lines = self.app.tasks.blocking(move || lines(&page.events)).await;
        Some(lines.map_err(|lost| StorageError::Broken(lost.into())))
    }

    /// Begins to read the next page.
    fn read(&mut self) {
        let (storage, tasks) = (self.app.storage.clone(), &self.app.tasks);
        let (log, source, ask) = (self.log.clone(), self.source.clone(), self.ask.clone());
        let limits = Limits { page_bytes: PAGE_BYTES, ..self.app.limits };
        let reading = tasks.spawn(async move {
            let mut view = storage.events.view(&log).await?;
            let page = scan::stretch(view.as_mut(), &log, &source, &ask, &limits).await;
            view.close().await;
            page.map_err(|error| match error {
                ScanError::Storage(error) => error,
                other => StorageError::Broken(other.into()),
            })
        });
        self.next = Some(AbortOnDropHandle::new(reading));
    }
}

fn lines(events: &[Event]) -> String {
    let mut lines = String::with_capacity(events.iter().map(|event| event.bytes() + 1).sum());
    for event in events {
        write_event(&mut lines, event);
        lines.push('\n');
    }
    lines
}
