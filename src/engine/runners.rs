//! The projectors that this process runs: those that nobody else holds.
//!
//! Every process looks which revisions there are, and holds the ones that are free. A revision is run by whoever holds
//! it; the store refuses what anybody else would commit.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    changes::Changes,
    define::rules,
    fed::{Fed, Feeds, passed},
    ids,
    logs::Logs,
    program::Program,
    reduce::{Answer, Ask, ReduceError, Reduced, Until, reduce},
    runner::{self, End, HELD, Means, Part, together::Together},
    tail::Tails,
    tasks::Tasks,
    workers::Workers,
};
use crate::{
    model::{
        Clock, Cursor, Definition, Form, Log, LogName, ProjectionName, ProjectorName, Revision,
        Source, Standing, StreamKey,
    },
    projector::{Native, Rules, definition::Activate},
    storage::{Storage, StorageError, projectors::Listed},
};

/// How often it is looked which revisions there are.
const LOOK: Duration = Duration::from_millis(250);
/// How soon one that failed is run again; each time twice as late, so often.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_DOUBLED: u32 = 5;

/// Streams that are reduced on demand at once: workers are there for projectors, too.
const REDUCING_MAX: usize = 4;

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
    looking: tokio::sync::Mutex<()>,
    reducing: Semaphore,
    switched: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The revisions that there are, by their ids.
    known: BTreeMap<i64, (LogName, Revision)>,
    /// Those that are run here.
    running: HashMap<i64, Running>,
    /// Those that failed here, why, and how often in a row.
    failing: HashMap<i64, (String, u32)>,
    /// Those that are dropped, and removed here.
    swept: HashSet<i64>,
    /// What projectors feed.
    feeds: Feeds,
    /// Projectors in Rust.
    natives: HashMap<(LogName, ProjectorName), Arc<dyn Native>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    /// There may be an order.
    kicked: Arc<Notify>,
    /// Whether it has caught up.
    live: bool,
}

impl State {
    /// A projector in Rust, of the version that a revision is of.
    fn native(&self, log: &LogName, revision: &Revision) -> Option<Arc<dyn Native>> {
        let found = self.natives.get(&(log.clone(), revision.projector.clone()))?;
        (found.settings().definition() == revision.definition).then(|| found.clone())
    }

    /// The revisions that answer, without their code.
    fn answering(&self) -> Vec<(LogName, Revision)> {
        let answers = |of: &Revision| matches!(of.standing, Standing::Active | Standing::Retained);
        let known = self.known.values().filter(|(_, of)| answers(of));
        let light = |(log, of): &(LogName, Revision)| {
            let description = of.definition.description.clone();
            let definition =
                Definition { form: of.definition.form, text: String::new(), description };
            let revision = Revision {
                id: of.id,
                projector: of.projector.clone(),
                number: of.number,
                definition,
                created_at: of.created_at,
                standing: of.standing,
                halt: None,
                progress: of.progress.clone(),
            };
            (log.clone(), revision)
        };
        known.map(light).collect()
    }

    fn can_run(&self, log: &LogName, revision: &Revision) -> bool {
        revision.definition.form != Form::Native || self.native(log, revision).is_some()
    }
}

