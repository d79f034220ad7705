//! Queries of projections: the language of `query`, over HTTP.

use std::sync::Arc;

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tracing::Instrument;
use utoipa::ToSchema;

use super::{
    body::JsonBody,
    caching::{self, Lifetime},
    error::{Fault, Kind, Problem},
    extract::{InLog, InProjection, MediaType, negotiate},
    gate::{Authorized, Read},
    logs::json_answer,
    meter::at_once,
    openapi::{EntriesQuery, LogPath, ProjectionPath, ReachedQuery, ReadFailures},
    projection_json::{EntriesOutput, EntryPlace, QueryPlan, write_page},
    projections::written,
    query::Query as Parameters,
    query_input::{CountInput, QueryInput},
    reached::{placed, reached},
    state::App,
};
use crate::{
    engine::traced,
    model::{
        CategoryName, Json, Limits, Log, NameFault, Projection, ProjectionName, Source, StreamKey,
        limits::{JSON_DEPTH_MAX, QUERY_BYTES_MAX},
    },
    query::{self, Paging, Query, cursor::Scope, pick::Window, select::selected},
    storage::find::{Answer, Reach, find},
};

/// How many entries match.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EntryCount)]
pub(super) struct CountOutput {
    /// The number.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    count: u64,
}

/// What is asked, and of what.
struct Search<'a> {
    app: &'a App,
    log: Arc<Log>,
    name: Option<ProjectionName>,
}

impl Search<'_> {
    /// The page of a query.
    async fn page(&self, query: &Query) -> Result<String, Problem> {
        let window = self.window(query)?;
        let (last, first) = window.turned();
        let Answer { found, index, plan, examined } = self.find(query, window).await?;
        let plan = query.explain.then_some(QueryPlan { index, plan, examined });
        let scope = self.scope(query);
        // From an empty page the way back is that of the cursor that led to it.
        let last = found.picked.last().map(|picked| picked.key.clone()).or(last);
        let first = found.picked.first().map(|picked| picked.key.clone()).or(first);
        let cursor = |key: Option<Vec<u8>>| key.map(|key| scope.cursor(&key));
        let place = EntryPlace {
            next: cursor(last.filter(|_| found.has_next)),
            previous: cursor(first.filter(|_| found.has_previous)),
            has_next: found.has_next,
            has_previous: found.has_previous,
        };
        let count = query.count.then_some(found.count);
        let entries: Vec<(Projection, Option<f64>)> = found
            .picked
            .into_iter()
            .map(|picked| (selected(picked.document, &query.select), picked.score))
            .collect();
        let entries = entries.iter().map(|(entry, score)| (entry, *score));
        Ok(write_page(entries, &place, count, plan.as_ref()))
    }

    async fn count(&self, query: &Query) -> Result<Response, Problem> {
        let query = Query { count: true, ..query.clone() };
        let found = self.find(&query, Window::After { key: None, limit: 0 }).await?;
        Ok(json_answer(&CountOutput { count: found.found.count }))
    }

    async fn find(&self, query: &Query, window: Window) -> Result<Answer, Problem> {
        let Limits { query_examined: examined, page_bytes, .. } = self.app.limits;
        let answering = match self.name {
            Some(_) => Vec::new(),
            None => self.app.runners.answering(&self.log.name),
        };
        let reach = Reach { examined, page_bytes, answering, ..Reach::default() };
        let mut view = self.app.storage.projections.projections(&self.log).await?;
        let found = find(view.as_mut(), self.name.as_ref(), query, window, reach);
        let found = found.instrument(traced!("query")).await;
        view.close().await;
        Ok(found?)
    }

    fn scope<'a>(&'a self, query: &'a Query) -> Scope<'a> {
        Scope {
            log: self.log.incarnation.as_bytes(),
            name: self.name.as_ref().map(ProjectionName::known),
            query: &query.identity,
        }
    }

    fn window(&self, query: &Query) -> Result<Window, Problem> {
        let key = |cursor: &str, member: &str| {
            self.scope(query).key(cursor).ok_or_else(|| {
                let detail = "not a cursor of this query: another filter, sort, projection or log, or \
                              changed on its way";
                Problem::invalid(vec![Fault::at(&format!("/page/{member}"), detail)])
            })
        };
        Ok(match &query.paging {
            Paging::First { limit } => Window::After { key: None, limit: *limit },
            Paging::After { limit, cursor } => {
                Window::After { key: Some(key(cursor, "after")?), limit: *limit }
            }
            Paging::Before { limit, cursor } => {
                Window::Before { key: key(cursor, "before")?, limit: *limit }
            }
            Paging::Numbered { number, size } => {
                Window::Offset { offset: (number - 1) * size, limit: *size }
            }
        })
    }
}

