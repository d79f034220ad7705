//! Tails: a source followed over server-sent events (WHATWG HTML, server-sent events).
//!
//! Frames: `retry:`; `start`; one for each event, without a name, its cursor as the id; `caught-up`
//! once; `ping` while nothing else happens; `bye` when the service stops or its caller's key ends; `error` with a problem.

use std::{convert::Infallible, str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    error::{Fault, Problem},
    event_json::EventOutput,
    event_json::write_event,
    extract::{InCategory, InLog, InStream, MediaType, Sourced, negotiate},
    gate::{Authorized, Follow, TICKET},
    meter::at_once,
    openapi::{CategoryPath, LogPath, ReadFailures, StreamPath, TailQuery},
    query::Query,
    state::App,
};
use crate::{
    engine::{
        hub::SharedEvent,
        ids,
        keyring::Caller,
        tail::{From, Step, Tail},
    },
    model::{Cursor, Event, Log, Place, Source},
    storage::scan::ScanError,
};

/// How often something is sent, so that a dead socket shows and a filtered tail's place moves on.
pub(super) const PING: Duration = Duration::from_secs(15);
/// When a client whose connection ended comes back: spread out, in milliseconds.
const RETRY_MS: std::ops::Range<u64> = 1_000..5_000;

/// Tail a log
///
/// The log's events from a place on, and then each as soon as it is stored (`text/event-stream`).
#[utoipa::path(get, path = "/logs/{log}/tail", tag = "tail", security(("key" = ["read"]), ("ticket" = [])), params(LogPath, TailQuery),
    responses((status = 200, description = "A frame for each event.", body = EventOutput,
               content_type = "text/event-stream"), ReadFailures))]
pub(super) async fn tail_log(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Follow, InLog>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiated(app, by, at, query, &headers).await
}

/// Tail a category
///
/// The category's events from a place on, and then each as soon as it is stored
/// (`text/event-stream`).
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/tail", tag = "tail", security(("key" = ["read"]), ("ticket" = [])),
    params(CategoryPath, TailQuery),
    responses((status = 200, description = "A frame for each event.", body = EventOutput,
               content_type = "text/event-stream"), ReadFailures))]
pub(super) async fn tail_category(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Follow, InCategory>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiated(app, by, at, query, &headers).await
}

/// Tail a stream
///
/// The stream's events from a position on, and then each as soon as it is stored
/// (`text/event-stream`). A stream without events is waited for.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/tail",
    tag = "tail", security(("key" = ["read"]), ("ticket" = [])), params(StreamPath, TailQuery),
    responses((status = 200, description = "A frame for each event.", body = EventOutput,
               content_type = "text/event-stream"), ReadFailures))]
pub(super) async fn tail_stream(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Follow, InStream>,
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
    negotiate(headers, &[MediaType::EventStream])?;
    let (log, source) = at.sourced();
    tail(app, by, log, source, query, headers).await
}

/// The whole tail.
pub(super) async fn tail(
    app: App,
    by: Arc<Caller>,
    log: Arc<Log>,
    source: Source,
    mut query: Query,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    query.one(TICKET);
    let (mut from, filter) = query.tail(&app.limits);
    query.finish()?;
    if let Some(cursor) = last_event_id(headers)? {
        from = From::After(cursor);
    }
    let positions = matches!(source, Source::Stream(_));
    let tail = app.tails.follow(&log, source, from, filter).await?;
    let frames = Frames {
        app: app.clone(),
        tail,
        positions,
        stage: Stage::Start,
        quiet_since: Instant::now(),
    };
    streamed(
        &app,
        by,
        stream::unfold(frames, |mut frames| async move {
            let frame = frames.next().await?;
            Some((frame, frames))
        }),
    )
}

