//! The projectors that this process runs: those that nobody else holds.
//!
//! Every process looks which revisions there are, and holds the ones that are free. A revision is run by whoever holds
//! it; the store refuses what anybody else would commit.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    changes::Changes,
    ids,
    logs::Logs,
    runner::{End, HELD, Means, Runner},
    tail::Tails,
    tasks::Tasks,
    workers::Workers,
};
use crate::{
    model::{LogName, Revision, Standing},
    projector::{Rules, definition::Activate},
    storage::{Storage, StorageError, projectors::Listed},
};

/// How often it is looked which revisions there are.
const LOOK: Duration = Duration::from_millis(250);
/// How soon one that failed is run again.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs projectors.
#[derive(Debug, Clone)]
pub struct Runners(Arc<Everyone>);

#[derive(Debug)]
struct Everyone {
    means: Means,
    logs: Logs,
    tasks: Tasks,
    owner: Uuid,
    kick: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The revisions that there are, by their ids.
    known: BTreeMap<i64, (LogName, Revision)>,
    /// Those that are run here.
    running: HashMap<i64, Running>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    /// Whether it has caught up.
    live: bool,
}

impl Runners {
    #[must_use]
    pub fn new(
        storage: Storage,
        tails: Tails,
        logs: Logs,
        changes: Changes,
        workers: Workers,
        tasks: &Tasks,
    ) -> Self {
        let means = Means { storage, tails, workers, changes };
        let runners = Self(Arc::new(Everyone {
            means,
            logs,
            tasks: tasks.clone(),
            owner: ids::mint(),
            kick: Notify::new(),
            state: Mutex::default(),
        }));
        tasks.background(runners.clone().look_after());
        runners
    }

    /// There is something new.
    pub fn kick(&self) {
        self.0.kick.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_after(self) {
        while !self.0.tasks.stopping() {
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "it is not known which projectors there are");
            }
            tokio::select! {
                _ = tokio::time::timeout(LOOK, self.0.kick.notified()) => {}
                () = self.0.tasks.stopped() => {}
            }
        }
        // Whoever comes next need not wait until the holds have run out.
        let (tasks, runners) = (self.0.tasks.clone(), self);
        tasks.spawn(async move { runners.let_go().await });
    }

    async fn let_go(&self) {
        let held: Vec<i64> = {
            let state = self.state();
            state.running.values().for_each(|running| running.stop.cancel());
            state.running.keys().copied().collect()
        };
        for revision in held {
            let owner = self.0.owner;
            let done = self.0.means.storage.projectors.hold(revision, owner, Duration::ZERO).await;
            if let Err(error) = done {
                tracing::debug!(%error, "a projector is held for a while yet");
            }
        }
    }

    /// Looks which revisions there are, runs those that are free and ends those that are not to run.
    async fn look(&self) -> Result<(), StorageError> {
        let after = self.state().known.last_key_value().map_or(0, |(id, _)| *id);
        let listed = self.0.means.storage.projectors.revisions(after).await?;
        let mut free = Vec::new();
        {
            let mut state = self.state();
            let mut known = BTreeMap::new();
            for Listed { log, mut revision, held } in listed {
                if let Some((_, before)) = state.known.remove(&revision.id) {
                    revision.definition = before.definition;
                }
                let runs = revision.halt.is_none() && revision.standing != Standing::Former;
                match state.running.get(&revision.id) {
                    Some(running) if !runs => running.stop.cancel(),
                    None if runs && !held => free.push((log.clone(), revision.clone())),
                    _ => {}
                }
                known.insert(revision.id, (log, revision));
            }
            for (id, running) in &state.running {
                if !known.contains_key(id) {
                    running.stop.cancel();
                }
            }
            state.known = known;
        }
        for (log, revision) in free {
            self.begin(log, revision);
        }
        Ok(())
    }

    fn begin(&self, log: LogName, revision: Revision) {
        let stop = CancellationToken::new();
        let running = Running { stop: stop.clone(), live: false };
        self.state().running.insert(revision.id, running);
        let runners = self.clone();
        self.0.tasks.background(async move {
            let id = revision.id;
            match runners.run(log, revision, &stop).await {
                End::Failed(why) => {
                    tracing::warn!(%why, "a projector does not go on for now");
                    tokio::time::sleep(AGAIN).await;
                }
                end => tracing::debug!(?end, "a projector is not run here any more"),
            }
            runners.state().running.remove(&id);
            runners.kick();
        });
    }

    async fn run(&self, log: LogName, revision: Revision, stop: &CancellationToken) -> End {
        let everyone = &self.0;
        let projectors = &everyone.means.storage.projectors;
        let held = match projectors.hold(revision.id, everyone.owner, HELD).await {
            Ok(held) => held,
            Err(error) => return End::from(error),
        };
        let Some(progress) = held else { return End::Lost };
        let log = match everyone.logs.find(&log).await {
            Ok(Some(log)) => log,
            Ok(None) => return End::Lost,
            Err(error) => return End::from(error),
        };
        let rules = serde_json::from_str(&revision.definition.description)
            .map_err(|error| error.to_string())
            .and_then(|description| Rules::read(&description).map_err(|fault| fault.detail));
        let rules = match rules {
            Ok(rules) => rules,
            Err(why) => return End::Failed(why),
        };
        let id = revision.id;
        let (name, number) = (revision.projector.clone(), revision.number);
        let caught_up = Notify::new();
        let live = || {
            if let Some(running) = self.state().running.get_mut(&id)
                && !std::mem::replace(&mut running.live, true)
            {
                caught_up.notify_one();
            }
        };
        let builds =
            revision.standing == Standing::Building && rules.activate == Activate::WhenCaughtUp;
        let runner = Runner::new(
            everyone.means.clone(),
            log.clone(),
            revision,
            rules,
            everyone.owner,
            progress,
        );
        let activate = async {
            caught_up.notified().await;
            if builds {
                while let Err(error) = projectors.activate(&log, &name, number).await {
                    tracing::warn!(%error, "a revision does not become active for now");
                    tokio::time::sleep(AGAIN).await;
                }
            }
            self.kick();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = runner.run(stop, live) => end,
            () = activate => End::Stopped,
        }
    }

    /// Whether a revision has caught up, if it is run here.
    #[must_use]
    pub fn is_live(&self, revision: i64) -> bool {
        self.state().running.get(&revision).is_some_and(|running| running.live)
    }

    /// The revision of a projector whose documents are its projection, if it is known.
    #[must_use]
    pub fn active(&self, log: &LogName, projector: &str) -> Option<Revision> {
        let state = self.state();
        let mut known = state.known.values().map(|(of, revision)| (of, revision));
        let active = known.find(|(of, revision)| {
            *of == log
                && revision.projector.as_str() == projector
                && revision.standing == Standing::Active
        });
        active.map(|(_, revision)| revision.clone())
    }
}