/// An answer to a GET, with a tag made of it.
fn tagged(headers: &HeaderMap, body: String) -> Response {
    let digest = Sha256::digest(&body);
    let tag: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("W/\"{tag}\"");
    caching::answer(headers, &tag, Lifetime::Revalidate, "application/json", body)
}

fn answer(body: String) -> Response {
    use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], body).into_response()
}

/// Reads a query; what is wrong with it is told where it stands, below a pointer or of a parameter.
pub(super) fn parse(text: &str, parameter: Option<&str>) -> Result<Query, Problem> {
    let fault = |pointer: &str, detail: String| match parameter {
        Some(name) => {
            Fault::parameter(name, format!("{}: {detail}", super::error::fragment(pointer)))
        }
        None => Fault::at(pointer, detail),
    };
    if text.len() > QUERY_BYTES_MAX {
        let detail = format!("The query has {} bytes of {QUERY_BYTES_MAX}.", text.len());
        return Err(Problem::too_large("query_bytes", QUERY_BYTES_MAX, detail));
    }
    let json = Json::parse(text, JSON_DEPTH_MAX).map_err(|wrong| {
        let malformed = wrong.kind.malformed();
        let fault = fault(&wrong.pointer, wrong.kind.to_string());
        if malformed { Problem::malformed(fault) } else { Problem::invalid(vec![fault]) }
    })?;
    query::parse(&json).map_err(|faults| {
        let faults = faults.into_iter().map(|wrong| fault(&wrong.pointer, wrong.detail));
        Problem::invalid(faults.collect())
    })
}

fn body_query(body: &JsonBody) -> Result<Query, Problem> {
    parse(body.parse::<Box<RawValue>>(0)?.get(), None)
}

/// A query of which only the number is asked has nothing but a filter.
fn body_count(body: &JsonBody) -> Result<Query, Problem> {
    let raw = body.parse::<Box<RawValue>>(0)?;
    if let Json::Object(members) = Json::stored(raw.get())
        && let Some(other) = members.keys().find(|key| *key != "filter")
    {
        let fault = Fault::at(&format!("/{other}"), "no such member; expected `filter`");
        return Err(Problem::invalid(vec![fault]));
    }
    parse(raw.get(), None)
}

/// Search a projection
///
/// Filter, then sort, then page. A projection without entries is found empty.
#[utoipa::path(post, path = "/logs/{log}/projections/{projection}/search", tag = "queries", security(("key" = ["read"])),
    params(ProjectionPath, ReachedQuery), request_body = QueryInput,
    responses((status = 200, description = "A page of entries.", body = EntriesOutput,
               headers(("Everlog-Projector" = String, description = "How far the projector is that feeds it, if one does: `revision=2, sequence_number=17, lag=0`."))), ReadFailures))]
pub(super) async fn search_projection(
    State(app): State<App>,
    Authorized { mut at, by, .. }: Authorized<Read, InProjection>,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let asked = parameters.reached();
    parameters.finish()?;
    let query = body_query(&body)?;
    let _turn = (at_once(by.meter.query())?, app.metrics.query());
    reached(&app, &at.log, &mut at.name, None, &mut at.fed, asked).await?;
    let search = Search { app: &app, log: at.log, name: Some(at.name) };
    Ok(placed(at.fed.as_ref(), answer(search.page(&query).await?)))
}

/// Count entries of a projection
///
/// Those of which the filter holds.
#[utoipa::path(post, path = "/logs/{log}/projections/{projection}/count", tag = "queries", security(("key" = ["read"])),
    params(ProjectionPath, ReachedQuery), request_body = CountInput,
    responses((status = 200, description = "How many match.", body = CountOutput,
               headers(("Everlog-Projector" = String, description = "How far the projector is that feeds it, if one does: `revision=2, sequence_number=17, lag=0`."))), ReadFailures))]
pub(super) async fn count_projection(
    State(app): State<App>,
    Authorized { mut at, by, .. }: Authorized<Read, InProjection>,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let asked = parameters.reached();
    parameters.finish()?;
    let query = body_count(&body)?;
    let _turn = (at_once(by.meter.query())?, app.metrics.query());
    reached(&app, &at.log, &mut at.name, None, &mut at.fed, asked).await?;
    let search = Search { app: &app, log: at.log, name: Some(at.name) };
    Ok(placed(at.fed.as_ref(), search.count(&query).await?))
}

