//! `everlog bench` against a server: not how fast it is, but that figures come out and faults show.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::process::{Process, run, succeed};

struct Bench {
    folder: TempDir,
    server: Process,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let server = Process::serve("memory:", folder.path());
        Self { folder, server }
    }

    /// The figures of a run.
    fn figures(&self, arguments: &[&str]) -> Value {
        let report = self.report(arguments);
        report["figures"].clone()
    }

    fn report(&self, arguments: &[&str]) -> Value {
        let url = ["--url", &self.server.url, "--json"];
        let all: Vec<_> = ["bench"].iter().chain(arguments).chain(&url).copied().collect();
        serde_json::from_str(&succeed(self.folder.path(), &all)).expect("one object of JSON")
    }
}

const SHORT: [&str; 4] = ["--seconds", "0.3", "--warm-up", "0.1"];

fn with(arguments: &[&'static str]) -> Vec<&'static str> {
    arguments.iter().chain(&SHORT).copied().collect()
}

#[test]
fn publishes_are_counted_and_checked() {
    let bench = Bench::new();
    let report = bench.report(&with(&["publish", "--clients", "3", "--batch", "2"]));
    let figures = &report["figures"];
    assert!(figures["requests"].as_u64().is_some_and(|count| count > 0), "{report}");
    assert_eq!(figures["errors"], serde_json::json!({}), "{report}");
    assert!(figures["latency_us"]["p99.9"].as_u64() >= figures["latency_us"]["p50"].as_u64());
    assert!(report["durability"].as_str().is_some_and(|text| text.contains("emory")), "{report}");
    assert_eq!(report["parameters"]["batch"], 2);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn conditions_and_replays_are_publishes_too() {
    let bench = Bench::new();
    let flags = ["publish", "--if-match", "--replays", "50", "--categories", "4", "--clients", "2"];
    let figures = bench.figures(&with(&flags));
    let (requests, replays) = (figures["requests"].as_u64(), figures["replays"].as_u64());
    let (requests, replays) = (requests.expect("a count"), replays.expect("a count"));
    assert!(replays > 0 && replays.abs_diff(requests - replays) < 20, "{figures}");
    assert_eq!(figures["errors"], serde_json::json!({}));
}

#[test]
fn a_refused_publish_is_an_error_by_its_code() {
    let bench = Bench::new();
    let url = &bench.server.url;
    let arguments = ["bench", "publish", "--log", "nowhere", "--url", url, "--clients", "1"];
    let arguments: Vec<_> = arguments.iter().chain(&SHORT).copied().collect();
    let output = run(bench.folder.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("404 log-not-found"), "{said}");
}

#[test]
fn pages_and_exports_hold_what_was_prepared() {
    let bench = Bench::new();
    let read = bench.figures(&with(&["read", "--events", "250", "--page", "100"]));
    assert!(read["events_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{read}");
    for of in ["category", "log"] {
        let arguments = ["export", "--events", "1500", "--times", "2", "--of", of];
        let export = bench.figures(&arguments);
        assert!(export["events"].as_u64().is_some_and(|lines| lines >= 3_000), "{export}");
    }
}

#[test]
fn people_are_told_how_safe_it_is_and_https_is_refused() {
    let bench = Bench::new();
    let url = &bench.server.url;
    let arguments = ["bench", "publish", "--clients", "1", "--url", url];
    let arguments: Vec<_> = arguments.iter().chain(&SHORT).copied().collect();
    let said = succeed(bench.folder.path(), &arguments);
    assert!(said.contains("events/s") && said.contains("stored in"), "{said}");
    let output = run(bench.folder.path(), &["bench", "read", "--url", "https://localhost:1"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("http://"));
}
