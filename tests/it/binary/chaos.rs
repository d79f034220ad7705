//! Several servers on one Postgres under load, while a supervisor kills servers, stops them, ends and
//! stops their backends, and crashes Postgres. Nothing acknowledged is lost, nothing is doubled, there
//! are no holes, tails skip nothing, and conditions are judged against what was acknowledged before.
//!
//! `EVERLOG_TEST_FAULTS` sets how many faults there are; 60 by default.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};

use super::history::{History, Verdict, follow, write};
use crate::support::{
    cluster::Cluster,
    environment,
    planted::{self, Plant},
    process::Process,
    server::Setup,
};

const NODES: usize = 3;
const WRITERS: u32 = 6;
/// Progress between two faults, and while somebody is paused.
const ACKS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(1);

fn faults() -> u32 {
    let faults = environment("EVERLOG_TEST_FAULTS").map(|text| text.parse().expect("a number"));
    faults.unwrap_or(60)
}

/// The servers and the Postgres under them.
struct Scene {
    cluster: Cluster,
    folder: TempDir,
    nodes: Vec<Process>,
    history: Arc<History>,
    acks: watch::Receiver<u64>,
}

impl Scene {
    fn start() -> (Self, Arc<watch::Sender<u64>>) {
        let cluster = Cluster::start().expect("a Postgres of its own");
        let folder = TempDir::new().expect("a folder");
        let nodes: Vec<_> = (0..NODES).map(|_| serve(&cluster, folder.path())).collect();
        let history = Arc::new(History::default());
        for (index, node) in nodes.iter().enumerate() {
            history.moved(index, &node.url);
        }
        let (count, acks) = watch::channel(0);
        (Self { cluster, folder, nodes, history, acks }, Arc::new(count))
    }

    /// Waits until so much more was acknowledged, but not for ever.
    async fn progress(&mut self) {
        let enough = *self.acks.borrow_and_update() + ACKS;
        let _ = tokio::time::timeout(PATIENCE, self.acks.wait_for(|acks| *acks >= enough)).await;
    }

    async fn fault(&mut self, number: u32) {
        let index = usize::try_from(number / 5).expect("a count") % NODES;
        match number % 5 {
            0 => {
                self.nodes[index].kill();
                self.nodes[index] = serve(&self.cluster, self.folder.path());
                self.history.moved(index, &self.nodes[index].url);
            }
            1 => {
                self.nodes[index].signal("STOP");
                self.progress().await;
                self.nodes[index].signal("CONT");
            }
            2 => self.sql(&format!("SELECT pg_terminate_backend(pid) FROM {BACKENDS}")).await,
            3 => {
                let pids = self.backends().await;
                pids.iter().for_each(|pid| signal(*pid, "STOP"));
                self.progress().await;
                pids.iter().for_each(|pid| signal(*pid, "CONT"));
            }
            _ => self.cluster.crash(),
        }
    }

    async fn connect(&self) -> PgConnection {
        let connected = PgConnection::connect_with(&self.cluster.options()).await;
        connected.expect("Postgres is there between its faults")
    }

    async fn sql(&self, text: &str) {
        let done =
            sqlx::query(AssertSqlSafe(text.to_owned())).execute(&mut self.connect().await).await;
        done.expect("Postgres does as it is told");
    }

    /// Some of the backends of the servers: those at work first.
    async fn backends(&self) -> Vec<i32> {
        let text = format!("SELECT pid FROM {BACKENDS} ORDER BY state, random() LIMIT 2");
        let mut connection = self.connect().await;
        let pids = sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(&mut connection);
        pids.await.expect("Postgres tells its backends")
    }
}

const BACKENDS: &str = "pg_stat_activity WHERE application_name = 'everlog'";

fn serve(cluster: &Cluster, folder: &Path) -> Process {
    Process::serve(&cluster.url(), folder)
}

fn signal(pid: i32, name: &str) {
    let (name, pid) = (format!("-{name}"), pid.to_string());
    // It may have ended meanwhile.
    let _ = std::process::Command::new("kill").args([&name, &pid]).output();
}

#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
fn assert_clean(verdict: &Verdict) {
    println!("Postgres, {NODES} servers: {} faults, {verdict:?}", faults());
    assert!(verdict.acked > 10 && verdict.refused > 0 && verdict.resent > 0, "{verdict:?}");
    assert_eq!(verdict.faults(), 0, "{verdict:?}\n{:#?}", verdict.told);
}

/// The control: the same clients at a server that forgets conditions.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_conditions_is_caught() {
    for (plant, caught) in [(Plant::Nothing, false), (Plant::ForgetsConditions, true)] {
        let setup = Setup { storage: planted::open(plant).storage, ..Setup::memory() };
        let server = setup.start().await;
        let history = Arc::new(History::default());
        history.moved(0, &format!("http://{}", server.address));
        let (count, mut acks) = watch::channel(0);
        let (count, (stop, stopped)) = (Arc::new(count), watch::channel(false));
        let mut clients = JoinSet::new();
        for number in 0..WRITERS {
            let (history, count, stopped) = (history.clone(), count.clone(), stopped.clone());
            clients.spawn(async move { write(number, &history, &count, &stopped).await });
        }
        acks.wait_for(|acks| *acks >= 500).await.expect("the writers go on");
        stop.send(true).expect("there are clients");
        clients.join_all().await;
        let verdict = history.judge(&history.stored().await, &[]);
        assert_eq!(verdict.nonlinear > 0, caught, "{plant:?}: {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_postgres_keep_every_promise_through_faults() {
    let (mut scene, count) = Scene::start();
    let (stop, stopped) = watch::channel(false);
    let mut clients = JoinSet::new();
    for number in 0..WRITERS {
        let (history, count, stopped) = (scene.history.clone(), count.clone(), stopped.clone());
        clients.spawn(async move { write(number, &history, &count, &stopped).await });
    }
    let mut tails = JoinSet::new();
    for number in 0..NODES {
        let (history, stopped) = (scene.history.clone(), stopped.clone());
        tails.spawn(async move { follow(number, &history, &stopped).await });
    }
    for number in 0..faults() {
        scene.progress().await;
        scene.fault(number).await;
    }
    scene.progress().await;
    stop.send(true).expect("there are clients");
    clients.join_all().await;
    let stored = scene.history.stored().await;
    scene.history.ended(stored.len());
    let followed = tails.join_all().await;
    assert_clean(&scene.history.judge(&stored, &followed));
}
