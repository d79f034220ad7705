//! The curl samples of the reference: each does what it says, in their order, on a new store.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use everlog::http::{Edition, document};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::support::{environment, process::Process};

const SAMPLES: &str = include_str!("../../../examples/every_operation.sh");
/// What they answered once, which the document shows.
const ANSWERS: &str = "examples/every_answer.json";
/// How long one is tried: a projector may not be as far yet.
const PATIENCE: Duration = Duration::from_secs(30);
/// curl's exit code for a time that is over.
const TIMED_OUT: i32 = 28;

/// Each with the operation that it is of.
fn samples() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAMPLES.split("\n\n# ").skip(1).filter_map(|part| part.split_once('\n'))
}

/// Runs a sample as a person would, who stops a tail once there was something to see; what was seen, or what it said if it failed.
fn run(sample: &str, base: &str, folder: &Path) -> Result<String, String> {
    let mut command = Command::new("bash");
    command.args(["-e", "-c", &sample.replace("http://127.0.0.1:4100", base)]);
    let output = command.current_dir(folder).env("HOME", folder).output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = output.status.code() == Some(TIMED_OUT) && said.contains("\nevent: ");
    if output.status.success() || seen {
        // With `-i`, the head of the answer comes first.
        let body = said.split_once("\r\n\r\n").map_or(said.as_str(), |(_, body)| body);
        return Ok(body.replace(base, "http://127.0.0.1:4100"));
    }
    Err(format!("{sample}\n{said}{}", String::from_utf8_lossy(&output.stderr)))
}

fn curious() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let settings = "fail-with-body\nsilent\nshow-error\nmax-time = 2\n";
    std::fs::write(folder.path().join(".curlrc"), settings).expect("it is written");
    folder
}

/// The answers that are kept; if they are to be, those of these that have other members.
fn keep(answers: &Map<String, Value>) -> Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(ANSWERS);
    let text = std::fs::read_to_string(&path).expect("they are kept");
    let kept: Map<String, Value> = serde_json::from_str(&text).expect("it is JSON");
    if environment("UPDATE").is_none() {
        return kept;
    }
    let newest = |(operation, answer): (&String, &Value)| {
        let before = kept.get(operation).filter(|before| members(before) == members(answer));
        (operation.clone(), before.unwrap_or(answer).clone())
    };
    let updated: Map<_, _> = answers.iter().map(newest).collect();
    let text = serde_json::to_string_pretty(&updated).expect("it is JSON") + "\n";
    std::fs::write(&path, text).expect("they are written");
    updated
}

/// The names of an answer's members.
fn members(answer: &Value) -> BTreeSet<&String> {
    answer.as_object().into_iter().flatten().map(|(name, _)| name).collect()
}

#[test]
fn each_operation_has_a_sample_that_works() {
    let folder = curious();
    let server = Process::serve("sqlite:samples.db", folder.path());
    let (mut done, mut answers) = (BTreeSet::new(), Map::new());
    for (operation, sample) in samples() {
        let start = Instant::now();
        let answer = loop {
            match run(sample, &server.url, folder.path()) {
                Ok(answer) => break answer,
                Err(said) => assert!(start.elapsed() < PATIENCE, "{operation}: {said}"),
            }
        };
        assert!(done.insert(operation), "{operation} has two samples");
        // What is kept in a file is a document, and a page is none of JSON.
        if !answer.is_empty() && operation != "get_docs" {
            let value = serde_json::from_str(&answer);
            let mut value = value.unwrap_or(Value::String(answer));
            // What a scanner for secrets would take for one is none to show.
            if let Some(key) = value.get_mut("key") {
                *key = Value::from("evl_4bqZJ0v1YwKd_…");
            }
            if let Some(ticket) = value["ticket"].as_str().map(str::to_owned) {
                let shown = value.to_string().replace(&ticket, "evt_8mPq2LxTz0Ra_…");
                value = serde_json::from_str(&shown).expect("it is JSON still");
            }
            answers.insert(operation.to_owned(), value);
        }
    }
    let kept = keep(&answers);
    assert_eq!(kept.keys().collect::<Vec<_>>(), answers.keys().collect::<Vec<_>>());
    for (operation, answer) in &answers {
        let (kept, given) = (members(&kept[operation]), members(answer));
        assert_eq!(kept, given, "{operation} answers otherwise: UPDATE=1 cargo test samples");
    }
    let document: Value = serde_json::from_str(document(Edition::Full)).expect("it is JSON");
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    let ids = operations.filter_map(|(_, operation)| operation["operationId"].as_str());
    assert_eq!(done, ids.collect());
}

/// The control: what is refused is no success, nor is it if something else follows.
#[test]
fn a_sample_that_fails_is_noticed() {
    let folder = curious();
    let server = Process::serve("memory:", folder.path());
    for sample in [
        "curl http://127.0.0.1:4100/v1/logs/nowhere",
        "curl http://127.0.0.1:4100/v1/logs/nowhere\ncurl http://127.0.0.1:4100/livez",
        "curl -N http://127.0.0.1:4100/v1/logs/default/categories/nothing/tail?since=now",
        "curl http://127.0.0.1:4100/v1/logs/default/events --json '{\"writes\": []}'",
    ] {
        assert!(run(sample, &server.url, folder.path()).is_err(), "{sample}");
    }
}
