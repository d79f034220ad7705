//! The door: HTTP/JSON. Handlers read arguments, make one call and shape the answer; failures are
//! `error.rs` alone.

mod body;
mod caching;
mod catalogue;
mod conditions;
pub mod connections;
mod docs;
mod documents;
mod envelope;
pub mod error;
mod event_json;
mod events;
mod export;
mod extract;
mod gate;
mod keys;
mod links;
mod logs;
mod meter;
mod metrics;
mod openapi;
mod preview;
mod projection_indexes;
mod projection_json;
mod projection_names;
mod projection_query;
mod projection_tail;
mod projections;
mod projector_actions;
mod projector_health;
mod projector_json;
mod projector_tail;
mod projectors;
mod publish;
mod query;
mod query_input;
mod reached;
mod service;
mod spans;
mod state;
mod stream_state;
mod tail;
mod tickets;
pub mod tls;

use std::{sync::LazyLock, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method},
    middleware,
};
use tower::util::{MapResponseLayer, option_layer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
    timeout::RequestBodyDeadlineLayer,
};
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::{
    body::Room,
    conditions::parse_tags,
    extract::{MediaType, negotiate},
    links::encode,
    logs::create as create_log,
    publish::parse_key,
    state::{App, Parts},
};

/// The version prefix of every resource.
pub const PREFIX: &str = "/v1";

/// How long a browser remembers what pages of other origins may do.
const PREFLIGHT: Duration = Duration::from_secs(3_600);

/// How long a request's body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(60);

fn routes() -> OpenApiRouter<App> {
    let resources = OpenApiRouter::new()
        .routes(routes!(publish::publish_to_stream, events::read_stream))
        .routes(routes!(publish::publish_to_category, events::read_category))
        .routes(routes!(publish::publish_to_log, events::read_log))
        .routes(routes!(events::get_latest_event_of_stream))
        .routes(routes!(events::get_latest_event_of_category))
        .routes(routes!(events::get_latest_event_of_log))
        .routes(routes!(events::get_stream_event))
        .routes(routes!(events::get_event))
        .routes(routes!(tail::tail_stream))
        .routes(routes!(tail::tail_category))
        .routes(routes!(tail::tail_log))
        .routes(routes!(export::export_stream))
        .routes(routes!(export::export_category))
        .routes(routes!(export::export_log))
        .routes(routes!(catalogue::get_stream))
        .routes(routes!(catalogue::list_streams))
        .routes(routes!(catalogue::get_category))
        .routes(routes!(catalogue::list_categories))
        .routes(routes!(projection_query::search_projections))
        .routes(routes!(projection_query::count_projections))
        .routes(routes!(projection_tail::tail_projection))
        .routes(routes!(projection_query::search_projection))
        .routes(routes!(projection_query::count_projection))
        .routes(routes!(projections::save_entries, projection_query::find_entries))
        .routes(routes!(projections::put_entry, projections::get_entry, projections::delete_entry))
        .routes(routes!(
            projection_names::get_projection,
            projection_names::drop_projection,
            projection_indexes::put_projection
        ))
        .routes(routes!(projection_names::list_projections))
        .routes(routes!(
            projectors::put_projector,
            projectors::get_projector,
            projectors::delete_projector
        ))
        .routes(routes!(projector_tail::tail_projector))
        .routes(routes!(projector_actions::pause_projector))
        .routes(routes!(projector_actions::resume_projector))
        .routes(routes!(projector_actions::retry_projector))
        .routes(routes!(projector_actions::skip_event))
        .routes(routes!(projector_actions::rebuild_projector))
        .routes(routes!(projector_actions::activate_revision))
        .routes(routes!(preview::preview_projector))
        .routes(routes!(projectors::list_projectors))
        .routes(routes!(stream_state::get_stream_state))
        .routes(routes!(logs::get_log, logs::put_log))
        .routes(routes!(logs::list_logs))
        .routes(routes!(tickets::create_ticket))
        .routes(routes!(keys::create_key, keys::list_keys))
        .routes(routes!(keys::get_key))
        .routes(routes!(keys::revoke_key));
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .nest(PREFIX, resources)
        .routes(routes!(service::get_service))
        .routes(routes!(service::get_openapi))
        .routes(routes!(service::get_sdk_openapi))
        .routes(routes!(docs::get_docs))
        .routes(routes!(service::get_liveness))
        .routes(routes!(service::get_readiness))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(service::get_problem))
}

/// Which OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// All of it.
    Full,
    /// What generators make clients of.
    Sdk,
    /// That as OpenAPI 3.0, for tools that read no later one.
    Sdk30,
}

/// An OpenAPI document, written the same way every time.
#[must_use]
pub fn document(edition: Edition) -> &'static str {
    static WRITTEN: LazyLock<[String; 3]> = LazyLock::new(|| {
        let full = documents::whole(&routes().split_for_parts().1);
        let sdk = documents::for_sdks(&full);
        let of_3_0 = documents::as_of_3_0(&sdk);
        [full, sdk, of_3_0].map(|document| format!("{document:#}\n"))
    });
    let [full, sdk, of_3_0] = &*WRITTEN;
    match edition {
        Edition::Full => full,
        Edition::Sdk => sdk,
        Edition::Sdk30 => of_3_0,
    }
}

/// What pages of other origins may do, if any are named: all that the API has. A key is sent by the page itself; cookies,
/// which a browser would add, are none of ours.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    const METHODS: [Method; 5] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    const SENT: [&str; 7] = [
        "authorization",
        "content-type",
        "if-match",
        "if-none-match",
        "idempotency-key",
        "prefer",
        "last-event-id",
    ];
    const READ: [&str; 10] = [
        "etag",
        "location",
        "link",
        "request-id",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "preference-applied",
        "everlog-projector",
        "www-authenticate",
    ];
    let origins: Vec<_> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let any = !origins.is_empty();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods(METHODS)
        .allow_headers(SENT.map(HeaderName::from_static))
        .expose_headers(READ.map(HeaderName::from_static))
        .max_age(PREFLIGHT);
    any.then_some(layer)
}

/// The whole service.
pub fn router(app: App) -> Router {
    let (router, _) = routes().split_for_parts();
    let router = router.route(docs::SCRIPT_PATH, axum::routing::get(docs::get_script));
    // One stack, outermost first: a router boxes whatever each layer of its own gives.
    let around = (
        middleware::from_fn_with_state(app.clone(), envelope::envelope),
        option_layer(cors(&app.origins)),
        MapResponseLayer::new(envelope::as_it_is),
        CompressionLayer::new(),
        CatchPanicLayer::custom(envelope::of_panic),
        RequestBodyDeadlineLayer::new(BODY_DEADLINE),
    );
    router.fallback(envelope::no_route).layer(around).with_state(app)
}
