//! Workers that do not answer.

use std::{process::Command, time::Duration};

use everlog::{
    engine::workers::{Silence, WorkerError, Workers},
    worker::frames::{Reply, Request, Work},
};

use crate::support::workers::{allowance, program};

const HOUR: Duration = Duration::from_secs(3_600);

async fn ask(workers: &Workers) -> Result<Reply, WorkerError> {
    let request = Request {
        key: "any",
        is_module: true,
        definition: "export default { source: { log: true }, initial_state: 0, handlers: {} };",
        allowance: allowance(),
        work: Work::Describe,
    };
    workers.ask(&request).await
}

/// A pool whose one worker is there, and its process.
async fn pool(clock: Duration) -> (Workers, String) {
    let workers = Workers::new(program(), 1, Silence { cpu: HOUR, clock });
    ask(&workers).await.expect("it answers");
    let process = workers.idle().await[0].to_string();
    (workers, process)
}

fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([name, process]).status().expect("kill is there");
    assert!(sent.success());
}

#[tokio::test]
async fn one_that_is_silent_for_too_long_is_given_up() {
    let (workers, process) = pool(Duration::from_millis(200)).await;
    signal("-STOP", &process);
    let given_up = ask(&workers).await;
    assert!(matches!(given_up, Err(WorkerError::Stuck(_))), "{given_up:?}");
    // Its place is another's.
    ask(&workers).await.expect("it answers");
    assert_ne!(workers.idle().await[0].to_string(), process);
}

#[tokio::test]
async fn while_the_server_is_stopped_nobody_is_silent() {
    let (workers, process) = pool(Duration::from_secs(60)).await;
    signal("-STOP", &process);
    let (answered, ()) = tokio::join!(ask(&workers), async {
        tokio::time::pause();
        tokio::time::advance(HOUR).await;
        tokio::time::resume();
        signal("-CONT", &process);
    });
    answered.expect("it answers");
    assert_eq!(workers.idle().await[0].to_string(), process);
}
