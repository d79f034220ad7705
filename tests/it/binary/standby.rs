//! A commit whose wait for a synchronous standby is cancelled: Postgres answers it as done, and it may
//! be on one server only. It is not acknowledged until a later commit has reached the standby.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::support::{client::client, cluster::Cluster, process::Process};

const EVENTS: &str = "/v1/logs/default/categories/c/streams/s/events";

/// A commit that takes longer waits for the standby.
const A_WHILE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect_with(&cluster.options()).await.expect("Postgres answers")
}

/// Has commits wait for a standby that is not there, or for none.
async fn require_standby(cluster: &Cluster, required: bool) {
    let mut connection = connect(cluster).await;
    let setting = if required {
        "ALTER SYSTEM SET synchronous_standby_names = 'ghost'"
    } else {
        "ALTER SYSTEM RESET synchronous_standby_names"
    };
    for statement in [setting, "SELECT pg_reload_conf()"] {
        sqlx::query(statement).execute(&mut connection).await.expect("Postgres is set up");
    }
    if !required {
        return;
    }
    // Its processes learn of it one by one: it holds when a commit is seen to wait.
    for number in 0.. {
        let mut probe = connect(cluster).await;
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut probe).await;
        let pid: i32 = pid.expect("a backend has a number");
        let create = format!("CREATE TABLE probe_{pid}_{number} (x int)");
        let create = sqlx::query(AssertSqlSafe(create)).execute(&mut probe);
        if tokio::time::timeout(A_WHILE, create).await.is_err() {
            let end = sqlx::query("SELECT pg_terminate_backend($1, 5000)").bind(pid);
            end.execute(&mut connection).await.expect("the probe is ended");
            return;
        }
    }
}

/// A commit that waits for the standby, later than this one. Cancels its wait.
async fn cancel_a_wait(cluster: &Cluster, than: &str) -> String {
    let cancelled = tokio::time::timeout(PATIENCE, try_to_cancel_a_wait(cluster, than)).await;
    cancelled.expect("a backend waits for the standby")
}

async fn try_to_cancel_a_wait(cluster: &Cluster, than: &str) -> String {
    let mut connection = connect(cluster).await;
    loop {
        let waiting = "SELECT pid, query_start::text FROM pg_stat_activity \
                       WHERE wait_event = 'SyncRep' AND query_start::text > $1";
        let waiting = sqlx::query_as(waiting).bind(than).fetch_optional(&mut connection).await;
        let waiting: Option<(i32, String)> = waiting.expect("Postgres tells who waits");
        if let Some((pid, since)) = waiting {
            let cancel = sqlx::query("SELECT pg_cancel_backend($1)").bind(pid);
            cancel.execute(&mut connection).await.expect("the wait is cancelled");
            return since;
        }
    }
}

/// The control: who only looks at the answer takes it for done.
#[tokio::test(flavor = "multi_thread")]
async fn a_bare_client_takes_a_cancelled_wait_for_done() {
    let cluster = Cluster::start().expect("a Postgres of its own");
    let mut connection = connect(&cluster).await;
    require_standby(&cluster, true).await;
    let write = sqlx::query("CREATE TABLE written (x int)").execute(&mut connection);
    let (written, _) = tokio::join!(write, cancel_a_wait(&cluster, ""));
    assert!(written.is_ok(), "the warning is not seen: {written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_is_not_acknowledged_before_a_commit_reached_the_standby() {
    let cluster = Cluster::start().expect("a Postgres of its own");
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve(&cluster.url(), folder.path());
    let publish = || {
        let body = json!({"events": [{"name": "e"}]});
        client().post(format!("{}{EVENTS}", server.url)).json(&body).send()
    };
    // Once in a section, once in one step.
    for position in [0, 1] {
        require_standby(&cluster, true).await;
        let cancelled = async {
            let first = cancel_a_wait(&cluster, "").await;
            // Not believed: it is written again, and waits again.
            cancel_a_wait(&cluster, &first).await;
            require_standby(&cluster, false).await;
        };
        let (answer, ()) = tokio::join!(publish(), cancelled);
        let answer = answer.expect("the server answers");
        assert_eq!(answer.status(), 201);
        let ack: serde_json::Value = answer.json().await.expect("an ack is JSON");
        assert_eq!((&ack["position"], &ack["replayed"]), (&json!(position), &json!(false)));
    }
}
