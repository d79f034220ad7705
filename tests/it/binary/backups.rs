//! Backups that are made under load: what was acknowledged before is in them, and whoever read what came after is told.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::{
    client::client,
    cluster::Cluster,
    frames::Frames,
    process::{Process, everlog, fail, succeed},
};

const LOG: &str = "/v1/logs/default";
const EVENTS: &str = "/v1/logs/default/categories/c/streams/s/events";
const DEFINITION: &str =
    r#"{"source":{"log":true},"initial_state":{"n":0},"handlers":{"e":"(s) => { s.n += 1; }"}}"#;

/// Publishes one by one until it is stopped, and knows the last sequence number that it was told.
struct Load {
    last: Arc<AtomicI64>,
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    #[expect(clippy::disallowed_methods, reason = "a client is no task of a service")]
    fn start(server: &Process) -> Self {
        let (last, over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let (told, stop, url) = (last.clone(), over.clone(), format!("{}{EVENTS}", server.url));
        let task = tokio::spawn(async move {
            let client = client();
            let body = json!({"events": [{"name": "e", "payload": "x".repeat(500)}]});
            while !stop.load(Ordering::SeqCst) {
                let Ok(answer) = client.post(&url).json(&body).send().await else { continue };
                if answer.status() == 201 {
                    let ack: Value = answer.json().await.expect("an ack is JSON");
                    told.store(
                        ack["sequence_number"].as_i64().expect("a number"),
                        Ordering::SeqCst,
                    );
                }
            }
        });
        Self { last, over, task }
    }

    /// Waits until so many are acknowledged.
    async fn reached(&self, count: i64) -> i64 {
        while self.last.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
        self.last.load(Ordering::SeqCst)
    }

    async fn stop(self) {
        self.over.store(true, Ordering::SeqCst);
        self.task.await.expect("it does not panic");
    }
}

async fn last(server: &Process) -> i64 {
    let log: Value = client()
        .get(format!("{}{LOG}", server.url))
        .send()
        .await
        .expect("it answers")
        .json()
        .await
        .expect("JSON");
    log["last_sequence_number"].as_i64().expect("a number")
}

/// A projector that counts, so that documents and their progress are in the backup too.
async fn count(server: &Process) {
    let put = client().put(format!("{}{LOG}/projectors/counter", server.url));
    let put = put.header("content-type", "application/json").body(DEFINITION).send().await;
    assert_eq!(put.expect("it answers").status(), 201);
}

/// The cursor of an event.
async fn cursor(server: &Process, number: i64) -> String {
    let url = format!("{}{LOG}/events?after={}&limit=1", server.url, number - 1);
    let page: Value =
        client().get(url).send().await.expect("it answers").json().await.expect("JSON");
    page["page"]["after"].as_str().expect("a cursor").to_owned()
}

async fn tail(server: &Process, after: &str) -> reqwest::Response {
    let tail = client().get(format!("{}{LOG}/tail", server.url)).header("last-event-id", after);
    tail.send().await.expect("it answers")
}

fn check(folder: &Path, store: &str) {
    let checked = everlog(folder).arg("check").env("EVERLOG_STORE", store).output();
    let said = String::from_utf8_lossy(&checked.expect("the binary runs").stdout).into_owned();
    assert!(said.contains(" 0 faults"), "{said}");
}

/// What holds of a store that was restored: all that was acknowledged `before` the backup, nothing that is not whole, and
/// `beyond` told to whoever had read it.
async fn holds(store: &str, before: i64, kept: &str, beyond: &str) {
    let folder = TempDir::new().expect("a folder");
    check(folder.path(), store);
    let server = Process::serve(store, folder.path());
    let restored = last(&server).await;
    assert!(restored >= before, "{before} events were acknowledged, {restored} are there");
    // Where the backup ends, history goes on otherwise.
    let body = json!({"events": [{"name": "e"}, {"name": "e"}]});
    let more = client().post(format!("{}{EVENTS}", server.url)).json(&body).send().await;
    assert_eq!(more.expect("it answers").status(), 201);
    assert_eq!(tail(&server, beyond).await.status(), 410, "what was read is not there");
    let mut frames = Frames::of(tail(&server, kept).await);
    frames.expect("start").await;
    let first = frames.next().await.expect("it goes on").data["sequence_number"].as_i64();
    assert_eq!(first, Some(before + 1), "it goes on where it was");
    // The projector goes on as well: it has counted each event once.
    let counted = format!(
        "{}{LOG}/projections/counter/entries/s?min_sequence_number={}&wait=30",
        server.url,
        restored + 2
    );
    let entry: Value =
        client().get(counted).send().await.expect("it answers").json().await.expect("JSON");
    assert_eq!(entry["state"]["n"], json!(restored + 2), "{entry}");
    assert!(server.terminate().success());
    check(folder.path(), store);
}

/// Publishes, backs up in the middle of it, and goes on: what was acknowledged before, its cursor, and that of a later event.
async fn backed_up(server: &Process, back_up: impl FnOnce()) -> (i64, String, String) {
    count(server).await;
    let load = Load::start(server);
    let before = load.reached(200).await;
    back_up();
    let after = last(server).await;
    load.reached(after + 50).await;
    load.stop().await;
    let end = last(server).await;
    (before, cursor(server, before).await, cursor(server, end).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_store_is_copied_while_it_is_written() {
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve("sqlite:everlog.db", folder.path());
    let back_up = || {
        let said = succeed(
            folder.path(),
            &["backup", "--store", "sqlite:everlog.db", "--output", "backup.db"],
        );
        assert!(said.contains("everlog check --store sqlite:backup.db"), "{said}");
    };
    let (before, kept, beyond) = backed_up(&server, back_up).await;
    assert!(server.terminate().success());
    let store = format!("sqlite:{}", folder.path().join("backup.db").display());
    holds(&store, before, &kept, &beyond).await;
}

/// The control: a file that is merely copied lacks what stands in its log yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_mere_copy_of_the_file_is_no_backup() {
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve("sqlite:everlog.db", folder.path());
    let copy = || {
        std::fs::copy(folder.path().join("everlog.db"), folder.path().join("copy.db"))
            .expect("it is copied");
    };
    let (before, ..) = backed_up(&server, copy).await;
    let output = everlog(folder.path()).args(["check", "--store", "sqlite:copy.db"]).output();
    let said = String::from_utf8_lossy(&output.expect("the binary runs").stdout).into_owned();
    assert!(!said.contains(&format!("{before} events")), "{said}");
    let whole =
        said.split_whitespace().any(|word| word.parse().is_ok_and(|events: i64| events >= before));
    assert!(!whole, "it holds all {before} events: {said}");
}

#[tokio::test]
async fn a_backup_writes_over_nothing_and_leaves_nothing_half_written() {
    let folder = TempDir::new().expect("a folder");
    let said = fail(folder.path(), &["backup", "--output", "backup.db"]);
    assert!(said.contains("everlog.db") && said.contains("is not there"), "{said}");
    succeed(folder.path(), &["migrate"]);
    std::fs::write(folder.path().join("backup.db"), "kept").expect("it is written");
    let said = fail(folder.path(), &["backup", "--output", "backup.db"]);
    assert!(said.contains("backup.db is there already"), "{said}");
    assert_eq!(std::fs::read(folder.path().join("backup.db")).expect("it is there"), b"kept");
    let said = fail(folder.path(), &["backup", "--output", "nowhere/backup.db"]);
    assert!(said.contains("nowhere/backup.db"), "{said}");
    std::fs::write(folder.path().join("other.db.partial"), "left").expect("it is written");
    succeed(folder.path(), &["backup", "--output", "other.db"]);
    let left: Vec<_> = folder
        .path()
        .read_dir()
        .expect("a folder")
        .flatten()
        .map(|file| file.file_name())
        .collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
    for store in ["memory:", "postgres://127.0.0.1:1/nowhere"] {
        let said = fail(folder.path(), &["backup", "--store", store, "--output", "b.db"]);
        assert!(said.contains("--store"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_database_is_dumped_and_restored() {
    let cluster = Cluster::start().expect("a Postgres of its own");
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve(&cluster.url(), folder.path());
    let dump = || cluster.run("pg_dump -h \"$PWD\" -U postgres -Fc -f dump postgres");
    let (before, kept, beyond) = backed_up(&server, dump).await;
    assert!(server.terminate().success());
    cluster.run("createdb -h \"$PWD\" -U postgres restored && pg_restore -h \"$PWD\" -U postgres --exit-on-error -d restored dump");
    holds(&cluster.url_of("restored"), before, &kept, &beyond).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_cluster_is_copied_and_restored() {
    let cluster = Cluster::start().expect("a Postgres of its own");
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve(&cluster.url(), folder.path());
    let (before, kept, beyond) = backed_up(&server, || cluster.back_up()).await;
    assert!(server.terminate().success());
    cluster.go_back();
    holds(&cluster.url(), before, &kept, &beyond).await;
}
