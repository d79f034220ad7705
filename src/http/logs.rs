//! Logs: created explicitly, listed, read.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{JsonBody, only_objects},
    catalogue::{ListingPage, listing_page},
    error::{Fault, Problem},
    extract::{InLog, MediaType, NamedLog, negotiate},
    gate::{Admin, AllLogs, Authorized, Read},
    openapi::{ListingQuery, LogPath, ReadFailures},
    query::Query,
    state::App,
};
use crate::{
    engine::ids,
    model::{
        Lanes, Log, LogName, LogSettings, Ordering,
        limits::{LANES_DEFAULT, LANES_MAX},
    },
    storage::{Storage, StorageError, catalogue::last_sequence_number},
};

/// What a log is to be. What is left out stays as it is, or is the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = LogInput, examples(json!({"ordering": "log"})))]
pub(super) struct LogInput {
    /// What is in one order: `log` (all of it, the default), `category` or `stream`.
    #[schema(nullable = false, pattern = "^(log|category|stream)$", example = "log")]
    ordering: Option<String>,
    /// How many lanes a category- or stream-ordered log has; 8 by default.
    #[schema(nullable = false, minimum = 1, maximum = 64)]
    lanes: Option<i64>,
    /// Whether each publish must state a condition; may change. By default it need not.
    #[schema(nullable = false)]
    require_condition: Option<bool>,
}

only_objects!(LogInput);

/// A log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Log)]
pub(super) struct LogOutput {
    /// Its name.
    log: String,
    /// What is in one order: `log`, `category` or `stream`.
    ordering: String,
    /// How many lanes it has.
    #[schema(minimum = 1, maximum = 64)]
    lanes: i64,
    /// Whether each publish must state a condition.
    require_condition: bool,
    /// The sequence number of its last event; 0 while it is empty.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    last_sequence_number: i64,
    /// Tells it from an earlier log of the same name.
    incarnation: String,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A page of logs, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogList)]
pub(super) struct LogsOutput {
    /// The logs.
    logs: Vec<LogOutput>,
    /// Where the list goes on.
    page: ListingPage,
}

async fn output(storage: &Storage, log: &Log) -> Result<LogOutput, StorageError> {
    let mut view = storage.events.view(log).await?;
    let last = last_sequence_number(view.as_mut(), log).await;
    view.close().await;
    Ok(LogOutput {
        log: log.name.to_string(),
        ordering: log.lanes.ordering.as_str().to_owned(),
        lanes: log.lanes.count,
        require_condition: log.require_condition,
        last_sequence_number: last?,
        incarnation: log.incarnation.to_string(),
        created_at: log.created_at.to_string(),
    })
}

/// List logs
///
/// By name, in byte order.
#[utoipa::path(get, path = "/logs", tag = "logs", security(("key" = ["read"])), params(ListingQuery),
    responses((status = 200, description = "The logs.", body = LogsOutput), ReadFailures))]
pub(super) async fn list_logs(
    State(app): State<App>,
    _: Authorized<Read, AllLogs>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let listing = query.listing();
    query.finish()?;
    let one_more = crate::storage::Listing { limit: listing.limit + 1, ..listing.clone() };
    let mut found = app.storage.logs.logs(&one_more).await?;
    let more = found.len() > listing.limit;
    found.truncate(listing.limit);
    let mut logs = Vec::with_capacity(found.len());
    for log in &found {
        logs.push(output(&app.storage, log).await?);
    }
    let last = found.last().filter(|_| more).map(|log| log.name.as_str());
    let page = listing_page("/v1/logs", &listing, last, &query);
    Ok(json_answer(&LogsOutput { logs, page }))
}

/// A JSON answer.
pub(super) fn json_answer<T: Serialize>(value: &T) -> Response {
    let body = serde_json::to_string(value).unwrap_or_default();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, body).into_response()
}

/// Get a log
///
/// Its settings and its end.
#[utoipa::path(get, path = "/logs/{log}", tag = "logs", security(("key" = ["read"])), params(LogPath),
    responses((status = 200, description = "The log.", body = LogOutput), ReadFailures))]
