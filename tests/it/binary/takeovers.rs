//! A projector that counts, on two servers over one Postgres: servers and workers are killed, whoever holds the projector
//! is stopped until the other has it and then goes on as if nothing had been, Postgres crashes.
//!
//! It does not see a store that accepts commits of a lost hold: whoever goes on has seldom anything to commit. The store's
//! own tests do (`conformance::projecting`).

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use super::counts::{PATIENCE, applied, define, judge, write};
use crate::support::{client::client, cluster::Cluster, process::Process};

/// How many kinds of faults there are.
pub(crate) const KINDS: u32 = 4;
/// Acknowledged publishes between two faults.
const ACKS: u32 = 5;

/// What was done, and found in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) events: usize,
    /// Kills of servers, and of workers.
    pub(crate) servers: u32,
    pub(crate) workers: u32,
    /// Owners that were stopped until another had taken over.
    pub(crate) overtaken: u32,
    /// Crashes of Postgres.
    pub(crate) crashes: u32,
    pub(crate) miscounted: Vec<String>,
}

struct Scene {
    client: Client,
    cluster: Cluster,
    folder: TempDir,
    nodes: [Process; 2],
    writers: JoinSet<()>,
    count: Arc<watch::Sender<u32>>,
    acks: watch::Receiver<u32>,
    verdict: Verdict,
}

fn serve(cluster: &Cluster, folder: &TempDir) -> Process {
    Process::serve(&cluster.url(), folder.path())
}

/// Does so many things to servers that publish and count.
pub(crate) async fn storm(faults: u32) -> Verdict {
    let cluster = Cluster::start().expect("a Postgres of its own");
    let folder = TempDir::new().expect("a folder");
    let nodes = [serve(&cluster, &folder), serve(&cluster, &folder)];
    let (count, acks) = watch::channel(0);
    let mut scene = Scene {
        client: client(),
        cluster,
        folder,
        nodes,
        writers: JoinSet::new(),
        count: Arc::new(count),
        acks,
        verdict: Verdict::default(),
    };
    define(&scene.client, &scene.nodes[0].url, 0).await;
    (0..2).for_each(|node| scene.publish_to(node));
    let mut last = 0;
    for number in 0..faults {
        // A new revision is built beside the other, through all of it.
        if number % 7 == 6 {
            last = number;
            define(&scene.client, &scene.nodes[0].url, last).await;
        }
        scene.goes_on().await;
        scene.fault(number).await;
    }
    scene.goes_on().await;
    // Postgres ends with the scene.
    let Scene { client, nodes, writers, acks, verdict, cluster: _cluster, folder: _folder, .. } =
        scene;
    drop(acks);
    writers.join_all().await;
    let (events, miscounted) = judge(&client, &nodes[1].url, last).await;
    Verdict { events, miscounted, ..verdict }
}

impl Scene {
    fn publish_to(&mut self, node: usize) {
        // One each: a new revision is to catch up in the end.
        self.writers.spawn(write(0, self.nodes[node].url.clone(), self.count.clone()));
    }

    /// Waits until something was published and counted.
    async fn goes_on(&mut self) {
        let enough = *self.acks.borrow_and_update() + ACKS;
        let published = self.acks.wait_for(|acks| *acks >= enough);
        timeout(PATIENCE, published).await.expect("it is published").expect("there are writers");
        let before = self.counted().await;
        let counted = async { while self.counted().await <= before {} };
        timeout(PATIENCE, counted).await.expect("it is counted");
    }

    /// How many events were counted, as either server tells.
    async fn counted(&self) -> i64 {
        loop {
            for node in &self.nodes {
                if let Some(counted) = applied(&self.client, &node.url).await {
                    return counted;
                }
            }
        }
    }

    async fn fault(&mut self, number: u32) {
        let node = usize::try_from(number / KINDS).expect("a count") % 2;
        match number % KINDS {
            0 => {
                self.nodes[node].kill();
                self.nodes[node] = serve(&self.cluster, &self.folder);
                self.publish_to(node);
                self.verdict.servers += 1;
            }
            1 => {
                let killed = self.nodes.iter().filter(|node| node.kill_worker()).count();
                self.verdict.workers += u32::try_from(killed).expect("a count");
            }
            2 => self.overtake().await,
            _ => {
                self.cluster.crash();
                self.verdict.crashes += 1;
            }
        }
    }

    /// Stops whoever holds the projector until the other does.
    async fn overtake(&mut self) {
        for node in 0..2 {
            let before = self.owner().await;
            self.nodes[node].signal("STOP");
            // If it is the other one's it goes on, and else it does not before the hold has run out.
            let other = self.nodes[1 - node].url.clone();
            let counted = applied(&self.client, &other).await.unwrap_or(0);
            let goes_on = async {
                while applied(&self.client, &other).await.is_none_or(|now| now <= counted) {}
            };
            timeout(PATIENCE, goes_on).await.expect("somebody counts");
            let after = self.owner().await;
            self.nodes[node].signal("CONT");
            if before != after {
                self.verdict.overtaken += 1;
                return;
            }
        }
    }

    /// Who holds the revision that answers.
    async fn owner(&self) -> String {
        let text = "SELECT owner FROM projector_revision WHERE standing = 'active'";
        let options = self.cluster.options();
        let asked = async {
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::query_scalar(AssertSqlSafe(text.to_owned())).fetch_one(&mut connection).await
        };
        let owner = timeout(Duration::from_secs(10), asked).await.expect("Postgres answers");
        owner.expect("one revision answers")
    }
}