/// Search all projections of a log
///
/// Like a search of one; `/name` tells them apart.
#[utoipa::path(post, path = "/logs/{log}/projections/search", tag = "queries", security(("key" = ["read"])),
    params(LogPath), request_body = QueryInput,
    responses((status = 200, description = "A page of entries.", body = EntriesOutput), ReadFailures))]
pub(super) async fn search_projections(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InLog>,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    parameters.finish()?;
    let query = body_query(&body)?;
    let _turn = (at_once(by.meter.query())?, app.metrics.query());
    Search { app: &app, log: at.log, name: None }.page(&query).await.map(answer)
}

/// Count entries of all projections of a log
///
/// Those of which the filter holds.
#[utoipa::path(post, path = "/logs/{log}/projections/count", tag = "queries", security(("key" = ["read"])),
    params(LogPath), request_body = CountInput,
    responses((status = 200, description = "How many match.", body = CountOutput), ReadFailures))]
pub(super) async fn count_projections(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InLog>,
    mut parameters: Parameters,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    parameters.finish()?;
    let query = body_count(&body)?;
    let _turn = (at_once(by.meter.query())?, app.metrics.query());
    Search { app: &app, log: at.log, name: None }.count(&query).await
}

/// Find entries by a link
///
/// A search in a URL: `query` is what `search` takes as its body. Or locate the one entry that is derived
/// from a source: `category` and `stream`.
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}/entries", tag = "queries", security(("key" = ["read"])),
    params(ProjectionPath, EntriesQuery, ReachedQuery),
    responses((status = 200, description = "A page of entries; when located, of the one.",
               body = EntriesOutput,
               headers(("Everlog-Projector" = String, description = "How far the projector is that feeds it, if one does: `revision=2, sequence_number=17, lag=0`."))), ReadFailures))]
pub(super) async fn find_entries(
    State(app): State<App>,
    Authorized { mut at, by, .. }: Authorized<Read, InProjection>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let (text, category) = (parameters.one("query"), parameters.one("category"));
    let stream = parameters.one("stream");
    let asked = parameters.reached();
    parameters.finish()?;
    let _turn = (at_once(by.meter.query())?, app.metrics.query());
    match (text, category) {
        (Some(_), Some(_)) => {
            let fault = Fault::parameter("query", "goes without `category` and `stream`");
            Err(Problem::invalid(vec![fault]))
        }
        (text, None) if stream.is_none() => {
            let query = parse(text.as_deref().unwrap_or("{}"), Some("query"))?;
            reached(&app, &at.log, &mut at.name, None, &mut at.fed, asked).await?;
            let search = Search { app: &app, log: at.log, name: Some(at.name) };
            Ok(placed(at.fed.as_ref(), tagged(&headers, search.page(&query).await?)))
        }
        (_, category) => {
            let source = located(category, stream)?;
            reached(&app, &at.log, &mut at.name, None, &mut at.fed, asked).await?;
            let search = Search { app: &app, log: at.log, name: Some(at.name) };
            Ok(placed(at.fed.as_ref(), tagged(&headers, search.locate(&source).await?)))
        }
    }
}

/// The source that parameters name.
fn located(category: Option<String>, stream: Option<String>) -> Result<Source, Problem> {
    let refuse =
        |name, fault: NameFault| Problem::invalid(vec![Fault::parameter(name, fault.to_string())]);
    let category = category.unwrap_or_default().parse::<CategoryName>();
    let category = category.map_err(|fault| refuse("category", fault))?;
    Ok(match stream {
        None => Source::Category(category),
        Some(stream) => {
            let stream = stream.parse().map_err(|fault| refuse("stream", fault))?;
            Source::Stream(StreamKey { category, stream })
        }
    })
}

impl Search<'_> {
    /// The one entry of a source.
    async fn locate(&self, source: &Source) -> Result<String, Problem> {
        let Some(name) = &self.name else {
            return Err(crate::storage::StorageError::broken("a search without a name").into());
        };
        let mut view = self.app.storage.projections.projections(&self.log).await?;
        let found = view.of_source(name, source, 2).await;
        view.close().await;
        match found?.as_slice() {
            [] => {
                let name = name.known();
                let detail = format!("Projection `{name}` has no entry that is derived from it.");
                Err(Problem::new(Kind::EntryNotFound, detail))
            }
            [one] => Ok(located_page(one)),
            _ => {
                let name = name.known();
                let detail =
                    format!("Projection `{name}` has several entries of it; search for them.");
                Err(Problem::new(Kind::EntryAmbiguous, detail))
            }
        }
    }
}

fn located_page(entry: &Projection) -> String {
    let place = "{\"next\":null,\"previous\":null,\"has_next\":false,\"has_previous\":false}";
    format!("{{\"entries\":[{}],\"page\":{place}}}", written(entry))
}
