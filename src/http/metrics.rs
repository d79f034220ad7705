//! Metrics, as OpenMetrics text: what was counted and timed ([`Metrics`](crate::engine::metrics::Metrics)), and what is read when
//! they are asked for: how projectors are, the store, its connections, the process.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::{
    error::Problem,
    gate::{AllLogs, Authorized, Monitor},
    openapi::ReadFailures,
    projector_health::{Health, all},
    query::Query,
    state::App,
};
use crate::storage::{Pool, StorageError, Usage};

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRevision {
    log: String,
    projector: String,
    revision: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    log: String,
    projector: String,
    revision: i64,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfName {
    log: String,
    projector: String,
    revision: i64,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPool {
    pool: &'static str,
}

/// What a revision may do.
const STATUSES: [&str; 5] = ["building", "live", "faulted", "paused", "idle"];

/// The number that a gauge of a revision tells.
type Told = fn(&Health) -> i64;

/// The gauges of a revision that are one number.
const GAUGES: [(&str, &str, Told); 7] = [
    ("sequence_number", "The last event that it passed", |of| of.revision.progress.sequence_number),
    ("lag_events", "Events that it has not passed, at most", |of| of.lag),
    ("events", "Events that were applied, or wait", |of| of.revision.progress.events),
    ("rate", "Events that it passed in a second, when there were any", |of| {
        of.revision.progress.rate
    }),
    ("parked_entries", "Entries that wait for a decision", |of| of.revision.progress.parked.ids),
    ("parked_events", "Events that wait with them", |of| of.revision.progress.parked.events),
    ("skipped_events", "Events that somebody decided to skip", |of| {
        i64::try_from(of.revision.progress.skipped.len()).unwrap_or(i64::MAX)
    }),
];

/// Get metrics
///
/// For Prometheus and whoever else reads OpenMetrics: publishes, commits, tails, queries and answers of this process; the
/// store's size and connections; and of each revision of a projector its status, its place, how far it is behind, what waits
/// and what it ignored.
#[utoipa::path(get, path = "/metrics", tag = "service", security(("key" = ["monitor"])),
    responses((status = 200, description = "The metrics.", body = String,
               content_type = "application/openmetrics-text"), ReadFailures))]
pub(super) async fn get_metrics(
    State(app): State<App>,
    _: Authorized<Monitor, AllLogs>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let mut registry = Registry::default();
    let own = registry.sub_registry_with_prefix("everlog");
    app.metrics.register(own);
    store(own, app.storage.health.usage().await?);
    projectors(own.sub_registry_with_prefix("projector"), &all(&app).await?);
    process(registry.sub_registry_with_prefix("process"));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| StorageError::Broken(error.into()))?;
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}

/// The store, and which Everlog it is that asks it.
fn store(registry: &mut Registry, usage: Usage) {
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of the service", build);
    if let Some(bytes) = usage.bytes {
        let size = Gauge::<i64>::default();
        size.set(bytes);
        registry.register_with_unit("store_size", "The store on disk", Unit::Bytes, size);
    }
    let (used, max) = (Family::<OfPool, Gauge>::default(), Family::<OfPool, Gauge>::default());
    for Pool { name: pool, used: now, max: most } in usage.pools {
        let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
        used.get_or_create(&OfPool { pool }).set(number(now));
        max.get_or_create(&OfPool { pool }).set(number(most));
    }
    registry.register("pool_connections_used", "Connections to the store in use", used);
    registry.register("pool_connections_max", "Connections to the store at most", max);
}

/// The process, by the names that all of them have; nothing where there is no /proc.
fn process(registry: &mut Registry) {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let resident = pages.and_then(|text| text.split(' ').nth(1)?.parse::<i64>().ok());
    if let Some(pages) = resident {
        let memory = Gauge::<i64>::default();
        memory.set(pages.saturating_mul(i64::try_from(rustix::param::page_size()).unwrap_or(4096)));
        let help = "Memory that the process has in use";
        registry.register_with_unit("resident_memory", help, Unit::Bytes, memory);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let open = Gauge::<i64>::default();
        open.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        registry.register("open_fds", "Files and sockets that the process has open", open);
    }
}

fn projectors(registry: &mut Registry, found: &[Health]) {
    let of = |health: &Health| OfRevision {
        log: health.log.to_string(),
        projector: health.revision.projector.to_string(),
        revision: health.revision.number,
    };
    for (name, help, told) in GAUGES {
        let family = Family::<OfRevision, Gauge>::default();
        for health in found {
            family.get_or_create(&of(health)).set(told(health));
        }
        registry.register(name, help, family);
    }
    let statuses = Family::<OfStatus, Gauge>::default();
    let ignored = Family::<OfName, Gauge>::default();
    for health in found {
        let OfRevision { log, projector, revision } = of(health);
        for status in STATUSES {
            let (log, projector) = (log.clone(), projector.clone());
            let labels = OfStatus { log, projector, revision, status };
            statuses.get_or_create(&labels).set(i64::from(status == health.status));
        }
        for (name, events) in &health.revision.progress.ignored {
            let (log, projector) = (log.clone(), projector.clone());
            let labels = OfName { log, projector, revision, name: name.clone() };
            ignored.get_or_create(&labels).set(*events);
        }
    }
    registry.register("status", "1 at what it does: one of five", statuses);
    registry.register("ignored_events", "Events that had no handler", ignored);
}
