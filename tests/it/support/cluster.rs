//! A throwaway Postgres cluster for this test process, on a socket in a temporary folder.
//!
//! Invariant: it is gone when the process is, however that ends. A guardian (`cluster.sh`) holds
//! the reading end of a pipe whose writing end only this process has; at its end it stops the
//! server and removes the folder.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use sqlx::postgres::PgConnectOptions;

const HOW_TO_GET_IT: &str = "these tests need Postgres 15 or later: install it with \
    `apt-get install postgresql`, or name the folder of its programs in \
    EVERLOG_TEST_POSTGRES_BIN, or a running server in TEST_DATABASE_URL";

/// How a superuser connects. Starts the cluster if it does not run yet.
pub(crate) fn options() -> PgConnectOptions {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(Cluster::start).as_ref();
    let cluster = cluster.map_err(|why| format!("{HOW_TO_GET_IT} ({why})"));
    cluster.expect("a Postgres to test against").options()
}

/// A cluster, gone when it is dropped.
pub(crate) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    /// Holds the pipe.
    _guardian: Child,
}

impl Cluster {
    /// How a superuser connects.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.folder)
            .username("postgres")
            .database("postgres")
    }

    /// How a superuser connects, as a URL.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The same for another database.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{folder}/{database}")
    }

    /// Ends all of it at once, as a crash would, and starts it again: it recovers from its log.
    pub(crate) fn crash(&self) {
        self.run("pg_ctl -D data -w -t 60 -m immediate -l log restart");
    }

    /// Keeps a copy of all there is.
    pub(crate) fn keep(&self) {
        self.run("cp data/postmaster.opts kept.opts");
        self.run("pg_ctl -D data -w -m fast stop && cp -a data kept");
        self.run("cp kept.opts data/postmaster.opts && pg_ctl -D data -w -m fast -l log restart");
    }

    /// Goes on from the copy, as a standby does that had not received the rest.
    pub(crate) fn go_back(&self) {
        self.run("cp data/postmaster.opts kept.opts");
        self.run("pg_ctl -D data -w -m immediate stop && rm -rf data && mv kept data");
        self.run("cp kept.opts data/postmaster.opts && pg_ctl -D data -w -m fast -l log restart");
    }

    /// Copies all there is while it goes on, as backups are made.
    pub(crate) fn back_up(&self) {
        self.run("pg_basebackup -h \"$PWD\" -U postgres -D kept -X stream -c fast");
    }

    /// Runs a line of a shell in the cluster's folder, as the user whose it is.
    pub(crate) fn run(&self, line: &str) {
        let path = super::environment("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.folder);
        command.env("PATH", format!("{}:{path}", self.programs.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((uid, gid)) = somebody_else() {
            command.uid(uid).gid(gid);
        }
        let done = command.status().expect("a shell runs");
        assert!(done.success(), "{line}");
    }

    pub(crate) fn start() -> Result<Self, String> {
        let programs = programs().ok_or("there is no initdb here")?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(include_str!("cluster.sh")).arg("cluster").arg(&programs);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        // Out of the terminal's reach: an interrupt is for the tests, whose end is the guardian's.
        command.process_group(0);
        if let Some((uid, gid)) = somebody_else() {
            command.uid(uid).gid(gid);
        }
        let failed = |error| format!("cannot start the guardian of Postgres: {error}");
        let mut guardian = command.spawn().map_err(failed)?;
        let answers = guardian.stdout.take().ok_or("the guardian has no output")?;
        let mut told = String::new();
        for line in BufReader::new(answers).lines().map_while(Result::ok) {
            if let Some(folder) = line.strip_prefix("ready ") {
                return Ok(Self { folder: folder.into(), programs, _guardian: guardian });
            }
            told.push_str(&line);
            told.push('\n');
        }
        Err(format!("Postgres in {} does not start: {told}", programs.display()))
    }
}

/// The folder of `initdb`: as named, else on the PATH, else the newest of Debian's.
fn programs() -> Option<PathBuf> {
    if let Some(named) = super::environment("EVERLOG_TEST_POSTGRES_BIN") {
        return Some(named.into());
    }
    let path = super::environment("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|p| has_initdb(p));
    on_path.or_else(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let number = |name: &std::ffi::OsStr| name.to_str()?.parse::<u32>().ok();
        versions
            .filter_map(|entry| Some((number(&entry.file_name())?, entry.path().join("bin"))))
            .filter(|(_, folder)| has_initdb(folder))
            .max()
            .map(|(_, folder)| folder)
    })
}

fn has_initdb(folder: &Path) -> bool {
    folder.join("initdb").is_file()
}

/// Postgres refuses to run as root: then it runs as `postgres`, else as `nobody`.
fn somebody_else() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid =
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?;
    if uid != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}