pub(super) async fn get_log(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    let output = output(&app.storage, &at.log).await?;
    // What `If-Match` on its events compares. No 304 by it: the settings may change, and it does not.
    let tag = format!("\"{}\"", output.last_sequence_number);
    let mut response = json_answer(&output);
    response.headers_mut().extend(tag.parse().ok().map(|tag| (header::ETAG, tag)));
    Ok(response)
}

/// Create or change a log
///
/// `ordering` and `lanes` are chosen when it is created and never change; `require_condition` may.
#[utoipa::path(put, path = "/logs/{log}", tag = "logs", security(("key" = ["admin"])), params(LogPath),
    request_body = LogInput,
    responses((status = 201, description = "Created.", body = LogOutput),
              (status = 200, description = "It existed.", body = LogOutput), ReadFailures))]
pub(super) async fn put_log(
    State(app): State<App>,
    Authorized { at: NamedLog(name), .. }: Authorized<Admin, NamedLog>,
    mut query: Query,
    request: Request,
) -> Result<Response, Problem> {
    negotiate(request.headers(), &[MediaType::Json])?;
    query.finish()?;
    let input = read_input(&app, request).await?;
    let lanes = lanes(&app, &name, &input).await?;
    let settings =
        LogSettings { name: name.clone(), lanes, require_condition: input.require_condition };
    let (log, is_new) = create(&app, settings).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, json_answer(&output(&app.storage, &log).await?)).into_response())
}

/// Creates the log if it is not there.
pub async fn create(app: &App, settings: LogSettings) -> Result<(Arc<Log>, bool), Problem> {
    let fresh = Log {
        id: 0,
        name: settings.name.clone(),
        lanes: settings.lanes.unwrap_or(Lanes { ordering: Ordering::Log, count: 1 }),
        require_condition: settings.require_condition.unwrap_or(false),
        incarnation: ids::mint(),
        created_at: app.clock.now(),
    };
    Ok(app.logs.put(settings, fresh).await?)
}

/// A PUT without a body asks for the defaults.
async fn read_input(app: &App, request: Request) -> Result<LogInput, Problem> {
    use axum::body::HttpBody;
    if request.body().is_end_stream() {
        return Ok(LogInput::default());
    }
    JsonBody::from_request(request, app).await?.parse(0)
}

async fn lanes(app: &App, name: &LogName, input: &LogInput) -> Result<Option<Lanes>, Problem> {
    let refuse = |pointer, detail: String| Problem::invalid(vec![Fault::at(pointer, detail)]);
    let ordering = input.ordering.as_deref().map(str::parse::<Ordering>).transpose();
    let ordering = ordering
        .map_err(|()| refuse("/ordering", "expected log, category or stream".to_owned()))?;
    if input.lanes.is_some_and(|lanes| !(1..=LANES_MAX).contains(&lanes)) {
        return Err(refuse("/lanes", format!("expected 1 to {LANES_MAX}")));
    }
    let existing = app.storage.logs.log(name).await?;
    let ordering = match (&existing, input.lanes) {
        (Some(log), Some(_)) => ordering.or(Some(log.lanes.ordering)),
        _ => ordering,
    };
    match (ordering, input.lanes) {
        (None, None) => Ok(None),
        (None | Some(Ordering::Log), Some(lanes)) if lanes != 1 => {
            Err(refuse("/lanes", "only category- and stream-ordered logs have lanes".to_owned()))
        }
        (None | Some(Ordering::Log), _) => Ok(Some(Lanes { ordering: Ordering::Log, count: 1 })),
        (Some(ordering), Some(count)) => Ok(Some(Lanes { ordering, count })),
        (Some(ordering), None) => {
            let same = existing.map(|log| log.lanes).filter(|lanes| lanes.ordering == ordering);
            Ok(Some(same.unwrap_or(Lanes { ordering, count: LANES_DEFAULT })))
        }
    }
}
