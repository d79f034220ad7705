//! Imports that must not begin, and imports whose server goes away.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;

use super::script::{LOG, Script};
use crate::support::process::{Process, everlog, fail, run, succeed};

/// Nobody listens on port 1.
const NOBODY: &str = "http://127.0.0.1:1";
const GOOD: &str = r#"{"category":"letters","stream":"a","name":"written"}"#;

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(text.as_bytes()).expect("it is zipped");
    zipped.finish().expect("it is zipped")
}

fn exported(folder: &Path, server: &Process) -> String {
    succeed(folder, &["export", "--url", &server.url])
}

#[test]
fn a_bad_line_is_found_before_anything_is_sent() {
    let folder = folder();
    let folder = folder.path();
    let server = Process::serve("memory:", folder);
    let deep = format!(
        r#"{{"category":"a","stream":"b","name":"c","payload":{}{}}}"#,
        "[".repeat(65),
        "]".repeat(65)
    );
    for (bad, expected) in [
        ("{", "EOF while parsing an object at column 1"),
        (r#"{"category":"a","name":"c"}"#, "missing field `stream`"),
        (r#"{"category":"a","stream":"b","event":{}}"#, "missing field `name`"),
        (r#"{"category":"a","stream":"b","name":"c","payload":[1,}"#, "at column"),
        (r#"{"category":"a","stream":"b","name":"c","payloads":1}"#, "unknown field `payloads`"),
        (r#"{"category":"a","stream":"","name":"c"}"#, "stream: a name may not be empty"),
        (r#"{"category":"..","stream":"b","name":"c"}"#, "category: `.` and `..` are not names"),
        (r#"{"category":"a","stream":"b","name":"c","id":"7"}"#, "id: expected a UUID"),
        (r#"{"category":"a","stream":"b","name":"c","occurred_at":"now"}"#, "occurred_at: "),
        (
            r#"{"category":"a","stream":"b","name":"c","payload":{"x":1,"x":2}}"#,
            "payload/x: the key",
        ),
        (&deep, "nested deeper than 64 levels"),
    ] {
        // Requests of one event each: what stands before the bad line would have been sent.
        let text = format!("{GOOD}\n\n{GOOD}\n{bad}\n{GOOD}\n");
        fs::write(folder.join("bad.ndjson"), &text).expect("a file");
        fs::write(folder.join("bad.ndjson.gz"), gzipped(&text)).expect("a file");
        for file in ["bad.ndjson", "bad.ndjson.gz"] {
            let said = fail(folder, &["import", file, "--batch", "1", "--url", &server.url]);
            let begins = format!("everlog: nothing was sent: {file}: line 4: ");
            assert!(said.starts_with(&begins) && said.contains(expected), "{said}");
            assert_eq!(exported(folder, &server), "", "something was sent");
        }
    }
}

#[test]
fn a_gzipped_file_that_is_cut_off_is_found_before_anything_is_sent() {
    let folder = folder();
    let folder = folder.path();
    let server = Process::serve("memory:", folder);
    let zipped = gzipped(&format!("{GOOD}\n").repeat(3));
    fs::write(folder.join("cut.gz"), &zipped[..zipped.len() - 9]).expect("a file");
    let said = fail(folder, &["import", "cut.gz", "--batch", "1", "--url", &server.url]);
    assert!(said.starts_with("everlog: nothing was sent: cut.gz: line "), "{said}");
    assert_eq!(exported(folder, &server), "");
}

/// Ids are a promise: a file that was imported by an earlier release is not stored anew.
#[test]
fn the_ids_of_lines_are_those_of_earlier_releases() {
    let folder = folder();
    let folder = folder.path();
    let text = format!("{GOOD}\n\n{GOOD}\n");
    for (file, bytes) in [("plain", text.clone().into_bytes()), ("zipped", gzipped(&text))] {
        let hash = <sha2::Sha256 as sha2::Digest>::digest(&bytes).to_vec();
        fs::write(folder.join(file), bytes).expect("a file");
        let server = Process::serve("memory:", folder);
        succeed(folder, &["import", file, "--url", &server.url]);
        let exported = exported(folder, &server);
        let ids = exported.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            line["id"].as_str().expect("an id").to_owned()
        });
        let expected = [1, 3].map(|n| everlog::engine::ids::imported(&hash, n).to_string());
        assert_eq!(ids.collect::<Vec<_>>(), expected, "{file}");
    }
}

#[test]
fn a_server_that_never_answers_is_told_at_once() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("good.ndjson"), format!("{GOOD}\n")).expect("a file");
    let said = fail(folder, &["import", "good.ndjson", "--url", NOBODY]);
    let expected = "everlog: nothing was sent: no server can be reached at http://127.0.0.1:1: \
                    Connection refused (os error 111); is one running? --url or EVERLOG_URL names \
                    another\n";
    assert_eq!(said, expected);
    let server = Process::serve("memory:", folder);
    let to_log = ["import", "good.ndjson", "--url", &server.url, "--log", "none"];
    let said = fail(folder, &to_log);
    assert!(said.contains("nothing was sent") && said.contains("log-not-found"), "{said}");
}

#[test]
fn a_server_that_goes_away_is_tried_again_and_told_once() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("good.ndjson"), format!("{GOOD}\n").repeat(3)).expect("a file");
    let script = Script::start(&[LOG]);
    let (address, url) = (script.address.to_string(), script.url());
    let mut command = everlog(folder);
    command.args(["import", "good.ndjson", "--url", &url]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut errors = BufReader::new(child.stderr.take().expect("its errors are piped"));
    let mut said = String::new();
    errors.read_line(&mut said).expect("it writes text");
    let expected = format!("everlog: no server can be reached at {url}: Connection refused");
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.ends_with("; trying again for a minute\n"), "{said}");
    assert_eq!(script.heard(), ["GET /v1/logs/default HTTP/1.1"]);

    // It comes back where it was.
    let mut command = everlog(folder);
    command.args(["serve", "--listen", &address, "--store", "memory:"]);
    let server = Process::start(command);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).expect("it writes text");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && rest.is_empty(), "{rest}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("3 events stored, 0 were there already"), "{said}");
    assert_eq!(exported(folder, &server).lines().count(), 3);
}

#[test]
fn answers_that_do_not_come_are_told_in_one_line() {
    const STORED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\
                        connection: close\r\n\r\n";
    let folder = folder();
    fs::write(folder.path().join("good.ndjson"), format!("{GOOD}\n")).expect("a file");
    let script = Script::start(&[LOG, "", BUSY, "", STORED]);
    let output = run(folder.path(), &["import", "good.ndjson", "--url", &script.url()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.lines().count() == 1, "{said}");
    assert!(said.contains("no answer came from") && said.contains("trying again"), "{said}");
    assert_eq!(script.heard()[1..], ["POST /v1/logs/default/events HTTP/1.1"; 4]);
}
