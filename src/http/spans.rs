//! The spans of a request: one for the log, and one for a collector of traces if the request is sampled. The latter is part of
//! its client's trace, if the client names one (W3C Trace Context).

use axum::{extract::Request, http::HeaderMap};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// The span that lines of the log stand in.
pub(super) fn logged(request: &Request, id: &str) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::debug_span!("request", id, %method, path, trace = Empty);
    if !span.is_disabled()
        && let Some((trace, _)) = named(request.headers())
    {
        span.record("trace", trace);
    }
    span
}

/// The span that a collector gets, if it gets one: as the client says, else so many of all. Its names are those of
/// OpenTelemetry's conventions for HTTP servers.
pub(super) fn traced(request: &Request, id: &Uuid, route: &str, ratio: Option<f64>) -> Span {
    let Some(ratio) = ratio else { return Span::none() };
    let parent = named(request.headers());
    if !parent.map_or_else(|| is_chosen(id, ratio), |(_, is_sampled)| is_sampled) {
        return Span::none();
    }
    let (method, path) = (request.method(), request.uri().path());
    let span = tracing::trace_span!(
        target: "everlog::trace",
        "request",
        %id,
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        url.path = path,
        http.response.status_code = Empty,
    );
    if parent.is_some() {
        let context = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
        // Without a collector there is nothing to be part of.
        let _ = span.set_parent(context);
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

/// Chosen by what is random of its id.
#[expect(clippy::cast_precision_loss, reason = "it is a matter of chance")]
fn is_chosen(id: &Uuid, ratio: f64) -> bool {
    let (_, random) = id.as_u64_pair();
    // The two highest bits are those of its variant.
    ((random << 2) as f64) < ratio * u64::MAX as f64
}

/// The trace that a client names, and whether it is sampled.
fn named(headers: &HeaderMap) -> Option<(&str, bool)> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (_version, trace, parent) = (parts.next()?, parts.next()?, parts.next()?);
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let is_hex = |id: &str, digits| id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hex(trace, 32) && is_hex(parent, 16)).then_some((trace, flags & 1 == 1))
}
