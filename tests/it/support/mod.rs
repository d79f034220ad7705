//! What the integration tests stand on: fresh stores, a throwaway Postgres, a way to cut wires.

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod committed;
pub(crate) mod frames;
pub(crate) mod guarded;
pub(crate) mod hasty;
pub(crate) mod memory;
pub(crate) mod planted;
mod planted_documents;
pub(crate) mod planted_projectors;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod sqlite;
pub(crate) mod tokens;
pub(crate) mod trouble;
pub(crate) mod walk;
pub(crate) mod workers;

/// A setting of the tests themselves.
#[expect(
    clippy::disallowed_methods,
    reason = "how the tests find Postgres is no setting of Everlog"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The log that a service makes at its first start.
pub(crate) async fn default_log(logs: &dyn everlog::storage::Logs) {
    let name: everlog::model::LogName = everlog::app::DEFAULT_LOG.parse().expect("a name");
    let lanes = everlog::model::Lanes { ordering: everlog::model::Ordering::Log, count: 1 };
    let fresh = everlog::testing::conformance::fresh(name.clone(), lanes);
    let settings = everlog::model::LogSettings { name, lanes: None, require_condition: None };
    logs.put_log(&settings, fresh).await.expect("the log is made");
}
