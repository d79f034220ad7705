//! What the integration tests stand on: fresh stores, a throwaway Postgres, a way to cut wires.

pub(crate) mod cluster;
pub(crate) mod memory;
pub(crate) mod planted;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod sqlite;

/// A setting of the tests themselves.
#[expect(
    clippy::disallowed_methods,
    reason = "how the tests find Postgres is no setting of Everlog"
)]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
