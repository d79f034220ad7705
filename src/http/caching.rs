//! Entity tags and cache lifetimes of what is read (RFC 9110 §8.8, §13.1.2; RFC 9111; RFC 8246).

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::state::App;

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// It can never change: for everybody, or for whoever may ask.
    Immutable,
    Private,
    /// Ask again, with the tag.
    Revalidate,
}

impl Lifetime {
    /// That of what never changes, in this store: another memory may hold other events.
    #[must_use]
    pub(super) fn of_unchanging(app: &App) -> Self {
        match app.storage.health.outlives_process() {
            true if app.anyone.is_some() => Self::Immutable,
            true => Self::Private,
            false => Self::Revalidate,
        }
    }
}

/// An answer to a GET with its tag; 304 if the client has it.
#[must_use]
pub(super) fn answer(
    request: &HeaderMap,
    tag: &str,
    lifetime: Lifetime,
    media_type: &'static str,
    body: String,
) -> Response {
    let known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.trim() == "*" || lists(value, tag)));
    let mut response = Response::new(if known { Body::empty() } else { Body::from(body) });
    let cache = match lifetime {
        Lifetime::Immutable => "public, max-age=31536000, immutable",
        Lifetime::Private => "private, max-age=31536000, immutable",
        Lifetime::Revalidate => "no-cache",
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    response
}

/// Whether a list of tags holds this one, compared weakly. Our tags hold no commas.
fn lists(list: &str, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|listed| opaque(listed) == opaque(tag))
}
