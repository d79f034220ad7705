//! What surrounds every request: its id, the `Host` check, the line in the log, and the last word
//! on failures, so that whatever answers, a client gets problem+json.

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::compression::CompressionBody;
use tracing::Instrument;

use super::{
    error::{Fault, Kind, Problem, Unwritten},
    extract::accepts_a_coding,
    meter::Slip,
    spans,
    state::App,
};
use crate::engine::{ids, metrics::OfAnswer};

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Whether a body's error is that it took too long.
#[must_use]
pub(super) fn is_timeout(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<tower_http::timeout::TimeoutError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The outermost layer.
pub(super) async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let slip = Slip::default();
    request.extensions_mut().insert(slip.clone());
    let minted = ids::mint();
    let id = minted.to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = spans::logged(&request, &id);
    let traced = spans::traced(&request, &minted, &route, app.trace_ratio);
    let started = tokio::time::Instant::now();
    let answer = async {
        match judge(&app, &request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let response = answer.instrument(traced.clone()).instrument(span.clone()).await;
    let mut response = span.in_scope(|| written(response, &method, &path, &id));
    let (took, status) = (started.elapsed(), response.status().as_u16());
    spans::answered(&traced, status);
    let answer = OfAnswer { method: method.to_string(), route, status };
    app.metrics.answers.get_or_create(&answer).observe(took.as_secs_f64());
    let milliseconds = took.as_millis();
    span.in_scope(|| tracing::debug!(status, milliseconds, "answered"));
    slip.tell(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// What is judged of every request before anything is done.
fn judge(app: &App, request: &Request) -> Result<(), Problem> {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        let fault = Fault::header(&header::HOST, "may stand only once");
        return Err(Problem::malformed(fault));
    }
    if app.loopback_only && !is_loopback(request) {
        let detail = "This server is open to this machine only: use localhost or 127.0.0.1.";
        return Err(Problem::new(Kind::HostNotAllowed, detail));
    }
    if !accepts_a_coding(request.headers()) {
        let detail = "Accept-Encoding refuses all of zstd, br, gzip and identity.";
        return Err(Problem::new(Kind::NotAcceptable, detail));
    }
    Ok(())
}

/// Only names that no web page can point elsewhere (DNS rebinding). A target in absolute form counts
/// before the header (RFC 9112 §3.2.2).
fn is_loopback(request: &Request) -> bool {
    let host = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(Authority::as_str).or_else(host);
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Writes the problem, if the answer is one or should be one.
fn written(mut response: Response, method: &Method, path: &str, id: &str) -> Response {
    if *method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let known = response.extensions_mut().remove::<Unwritten>();
    let problem = match known {
        Some(Unwritten(problem)) => problem,
        None => match unknown(response.status(), method) {
            Some(problem) => problem.into(),
            None => return response,
        },
    };
    if let Some(cause) = &problem.cause {
        let code = problem.kind.row().code;
        let cause = chain(cause.as_ref());
        tracing::error!(id, %method, path, code, cause, "failed");
    }
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for described in [header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
        response.headers_mut().remove(described);
    }
    *response.body_mut() = Body::from(problem.json(id));
    response
}

/// A failure that no handler of ours made.
fn unknown(status: StatusCode, method: &Method) -> Option<Problem> {
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.row().status == status);
    Some(match kind {
        Some(Kind::MethodNotAllowed) => {
            let detail = format!("This resource has no {method}; `Allow` lists what it has.");
            Problem::new(Kind::MethodNotAllowed, detail)
        }
        Some(kind) => Problem::new(kind, kind.row().title),
        None => Problem::new(Kind::Internal, format!("An answer of status {status}.")),
    })
}

/// An error with its causes, for the log.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The body itself, where it is not compressed: what could compress it is as large as ten answers.
pub(super) fn as_it_is<B>(response: axum::http::Response<CompressionBody<B>>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        response.map(Body::new)
    } else {
        response.map(|body| Body::new(body.into_inner()))
    }
}

/// Nothing is routed here.
pub(super) async fn no_route(request: Request) -> Problem {
    let detail = format!("There is no resource at {}. See /openapi.json.", request.uri().path());
    Problem::new(Kind::RouteNotFound, detail)
}

/// A panic in a handler.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
pub(super) fn of_panic(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let broken = crate::storage::StorageError::broken(format!("panic: {text}"));
    Problem::from(broken).into_response()
}
