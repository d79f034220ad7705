//! The composition root: puts the parts together and runs them. It alone knows everybody.
//!
//! Shutdown, in order: stop accepting, end what waits, finish what is under way (at most
//! [`GRACE`]), close the store.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::net::TcpListener;

use crate::{
    auth::{Issuer, KeyText, Scope},
    engine::{
        allowance::Allowance,
        changes::Changes,
        edit::Editor,
        hub::Hubs,
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
    http::{
        self, App, Parts, Room,
        connections::{self, Patience},
        tls::Tls,
    },
    model::{Clock, Limits, LogName, LogSettings, ProjectorName},
    projector::{Native, Projector},
    storage::{Storage, projectors::Put},
};

/// How long what is under way may take to finish.
pub const GRACE: Duration = Duration::from_secs(10);

/// The log that exists from the first start.
pub const DEFAULT_LOG: &str = "default";

/// Who is let in.
#[derive(Debug, Clone)]
pub enum Access {
    /// Anyone on this machine.
    Loopback,
    /// Anyone at all.
    Anyone,
    /// Whoever has a key of the store, a token of one of these issuers, or this key, which may do everything.
    Keys { root: Option<KeyText>, issuers: Vec<Issuer> },
}

/// How clients come in.
#[derive(Debug, Clone)]
pub struct Door {
    pub access: Access,
    /// The origins whose pages may speak to the service from a browser.
    pub origins: Vec<String>,
    /// What each key may ask for.
    pub allowance: Allowance,
    /// How many of the requests that no client traces are traced; none: nobody takes traces.
    pub trace_ratio: Option<f64>,
}

impl From<Access> for Door {
    fn from(access: Access) -> Self {
        Self { access, origins: Vec::new(), allowance: Allowance::default(), trace_ratio: None }
    }
}

/// A service over a store, ready to run.
#[derive(Debug)]
pub struct Service {
    app: App,
    patience: Patience,
    tls: Option<Tls>,
}

impl Service {
    /// Puts a service together; the default log is created if it is not there.
    pub async fn new(
        storage: Storage,
        clock: Arc<dyn Clock>,
        limits: Limits,
        door: impl Into<Door>,
        workers: Workers,
    ) -> anyhow::Result<Self> {
        let (tasks, metrics) = (Tasks::default(), Arc::<Metrics>::default());
        let hubs = Hubs::new(storage.clone(), tasks.clone());
        let changes = Changes::new(storage.clone(), tasks.clone());
        let tails = Tails::new(storage.clone(), hubs.clone(), tasks.clone(), limits);
        let logs = Logs::new(storage.clone(), tasks.clone());
        let runners = Runners::new(
            storage.clone(),
            tails.clone(),
            logs.clone(),
            changes.clone(),
            workers.clone(),
            clock.clone(),
            &tasks,
        );
        // Before the first request it has to be known what projectors feed.
        runners.look().await?;
        let Door { access, origins, allowance, trace_ratio } = door.into();
        let loopback_only = matches!(access, Access::Loopback);
        let (anyone, root, issuers) = match access {
            Access::Loopback | Access::Anyone => (
                Some(Caller::trusted("anyone", vec![Scope::everything()], Allowance::ANY)),
                None,
                Vec::new(),
            ),
            Access::Keys { root, issuers } => (None, root, issuers),
        };
        let app = App::from(Parts {
            keyring: Keyring::new(storage.clone(), clock.clone(), root, allowance, &tasks),
            issuers: Issuers::open(issuers, clock.clone(), allowance, &tasks).await?,
            anyone,
            origins,
            trace_ratio,
            publisher: Publisher::new(storage.clone(), clock.clone(), hubs, tasks.clone())
                .with_metrics(metrics.clone()),
            metrics,
            editor: Editor::new(storage.clone(), changes.clone(), tasks.clone()),
            changes,
            indexer: Indexer::new(storage.clone(), &tasks),
            runners,
            workers,
            tails,
            logs,
            storage,
            tasks,
            clock,
            limits,
            room: Room::of(limits.request_bytes),
            loopback_only,
        });
        let name: LogName = DEFAULT_LOG.parse()?;
        let settings = LogSettings { name, lanes: None, require_condition: None };
        http::create_log(&app, settings).await.map_err(|problem| {
            let cause = problem.cause.map_or_else(String::new, |cause| format!(": {cause}"));
            anyhow::anyhow!("cannot create the default log{cause}")
        })?;
        Ok(Self { app, patience: Patience::default(), tls: None })
    }

    /// Runs a projector of the program that this service is part of, in a log that exists. It feeds the projection of its
    /// name; another version of its settings is another revision.
    pub async fn with_projector(
        self,
        log: &LogName,
        name: ProjectorName,
        projector: impl Projector,
    ) -> anyhow::Result<Self> {
        let Self { app, .. } = &self;
        let Some(found) = app.logs.find(log).await? else {
            anyhow::bail!("there is no log {log}");
        };
        let native: Arc<dyn Native> = Arc::new(projector);
        let definition = native.settings().definition();
        app.runners.register(log.clone(), name.clone(), native);
        let put = app.storage.projectors.put_projector(&found, &name, &definition, false).await?;
        anyhow::ensure!(put != Put::Occupied, "projection {name} has entries that clients saved");
        app.runners.look().await?;
        Ok(self)
    }

    /// With another patience for connections.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// With TLS.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// Serves until `shutdown` resolves, then finishes what is under way.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let (tasks, storage) = (self.app.tasks.clone(), self.app.storage.clone());
        let stopping = tasks.clone();
        let (patience, connections_max) = (self.patience, self.app.limits.connections);
        let router = http::router(self.app);
        let stop = async move {
            shutdown.await;
            tracing::info!("shutting down");
            stopping.stop();
        };
        let serve = connections::serve(listener, router, self.tls, connections_max, patience, stop);
        let grace = async {
            tasks.stopped().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = serve => {}
            () = grace => tracing::warn!("some connections did not end in time"),
        }
        if tokio::time::timeout(GRACE, tasks.finished()).await.is_err() {
            tracing::error!("some publishes did not end in time; their outcome is unknown");
        }
        if tokio::time::timeout(GRACE, storage.health.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        Ok(())
    }
}
