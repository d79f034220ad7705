//! A projector that counts, on two servers over one Postgres: servers and workers are killed, whoever holds the projector
//! is stopped until the other has it and then goes on as if nothing had been, Postgres crashes.
//!
//! It does not see a store that takes commits of a lost hold: states are whole, and who goes on writes the right ones in
//! the end. `engine::overtaken` does, and the store's own cases (`conformance::projecting`).

use std::sync::Arc;

use reqwest::Client;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::counts::{PATIENCE, WRITERS, applied, define, judge, write};
use crate::support::{client::client, cluster::Cluster, process::Process};

/// How many kinds of faults there are.
pub(crate) const KINDS: u32 = 4;
/// Acknowledged publishes between two faults at least, and how many there may be: what was published is counted anew by
/// each revision.
const ACKS: u32 = 5;
const FLOW: usize = 40;
/// Who holds the newest revision, and until when.
const HOLD: &str = "SELECT owner, held_until FROM projector_revision ORDER BY id DESC LIMIT 1";

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
    /// Who is likely to hold the projector.
    holder: usize,
    writers: JoinSet<()>,
    may: Arc<Semaphore>,
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
        holder: 0,
        writers: JoinSet::new(),
        may: Arc::new(Semaphore::new(0)),
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
            (last, scene.holder) = (number, 0);
            define(&scene.client, &scene.nodes[0].url, last).await;
        }
        scene.goes_on().await;
        scene.fault(number).await;
    }
    scene.goes_on().await;
    // Postgres ends with the scene.
    let Scene { client, nodes, writers, may, verdict, cluster: _cluster, folder: _folder, .. } =
        scene;
    may.close();
    writers.join_all().await;
    let (events, miscounted) = judge(&client, &nodes[1].url, last).await;
    Verdict { events, miscounted, ..verdict }
}

impl Scene {
    fn publish_to(&mut self, node: usize) {
        for writer in 0..WRITERS {
            let (url, may) = (self.nodes[node].url.clone(), self.may.clone());
            self.writers.spawn(write(writer, url, may, self.count.clone()));
        }
    }

    /// Waits until something was published and counted; more is under way then.
    async fn goes_on(&mut self) {
        self.is_published().await;
        let before = self.counted().await;
        self.may.add_permits(FLOW);
        let counted = async { while self.counted().await <= before {} };
        timeout(PATIENCE, counted).await.expect("it is counted");
    }

    /// Waits until something was published.
    async fn is_published(&mut self) {
        self.may.add_permits(FLOW);
        let enough = *self.acks.borrow_and_update() + ACKS;
        let published = self.acks.wait_for(|acks| *acks >= enough);
        timeout(PATIENCE, published).await.expect("it is published").expect("there are writers");
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

    /// Every kind in turn, next to another one each time.
    async fn fault(&mut self, number: u32) {
        let (turn, step) = (number / KINDS, number % KINDS);
        let node = usize::try_from(turn / 2).expect("a count") % 2;
        match (turn + step * (1 + turn % 2 * 2)) % KINDS {
            0 => {
                self.nodes[node].kill();
                self.nodes[node] = serve(&self.cluster, &self.folder);
                self.publish_to(node);
                self.holder = 1 - node;
                self.verdict.servers += 1;
            }
            1 => {
                let killed = self.nodes.iter().filter(|node| node.signal_workers("KILL")).count();
                self.verdict.workers += u32::try_from(killed).expect("a count");
            }
            2 => {
                timeout(PATIENCE, self.overtake()).await.expect("one of them holds it");
                self.verdict.overtaken += 1;
            }
            _ => {
                self.cluster.crash();
                self.verdict.crashes += 1;
            }
        }
    }

    /// Stops whoever holds the projector until the other has it and counts; then it goes on where it was. Its worker
    /// answers while it is stopped: it wakes with events that it believes to be its own to commit.
    async fn overtake(&mut self) {
        loop {
            let other = 1 - self.holder;
            self.nodes[self.holder].signal_workers("STOP");
            self.is_published().await;
            self.nodes[self.holder].signal("STOP");
            self.nodes[self.holder].signal_workers("CONT");
            let taken_over = self.is_taken_over().await;
            if taken_over {
                self.counts_on(other).await;
                self.counts_on(other).await;
            }
            self.nodes[self.holder].signal("CONT");
            self.holder = other;
            if taken_over {
                return;
            }
        }
    }

    /// Whether another takes the newest revision over; not if who holds it goes on to renew its hold.
    async fn is_taken_over(&self) -> bool {
        let connected = PgConnection::connect_with(&self.cluster.options()).await;
        let mut connection = connected.expect("Postgres is there");
        let (mut first, mut renewed) = (None::<(String, i64)>, 0);
        loop {
            let held = sqlx::query_as::<_, (String, i64)>(HOLD).fetch_one(&mut connection).await;
            let (owner, until) = held.expect("there is a revision");
            match &mut first {
                Some((before, _)) if *before != owner => return true,
                // One renewal may have been under way when it was stopped.
                Some(_) if renewed == 2 => return false,
                Some((_, before)) => {
                    renewed += i32::from(*before != until);
                    *before = until;
                }
                None => first = Some((owner, until)),
            }
        }
    }

    /// Waits until a server tells that more was counted.
    async fn counts_on(&self, node: usize) {
        let base = &self.nodes[node].url;
        let before = loop {
            if let Some(counted) = applied(&self.client, base).await {
                break counted;
            }
        };
        self.may.add_permits(FLOW);
        while applied(&self.client, base).await.is_none_or(|now| now <= before) {}
    }
}
