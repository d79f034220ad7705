//! A backend that is stopped (SIGSTOP) with a delivered statement: its fate is resolved by writing again,
//! and whatever it does later it does not do twice.

use std::{process::Command, sync::Arc};

use everlog::{
    engine::{hub::Hubs, publish::Publisher, tasks::Tasks},
    model::{Ack, Log},
    storage::{
        Storage,
        postgres::{self, PostgresStore},
    },
    testing::{NewEventBuilder, PublishBuilder, StaticClock, conformance::TestStore, random},
};
use sqlx::{Connection, PgConnection};

use crate::support::{
    cluster::Cluster,
    postgres::{BySql, CONNECTIONS, pool},
};

fn signal(pid: i32, name: &str) {
    let (name, pid) = (format!("-{name}"), pid.to_string());
    let sent = Command::new("kill").args([&name, &pid]).status().expect("kill is there");
    assert!(sent.success());
}

async fn process(cluster: &Cluster) -> (TestStore, Publisher) {
    let clock = Arc::new(StaticClock::default());
    let store = PostgresStore::open(cluster.options(), CONNECTIONS, clock.clone()).await;
    let store = Arc::new(store.expect("the store opens"));
    let backdoor = Arc::new(BySql(pool(&store)));
    let storage = Storage::new(store);
    let tasks = Tasks::default();
    let hubs = Hubs::new(storage.clone(), tasks.clone());
    let publisher = Publisher::new(storage.clone(), clock.clone(), hubs, tasks);
    (TestStore { storage, backdoor, clock, keep: Arc::new(()) }, publisher)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_backend_writes_nothing_that_was_not_acknowledged() {
    let cluster = Cluster::start().expect("a Postgres of its own");
    postgres::migrate(cluster.options()).await.expect("it is migrated");
    let ((store, ours), (_, theirs)) = (process(&cluster).await, process(&cluster).await);
    let (log, stream) = (Arc::new(store.log().await), random::stream());
    let publish = async |publisher: &Publisher, log: &Arc<Log>| -> Ack {
        let event = NewEventBuilder::new().with_id(random::id()).build();
        let publish = PublishBuilder::of(&stream, event).build();
        publisher.publish(log, publish).await.expect("it is written")
    };
    // From the second on it is written in one step.
    let mut acks = vec![publish(&ours, &log).await, publish(&ours, &log).await];

    let connect = || async { PgConnection::connect_with(&cluster.options()).await };
    let (mut holder, mut watcher) =
        (connect().await.expect("a session"), connect().await.expect("another"));
    let mut turn = holder.begin().await.expect("it begins");
    sqlx::query("SELECT lane FROM lane WHERE log_id = $1 FOR UPDATE")
        .bind(log.id)
        .execute(&mut *turn)
        .await
        .expect("the lane is held");
    let stopped = async {
        let waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'everlog' \
                       AND wait_event_type = 'Lock' AND query LIKE '-- New events at the end%'";
        let pid = loop {
            let pid: Option<i32> =
                sqlx::query_scalar(waiting).fetch_optional(&mut watcher).await.expect("pids");
            if let Some(pid) = pid {
                break pid;
            }
            tokio::task::yield_now().await;
        };
        signal(pid, "STOP");
        turn.commit().await.expect("the lane is let go");
        // Another process writes on meanwhile.
        (pid, publish(&theirs, &log).await)
    };
    let (ack, (pid, other)) = tokio::join!(publish(&ours, &log), stopped);
    assert!(!ack.replayed, "what it had delivered was not written yet");
    acks.extend([other, ack]);
    signal(pid, "CONT");
    acks.extend([publish(&ours, &log).await, publish(&theirs, &log).await]);
    // The statement has ended once its backend does something else.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'";
    while sqlx::query_scalar::<_, i64>(busy)
        .bind(pid)
        .fetch_one(&mut watcher)
        .await
        .expect("a count")
        > 0
    {
        tokio::task::yield_now().await;
    }
    let mut acked: Vec<_> =
        acks.iter().flat_map(|ack| &ack.writes).flat_map(|w| &w.events).collect();
    acked.sort_by_key(|event| event.sequence_number);
    let stored = store.stored(&log).await;
    assert_eq!(stored.iter().collect::<Vec<_>>(), acked, "each once, as it was acknowledged");
    assert_eq!(stored.last().map(|event| event.sequence_number), Some(6), "and no hole");
}
