//! What handlers hold.

use std::{ops::Deref, sync::Arc};

use super::body::Room;
use crate::{
    engine::{
        changes::Changes,
        edit::Editor,
        indexing::Indexer,
        issuers::Issuers,
        keyring::{Caller, Keyring},
        logs::Logs,
        metrics::Metrics,
        publish::Publisher,
        runners::Runners,
        tail::Tails,
        tasks::Tasks,
        workers::Workers,
    },
    model::{Clock, Limits},
    storage::Storage,
};

/// Everything that a handler may use, shared: axum clones it several times a request.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What the service is made of.
#[derive(Debug)]
pub struct Parts {
    pub storage: Storage,
    pub logs: Logs,
    pub publisher: Publisher,
    pub editor: Editor,
    pub changes: Changes,
    pub indexer: Indexer,
    pub runners: Runners,
    pub workers: Workers,
    pub tails: Tails,
    pub tasks: Tasks,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    pub room: Room,
    pub metrics: Arc<Metrics>,
    pub keyring: Keyring,
    pub issuers: Issuers,
    /// Who asks, while there is no authentication.
    pub anyone: Option<Arc<Caller>>,
    /// The origins whose pages may speak to the service from a browser.
    pub origins: Vec<String>,
    /// How many of the requests that no client traces are traced; none: nobody takes traces.
    pub trace_ratio: Option<f64>,
    /// Serve only loopback `Host`s: set while there is no authentication and no wider address.
    pub loopback_only: bool,
}
