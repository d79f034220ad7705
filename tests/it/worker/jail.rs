//! What a worker could not do even if its engine were taken over.

use std::{
    fs::File,
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::{Command, Output},
};

use crate::support::environment;

/// What is tried from inside; set for the process that does it.
const ATTEMPT: &str = "EVERLOG_TEST_ATTEMPT";

/// Not a test by itself: the process that is shut in.
#[test]
fn acts_from_inside() {
    let Some(attempt) = environment(ATTEMPT) else { return };
    everlog::worker::jail::enter().expect("it is locked in whole");
    match attempt.as_str() {
        "open" => drop(File::open("/etc/passwd")),
        "connect" => drop(TcpStream::connect(("127.0.0.1", 1))),
        "run" => drop(Command::new("true").status()),
        "grow" => {
            let mut bytes: Vec<u8> = Vec::new();
            assert!(bytes.try_reserve(2 << 30).is_err(), "memory has no bound");
        }
        other => assert_eq!(other, "nothing"),
    }
}

fn attempt(what: &str) -> Output {
    let own = std::env::current_exe().expect("the test binary is a file");
    let mut command = Command::new(own);
    command.args(["--exact", "worker::jail::acts_from_inside", "--test-threads=1"]);
    command.env(ATTEMPT, what).output().expect("it runs")
}

#[test]
fn files_processes_and_the_network_are_out_of_reach() {
    /// Bad system call.
    const SIGSYS: i32 = 31;
    for what in ["open", "connect", "run"] {
        assert_eq!(attempt(what).status.signal(), Some(SIGSYS), "{what}");
    }
    // The control: it is not the jail itself that kills.
    for what in ["nothing", "grow"] {
        let output = attempt(what);
        assert!(output.status.success(), "{what}: {output:?}");
    }
}
