//! kill -9 in a storm of publishes, or of saves: nothing acknowledged is lost, nothing is doubled, no hole.
//!
//! `EVERLOG_TEST_KILLS` sets how many kills there are for each store; 50 by default, and 13 faults of a projector on
//! Postgres.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use super::{
    counts, decisions, saves,
    storm::{Verdict, storm},
    takeovers,
};
use crate::support::{environment, hasty, postgres::Database, process::Process};

fn kills() -> u32 {
    let kills = environment("EVERLOG_TEST_KILLS").map(|text| text.parse().expect("a number"));
    kills.unwrap_or(50)
}

#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
fn assert_clean(store: &str, verdict: &Verdict) {
    println!("{store}: {} kills, {verdict:?}", kills());
    assert!(verdict.acked > 0, "the storm published nothing");
    assert_eq!((verdict.lost, verdict.doubled, verdict.holes), (0, 0, 0), "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_it_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let verdict = storm(kills(), || Process::serve("sqlite:storm.db", folder.path())).await;
    assert_clean("SQLite", &verdict);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_acknowledged() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::migrated().await;
    let verdict = storm(kills(), || Process::serve(&database.url(), folder.path())).await;
    assert_clean("Postgres", &verdict);
}

#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
fn assert_saved(store: &str, verdict: &saves::Verdict) {
    println!("{store}: {} kills, {verdict:?}", kills());
    assert!(verdict.saved > 0 && verdict.broken_off > 0, "{verdict:?}");
    let broken = (verdict.lost, verdict.doubled, verdict.false_indexes, verdict.untold);
    assert_eq!(broken, (0, 0, 0, 0), "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_documents_and_their_indexes() {
    let folder = TempDir::new().expect("a folder");
    let start = || vec![Process::serve("sqlite:saves.db", folder.path())];
    assert_saved("SQLite", &saves::storm(kills(), start).await);
}

/// Two servers, both of which build the indexes.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_documents_and_their_indexes() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::migrated().await;
    let server = || Process::serve(&database.url(), folder.path());
    assert_saved("Postgres", &saves::storm(kills(), || vec![server(), server()]).await);
}

#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
fn assert_counted(store: &str, verdict: &counts::Verdict) {
    println!("{store}: {verdict:?}");
    assert!(verdict.events > 0 && verdict.workers > 0, "{verdict:?}");
    assert_eq!(verdict.miscounted, Vec::<String>::new(), "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_counts_each_event_once() {
    let folder = TempDir::new().expect("a folder");
    let start = || Process::serve("sqlite:counts.db", folder.path());
    assert_counted("SQLite", &counts::storm(kills(), start).await);
}

/// A server that is killed or stopped holds its projectors for five seconds yet: so there are fewer faults.
#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
#[tokio::test(flavor = "multi_thread")]
async fn postgres_counts_each_event_once() {
    let faults = environment("EVERLOG_TEST_KILLS").map_or(13, |_| kills());
    let verdict = takeovers::storm(faults.max(takeovers::KINDS)).await;
    println!("Postgres, two servers: {verdict:?}");
    let kinds = [verdict.servers, verdict.workers, verdict.overtaken, verdict.crashes];
    assert!(verdict.events > 0 && kinds.iter().all(|count| *count > 0), "{verdict:?}");
    assert_eq!(verdict.miscounted, Vec::<String>::new());
}

/// At most so many rounds: 1,000 events can be skipped.
const DECIDED_MAX: u32 = 100;

#[expect(clippy::print_stdout, reason = "the longer run is read by people")]
fn assert_decided(store: &str, verdict: &decisions::Verdict) {
    println!("{store}: {verdict:?}");
    assert!(verdict.skipped > 0 && verdict.workers > 0, "{verdict:?}");
    assert_eq!(verdict.wrong, Vec::<String>::new(), "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_was_decided() {
    let folder = TempDir::new().expect("a folder");
    let start = || Process::serve("sqlite:decisions.db", folder.path());
    assert_decided("SQLite", &decisions::storm(kills().min(DECIDED_MAX), start).await);
}

/// What a killed server held is its own for five seconds yet: so there are fewer rounds.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_decided() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::migrated().await;
    let rounds = environment("EVERLOG_TEST_KILLS").map_or(5, |_| kills().min(DECIDED_MAX));
    let start = || Process::serve(&database.url(), folder.path());
    assert_decided("Postgres", &decisions::storm(rounds, start).await);
}

/// The control: a server that acknowledges before it commits is caught.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_before_the_commit_is_caught() {
    let folder = TempDir::new().expect("a folder");
    let verdict = storm(10, || hasty_server(folder.path())).await;
    assert!(verdict.lost > 0, "the plant was not caught: {verdict:?}");
}

/// This very test binary, as a server with the plant in it.
fn hasty_server(folder: &Path) -> Process {
    let own = std::env::current_exe().expect("the test binary is a file");
    let mut command = Command::new(own);
    command.current_dir(folder).env(hasty::DATABASE, "hasty.db");
    command.args(["--exact", "support::hasty::acts_as_a_hasty_server", "--nocapture"]);
    Process::start(command)
}
