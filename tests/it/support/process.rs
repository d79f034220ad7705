//! The real binary, started as a user would start it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

/// A server in a process of its own. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// What it said before it was ready.
    pub(crate) welcome: String,
}

impl Process {
    /// `everlog serve`, on a free port.
    pub(crate) fn serve(store: &str, folder: &Path) -> Self {
        let mut command = everlog(folder);
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("EVERLOG_STORE", store);
        Self::start(command)
    }

    /// Any command that says, as the server does, where it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its errors are piped"));
        let mut welcome = String::new();
        let url = loop {
            let mut line = String::new();
            let count = lines.read_line(&mut line).expect("it writes text");
            assert!(count > 0, "it ended before it listened: {welcome}");
            welcome.push_str(&line);
            if let Some((_, url)) = line.split_once(" listens on ") {
                break url.trim().to_owned();
            }
        };
        // Nobody listens to what it says from now on, which may not matter to it.
        drop(lines);
        Self { child, url, welcome }
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is there to be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("it ends")
    }

    /// The memory that it has in use.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("the kernel tells its memory")
    }

    /// A signal, by its name, for each worker that the server has now; whether it has one.
    pub(crate) fn signal_workers(&self, name: &str) -> bool {
        let (name, parent) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("pkill").args([&name, "-P", &parent]).status();
        sent.expect("pkill is there").success()
    }

    /// A signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let (name, pid) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([&name, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command, what it says copied to `server.log`: its welcome is read from a pipe that nobody reads to its end.
pub(crate) fn logged(command: &Command) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c", r#"exec "$0" "$@" 2> >(tee -p server.log >&2)"#]);
    bash.arg(command.get_program()).args(command.get_args());
    bash.current_dir(command.get_current_dir().expect("it has a folder"));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    bash
}

/// All that a server logged that was asked to stop.
pub(crate) fn log(folder: &Path) -> String {
    let start = std::time::Instant::now();
    loop {
        let log = std::fs::read_to_string(folder.join("server.log")).expect("there is a log");
        if log.contains("shutting down") {
            return log;
        }
        assert!(start.elapsed().as_secs() < 10, "it was not asked to stop: {log}");
    }
}

/// The binary under test, in a folder, without the settings of whoever runs the tests.
pub(crate) fn everlog(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everlog"));
    command.current_dir(folder);
    let settings = std::env::vars().map(|(name, _)| name).filter(|n| n.starts_with("EVERLOG_"));
    settings.for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Runs a command of the binary to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    everlog(folder).args(arguments).output().expect("the binary runs")
}

/// Runs a command that must succeed; what it printed.
pub(crate) fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "everlog {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What a command says that must fail.
pub(crate) fn fail(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "everlog {arguments:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