/// An answer of frames, for as long as its caller is let in.
pub(super) fn streamed(
    app: &App,
    by: Arc<Caller>,
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Response, Problem> {
    let seat = (at_once(by.meter.tail())?, app.metrics.tail());
    let watched = by.clone();
    let frames = frames.take_until(async move { watched.ended().await });
    let last = stream::iter([by]).filter_map(async |by| by.is_over().then(|| bye("key-ended")));
    let frames = frames.chain(last).map(move |frames| {
        let _held = &seat;
        Ok::<_, Infallible>(frames)
    });
    let mut response = Response::new(Body::from_stream(frames));
    let stream = HeaderValue::from_static("text/event-stream");
    let never = HeaderValue::from_static("no-store, no-transform");
    response.headers_mut().insert(header::CONTENT_TYPE, stream);
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    // A proxy in between (nginx) must not hold frames back.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a client that comes back had been.
pub(super) fn last_event_id<T: FromStr>(headers: &HeaderMap) -> Result<Option<T>, Problem> {
    let name = HeaderName::from_static("last-event-id");
    let Some(value) = headers.get(&name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let cursor = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let unreadable = || Problem::malformed(Fault::header(&name, "expected the id of a frame"));
    cursor.map(Some).ok_or_else(unreadable)
}

/// What a tail's client was sent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Start,
    CatchingUp,
    Live,
    Over,
}

/// The frames of one tail.
struct Frames {
    app: App,
    tail: Tail,
    /// Whether the source's cursors are positions.
    positions: bool,
    stage: Stage,
    quiet_since: Instant,
}

impl Frames {
    /// The next frames; nothing after the last.
    async fn next(&mut self) -> Option<Bytes> {
        let frames = match self.stage {
            Stage::Over => return None,
            Stage::Start => {
                self.stage = Stage::CatchingUp;
                self.start()
            }
            Stage::CatchingUp | Stage::Live => self.advance().await,
        };
        self.quiet_since = Instant::now();
        Some(frames)
    }

    /// Goes on until there is something to send.
    async fn advance(&mut self) -> Bytes {
        loop {
            if self.app.tasks.stopping() {
                self.stage = Stage::Over;
                return bye("shutting-down");
            }
            if self.quiet_since.elapsed() >= PING {
                return self.ping();
            }
            if self.stage == Stage::CatchingUp && self.tail.is_live() {
                self.stage = Stage::Live;
                let data = json!({ "after": self.cursor() }).to_string();
                return frame("caught-up", self.cursor().as_deref(), &data);
            }
            match self.tail.step().await {
                Ok(Step::Events(events)) if events.is_empty() => {}
                Ok(Step::Events(events)) => return self.events(&events),
                Ok(Step::Idle) => self.wait().await,
                Err(error) => return self.error(error),
            }
        }
    }

    async fn wait(&mut self) {
        let ping = sleep_until(self.quiet_since + PING);
        let tasks = self.app.tasks.clone();
        tokio::select! {
            () = self.tail.woken() => {}
            () = ping => {}
            () = tasks.stopped() => {}
        }
    }

    fn cursor(&self) -> Option<String> {
        self.tail.cursor().map(|cursor| cursor.to_string())
    }

    fn start(&self) -> Bytes {
        let high_water = self.tail.high_water.as_ref().map(Cursor::to_string);
        let data = json!({ "after": self.cursor(), "high_water": high_water });
        start(&data)
    }

    fn ping(&self) -> Bytes {
        let data = json!({ "after": self.cursor(), "lag": self.tail.lag() });
        frame("ping", self.cursor().as_deref(), &data.to_string())
    }

    fn error(&mut self, error: ScanError) -> Bytes {
        self.stage = Stage::Over;
        failed(&error.into())
    }

    fn events(&self, events: &[(SharedEvent, Option<Cursor>)]) -> Bytes {
        if let (Stage::Live, Some((last, _))) = (self.stage, events.last()) {
            let lag = self.app.clock.now().since(last.event.recorded_at);
            self.app.metrics.tail_lag.observe(lag.as_secs_f64());
        }
        let mut frames = Vec::with_capacity(events.iter().map(|(e, _)| e.event.bytes()).sum());
        for (shared, cursor) in events {
            match cursor {
                None => {
                    let encode = |event: &Event| event_frame(event, &self.own(event));
                    frames.extend_from_slice(shared.encoded(self.positions, encode));
                }
                Some(cursor) => frames.extend(event_frame(&shared.event, cursor)),
            }
        }
        frames.into()
    }

    /// The cursor that an event is by itself.
    fn own(&self, event: &Event) -> Cursor {
        let n = if self.positions { event.position } else { event.sequence_number };
        Cursor::Number(Place { n, check: Some(event.check()) })
    }
}

fn event_frame(event: &Event, cursor: &Cursor) -> Vec<u8> {
    let mut frame = format!("id: {cursor}\ndata: ");
    write_event(&mut frame, event);
    frame.push_str("\n\n");
    frame.into_bytes()
}

/// The first frames.
pub(super) fn start(data: &Value) -> Bytes {
    // The second half of a UUIDv7 is random.
    let (_, random) = ids::mint().as_u64_pair();
    let retry = RETRY_MS.start + random % (RETRY_MS.end - RETRY_MS.start);
    let mut frames = format!("retry: {retry}\n\n").into_bytes();
    frames.extend(frame("start", None, &data.to_string()));
    frames.into()
}

/// The last frame of a tail that cannot go on.
pub(super) fn failed(problem: &Problem) -> Bytes {
    let id = ids::mint().to_string();
    if let Some(cause) = &problem.cause {
        tracing::warn!(id, cause = %cause, "a tail was ended");
    }
    frame("error", None, &String::from_utf8_lossy(&problem.json(&id)))
}

/// The last frame of a tail that comes to its end.
pub(super) fn bye(reason: &str) -> Bytes {
    frame("bye", None, &json!({ "reason": reason }).to_string())
}

pub(super) fn frame(name: &str, id: Option<&str>, data: &str) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("event: {name}\n{id}data: {data}\n\n").into()
}
