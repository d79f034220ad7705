//! What handlers hold.

use std::sync::Arc;

use crate::{
    engine::{logs::Logs, publish::Publisher, tail::Tails, tasks::Tasks},
    model::{Clock, Limits},
    storage::Storage,
};

/// Everything that a handler may use.
#[derive(Debug, Clone)]
pub struct App {
    pub storage: Storage,
    pub logs: Logs,
    pub publisher: Publisher,
    pub tails: Tails,
    pub tasks: Tasks,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Serve only loopback `Host`s: set while there is no authentication and no wider address.
    pub loopback_only: bool,
}