impl Runners {
    #[must_use]
    pub fn new(
        storage: Storage,
        tails: Tails,
        logs: Logs,
        changes: Changes,
        workers: Workers,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Self {
        let together = Together::new(storage.clone(), tasks.clone());
        let means = Means { storage, tails, workers, changes, together, clock };
        let runners = Self(Arc::new(Everyone {
            means,
            logs,
            tasks: tasks.clone(),
            owner: ids::mint(),
            kick: Notify::new(),
            looking: tokio::sync::Mutex::default(),
            reducing: Semaphore::new(REDUCING_MAX),
            switched: watch::Sender::new(0),
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
        tasks.spawn(async move {
            let held: Vec<i64> = {
                let state = runners.state();
                state.running.values().for_each(|running| running.stop.cancel());
                state.running.keys().copied().collect()
            };
            for revision in held {
                runners.let_go(revision).await;
            }
        });
    }

    /// Holds a revision no longer.
    async fn let_go(&self, revision: i64) {
        let projectors = &self.0.means.storage.projectors;
        if let Err(error) = projectors.hold(revision, self.0.owner, Duration::ZERO).await {
            tracing::debug!(%error, "a projector is held for a while yet");
        }
    }

    /// Looks which revisions there are, runs those that are free and ends those that are not to run.
    pub async fn look(&self) -> Result<(), StorageError> {
        // One look after the other: what an earlier one saw must not replace what a later one knows.
        let _turn = self.0.looking.lock().await;
        let projectors = &self.0.means.storage.projectors;
        let after = self.state().known.last_key_value().map_or(0, |(id, _)| *id);
        let mut listed = projectors.revisions(after).await?;
        let is_known = |listed: &Listed| {
            listed.revision.id > after || self.state().known.contains_key(&listed.revision.id)
        };
        if !listed.iter().all(is_known) {
            // Ids may come to be seen in another order than they were given.
            listed = projectors.revisions(0).await?;
        }
        let (mut free, mut dropped) = (Vec::new(), Vec::new());
        {
            let mut state = self.state();
            let mut known = BTreeMap::new();
            for Listed { log, mut revision, held } in listed {
                if let Some((_, before)) = state.known.remove(&revision.id) {
                    revision.definition = before.definition;
                }
                let standing = revision.standing;
                let runs = revision.halt.is_none()
                    && matches!(standing, Standing::Active | Standing::Building);
                if standing == Standing::Dropped && state.swept.insert(revision.id) {
                    dropped.push((log.clone(), revision.clone()));
                }
                let runs = runs && state.can_run(&log, &revision);
                match state.running.get(&revision.id) {
                    Some(running) if !runs => running.stop.cancel(),
                    Some(running) if !revision.progress.orders.is_empty() => {
                        running.kicked.notify_one();
                    }
                    // One that failed here may be held by us yet, if it could not be let go.
                    None if runs && (!held || state.failing.contains_key(&revision.id)) => {
                        free.push((log.clone(), revision.clone()));
                    }
                    _ => {}
                }
                known.insert(revision.id, (log, revision));
            }
            state.swept.retain(|id| known.contains_key(id));
            for (id, running) in &state.running {
                if !known.contains_key(id) {
                    running.stop.cancel();
                }
            }
            state.known = known;
        }
        self.feed().await?;
        for (log, revision) in free {
            self.begin(log, revision);
        }
        for (log, revision) in dropped {
            self.0.tasks.background(self.clone().sweep(log, revision));
        }
        Ok(())
    }

    /// Learns what is fed, and how far that is.
    async fn feed(&self) -> Result<(), StorageError> {
        let answering = self.state().answering();
        let feeds = Feeds::of(&self.0.means.storage, &self.0.logs, answering).await?;
        let before = std::mem::replace(&mut self.state().feeds, feeds);
        if !before.are_those_of(&self.state().feeds) {
            self.0.switched.send_modify(|switches| *switches += 1);
        }
        Ok(())
    }

    /// Removes what a dropped revision has, some at a time.
    async fn sweep(self, log: LogName, revision: Revision) {
        let swept = async {
            let Some(log) = self.0.logs.find(&log).await? else { return Ok(()) };
            while !self.0.means.storage.projectors.sweep(&log, &revision).await? {}
            Ok::<_, StorageError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "a dropped revision of a projector is not removed for now");
            tokio::time::sleep(AGAIN).await;
            self.state().swept.remove(&revision.id);
        }
    }

    fn begin(&self, log: LogName, revision: Revision) {
        let (stop, kicked) = (CancellationToken::new(), Arc::new(Notify::new()));
        let running = Running { stop: stop.clone(), kicked: kicked.clone(), live: false };
        self.state().running.insert(revision.id, running);
        let runners = self.clone();
        self.0.tasks.background(async move {
            let id = revision.id;
            let end = runners.run(log, revision, &stop, &kicked).await;
            runners.let_go(id).await;
            match end {
                End::Failed(why) => {
                    tracing::warn!(%why, "a projector does not go on for now");
                    let pause = runners.failed(id, why);
                    tokio::time::sleep(pause).await;
                }
                end => {
                    tracing::debug!(?end, "a projector is not run here any more");
                    runners.state().failing.remove(&id);
                }
            }
            runners.state().running.remove(&id);
            runners.kick();
        });
    }

    /// Notes why one failed; how long it rests.
    fn failed(&self, revision: i64, why: String) -> Duration {
        let mut state = self.state();
        let failing = state.failing.entry(revision).or_default();
        failing.0 = why;
        let pause = AGAIN * 2_u32.pow(failing.1.min(AGAIN_DOUBLED));
        failing.1 += 1;
        pause
    }

    async fn run(
        &self,
        log: LogName,
        revision: Revision,
        stop: &CancellationToken,
        kicked: &Notify,
    ) -> End {
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
        let rules = match rules(&revision.definition) {
            Ok(rules) => rules,
            Err(error) => return End::from(error),
        };
        let id = revision.id;
        let (name, number) = (revision.projector.clone(), revision.number);
        let caught_up = Notify::new();
        let live = || {
            let mut state = self.state();
            if let Some(running) = state.running.get_mut(&id)
                && !std::mem::replace(&mut running.live, true)
            {
                state.failing.remove(&id);
            }
            caught_up.notify_one();
        };
        let builds =
            revision.standing == Standing::Building && rules.activate == Activate::WhenCaughtUp;
        let Some(program) = self.program(&log.name, &revision, &rules) else { return End::Lost };
        let (log, owner) = (log.clone(), everyone.owner);
        let part = Part { log: log.clone(), revision, rules, program, owner, progress };
        let runner = runner::run(everyone.means.clone(), part, stop, kicked, live);
        let activate = async {
            caught_up.notified().await;
            let mut waits = builds;
            while waits {
                match projectors.take_over(&log, &name, number).await {
                    Ok(true) => waits = false,
                    Ok(false) => caught_up.notified().await,
                    Err(error) => {
                        tracing::warn!(%error, "a revision does not become active for now");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
            self.kick();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = runner => end,
            () = activate => End::Stopped,
        }
    }

    /// Runs a projector in Rust: the revision of its version.
    pub fn register(&self, log: LogName, name: ProjectorName, native: Arc<dyn Native>) {
        self.state().natives.insert((log, name), native);
        self.kick();
    }

    /// What applies the events of a revision; nothing if this program does not have it.
    pub(super) fn program(
        &self,
        log: &LogName,
        revision: &Revision,
        rules: &Rules,
    ) -> Option<Program> {
        if revision.definition.form != Form::Native {
            let (workers, key) = (&self.0.means.workers, revision.id.to_string());
            return Some(Program::script(workers, key, &revision.definition, rules.allowance));
        }
        self.state().native(log, revision).map(Program::Native)
    }

    /// What a revision makes of a stream; nothing if the stream has no event. It goes on from a snapshot, if it may.
    pub async fn reduced(
        &self,
        log: &Arc<Log>,
        revision: &Revision,
        stream: &StreamKey,
        until: &Until,
        goes_on: bool,
    ) -> Result<Option<Reduced>, ReduceError> {
        let rules = rules(&revision.definition)?;
        let program = self.program(&log.name, revision, &rules).ok_or(ReduceError::Elsewhere)?;
        // The semaphore is never closed.
        let _permit = self.0.reducing.acquire().await;
        let storage = &self.0.means.storage;
        let ask = Ask { storage, log, revision, program, stream, until, goes_on };
        let Answer { reduced, snapshots } = reduce(ask).await;
        if !snapshots.is_empty() {
            let (storage, log, revision) = (storage.clone(), log.clone(), revision.clone());
            self.0.tasks.spawn(async move {
                let kept = storage.projectors.keep_snapshots(&log, &revision, &snapshots).await;
                if let Err(error) = kept {
                    tracing::debug!(%error, "snapshots are not kept");
                }
            });
        }
        reduced
    }

    /// What keeps a revision from going on here for now.
    #[must_use]
    pub fn failing(&self, revision: i64) -> Option<String> {
        self.state().failing.get(&revision).map(|(why, _)| why.clone())
    }

    /// Whether a revision has caught up, if it is run here.
    #[must_use]
    pub fn is_live(&self, revision: i64) -> bool {
        self.state().running.get(&revision).is_some_and(|running| running.live)
    }

    /// How many events a revision has not passed, at most.
    pub async fn behind(&self, log: &Log, revision: &Revision) -> Result<i64, StorageError> {
        let source = rules(&revision.definition)?.source;
        let places = match revision.progress.cursor.parse() {
            Ok(Cursor::Number(place)) if matches!(source, Source::Stream(_)) => vec![place.n + 1],
            Ok(Cursor::Number(place)) => vec![log.lanes.split(place.n).1],
            Ok(Cursor::Vector(places)) => places.iter().map(|place| place.n).collect(),
            Err(_) => Vec::new(),
        };
        let mut view = self.0.means.storage.events.view(log).await?;
        let mut behind = 0;
        for (index, lane) in log.lanes.of(&source).into_iter().enumerate() {
            let tip = view.tip(&source, lane).await?;
            let end = tip.map_or(0, |tip| match source {
                Source::Stream(_) => tip.position + 1,
                Source::Log | Source::Category(_) => tip.n,
            });
            behind += (end - places.get(index).copied().unwrap_or(0)).max(0);
        }
        view.close().await;
        Ok(behind)
    }

    /// The revision that feeds a projection, as far as is known here: others' changes show a quarter of a second later.
    #[must_use]
    pub fn fed(&self, log: &LogName, projection: &str) -> Option<Fed> {
        self.state().feeds.get(log, projection)
    }

    /// The names of the documents that answer in a log.
    #[must_use]
    pub fn answering(&self, log: &LogName) -> Vec<ProjectionName> {
        self.state().feeds.documents(log)
    }

    /// All revisions that are not dropped, as they were at the last look.
    #[must_use]
    pub fn known(&self) -> Vec<(LogName, Revision)> {
        let state = self.state();
        let known = state.known.values().filter(|(_, of)| of.standing != Standing::Dropped);
        known.cloned().collect()
    }

    /// Tells when another revision answers, of whichever projector.
    #[must_use]
    pub fn switches(&self) -> watch::Receiver<u64> {
        self.0.switched.subscribe()
    }

    /// The last event that a revision has passed, once that is a number, or after a while.
    pub async fn reached(
        &self,
        log: &Arc<Log>,
        fed: &mut Fed,
        number: i64,
        wait: Duration,
    ) -> Result<i64, StorageError> {
        let means = &self.0.means;
        let deadline = Instant::now() + wait;
        let mut following = means.changes.follow(log, &fed.documents);
        loop {
            if let Some(now) = self.fed(&log.name, fed.documents.known())
                && now.revision != fed.revision
            {
                *fed = now;
                following = means.changes.follow(log, &fed.documents);
            }
            following.clear();
            let progress = means.storage.projectors.progress(fed.revision).await?;
            let reached = progress.map_or(0, |progress| {
                fed.is_at(log, &progress);
                passed(log, &progress, number)
            });
            if reached >= number || Instant::now() >= deadline || self.0.tasks.stopping() {
                return Ok(reached);
            }
            // What it passes without a change of a document wakes nobody elsewhere.
            let again = deadline.min(Instant::now() + LOOK);
            tokio::select! {
                _ = tokio::time::timeout_at(again, following.woken()) => {}
                () = self.0.tasks.stopped() => {}
            }
        }
    }
}
