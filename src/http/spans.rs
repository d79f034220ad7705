//! The span of a request: part of its client's trace, if the client names one (W3C Trace Context).

use axum::{extract::Request, http::HeaderMap};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of a request. Names and attributes are those of OpenTelemetry's conventions for HTTP servers.
pub(super) fn of(request: &Request, id: &str, route: &str) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::debug_span!(
        "request",
        id,
        %method,
        path,
        trace = Empty,
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
    );
    if !span.is_disabled()
        && let Some(trace) = trace(request.headers())
    {
        span.record("trace", trace);
        let propagator = TraceContextPropagator::new();
        // Without a collector there is nothing to be part of.
        let _ = span.set_parent(propagator.extract(&HeaderExtractor(request.headers())));
    }
    span
}

/// How a request was answered.
pub(super) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The id of the trace that a client names, to be found in the log.
fn trace(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    let is_id = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(trace)
}
