//! The service itself: where it begins, whether it is well, what its problems mean.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Edition,
    error::{Kind, Problem},
    gate,
    logs::json_answer,
    openapi::ReadFailures,
    projector_health::{self, ProjectorHealthOutput},
    query::Query,
    state::App,
};
use crate::auth::{ALL, Action};

/// Where things are.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub(super) struct ServiceOutput {
    /// `everlog`
    name: String,
    /// The version of the service.
    version: String,
    /// Links by name; parts in braces are to be filled in.
    links: Links,
}

/// The entrances of the API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceLinks)]
pub(super) struct Links {
    /// The logs.
    logs: String,
    /// The log that always exists.
    default_log: String,
    /// A stream's events: publish here, read here.
    stream_events: String,
    /// The reference, to read in a browser.
    docs: String,
    /// The OpenAPI document.
    openapi: String,
    /// That for generators of clients.
    sdk_openapi: String,
    /// Whether the process is alive.
    livez: String,
    /// Whether it can serve.
    readyz: String,
    /// Metrics for Prometheus.
    metrics: String,
}

/// How the service is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthOutput {
    /// `ok`
    status: String,
    /// With `verbose`: the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    store: Option<String>,
    /// With `verbose`: the revisions of projectors, and what keeps them from going on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    projectors: Option<Vec<ProjectorHealthOutput>>,
}

/// Get the service document
///
/// The entrances of the API.
#[utoipa::path(get, path = "/", tag = "service",
    responses((status = 200, description = "The entrances.", body = ServiceOutput), ReadFailures))]
pub(super) async fn get_service(mut query: Query) -> Result<Response, Problem> {
    query.finish()?;
    let link = |path: &str| path.to_owned();
    Ok(json_answer(&ServiceOutput {
        name: "everlog".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        links: Links {
            logs: link("/v1/logs"),
            default_log: link("/v1/logs/default"),
            stream_events: link("/v1/logs/{log}/categories/{category}/streams/{stream}/events"),
            docs: link("/docs"),
            openapi: link("/openapi.json"),
            sdk_openapi: link("/openapi.sdk.json"),
            livez: link("/livez"),
            readyz: link("/readyz"),
            metrics: link("/metrics"),
        },
    }))
}

/// Get liveness
///
/// Whether the process is alive.
#[utoipa::path(get, path = "/livez", tag = "service",
    responses((status = 200, description = "Alive.", body = HealthOutput), ReadFailures))]
pub(super) async fn get_liveness(mut query: Query) -> Result<Response, Problem> {
    query.finish()?;
    Ok(json_answer(&HealthOutput { status: "ok".to_owned(), store: None, projectors: None }))
}

/// Get readiness
///
/// Whether requests can be served: the store answers and the service is not shutting down. With `verbose` it takes a key
/// with `monitor`, where the service authenticates.
#[utoipa::path(get, path = "/readyz", tag = "service", security((), ("key" = ["monitor"])),
    params(("verbose" = Option<String>, Query, nullable = false, pattern = "^(true|false)?$",
        description = "Tell more: `true`, or the name alone.", example = "true")),
    responses((status = 200, description = "Ready.", body = HealthOutput), ReadFailures))]
pub(super) async fn get_readiness(
    State(app): State<App>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let verbose = query.bare_flag("verbose");
    if verbose {
        let by = gate::authenticate(&app, &headers).await?;
        gate::require(&by, Action::Monitor, ALL, ALL)?;
    }
    query.finish()?;
    if app.tasks.stopping() {
        let problem = Problem::new(Kind::Unavailable, "The service is shutting down.");
        return Err(problem.retry(1));
    }
    app.storage.health.ready().await?;
    let store = verbose.then(|| app.storage.health.description());
    let projectors = if verbose { Some(projector_health::told(&app).await?) } else { None };
    Ok(json_answer(&HealthOutput { status: "ok".to_owned(), store, projectors }))
}

/// Get the OpenAPI document
///
/// This document, as the running service has it.
#[utoipa::path(get, path = "/openapi.json", tag = "service",
    responses((status = 200, description = "The document.", body = serde_json::Value,
         example = json!({"openapi": "3.1.0", "info": {"title": "Everlog"}, "paths": {}})),
              ReadFailures))]
pub(super) async fn get_openapi(mut query: Query) -> Result<Response, Problem> {
    query.finish()?;
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((json, super::document(Edition::Full)).into_response())
}

/// Get the OpenAPI document for generators
///
/// What `/openapi.json` has, without what is no JSON (tails, exports, pages): generators of clients know nothing of streams.
#[utoipa::path(get, path = "/openapi.sdk.json", tag = "service",
    responses((status = 200, description = "The document.", body = serde_json::Value,
         example = json!({"openapi": "3.1.0", "info": {"title": "Everlog"}, "paths": {}})),
              ReadFailures))]
pub(super) async fn get_sdk_openapi(mut query: Query) -> Result<Response, Problem> {
    query.finish()?;
    let json = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((json, super::document(Edition::Sdk)).into_response())
}

/// Get the explanation of a problem
///
/// What a problem means and what to do about it.
#[utoipa::path(get, path = "/problems/{code}", tag = "service",
    params(("code" = String, Path, description = "The problem's `code`.",
            example = "write-condition-failed")),
    responses((status = 200, description = "The explanation.", body = String,
               content_type = "text/plain"), ReadFailures))]
pub(super) async fn get_problem(
    Path(code): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let kinds: Vec<_> =
        Kind::ALL.iter().map(|kind| kind.row()).filter(|r| r.code == code).collect();
    let Some(first) = kinds.first() else {
        let codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.row().code).collect();
        let detail = format!("There is no such problem. There are: {}.", codes.join(", "));
        return Err(Problem::new(Kind::RouteNotFound, detail));
    };
    let statuses: Vec<_> = kinds.iter().map(|row| row.status.as_str().to_owned()).collect();
    let text = format!(
        "{}\n\ncode:   {}\nstatus: {}\n\n{}\n",
        first.title,
        first.code,
        statuses.join(" or "),
        first.advice
    );
    let headers: HeaderMap = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
    .into_iter()
    .collect();
    Ok((headers, text).into_response())
}
