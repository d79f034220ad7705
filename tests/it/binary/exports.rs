//! Exports that fail, are cut off or are gone on with: no file is spoilt, and each says what to do.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::script::{LOG, Script};
use crate::support::{
    client::client,
    process::{Process, everlog, fail, succeed},
};

const SLICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/public-events-slice.ndjson");
/// Nobody listens on port 1.
const NOBODY: &str = "http://127.0.0.1:1";

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

/// A server with as many events of this name, in turn in the streams `a` and `b` of `letters`.
fn server(folder: &Path, name: &str, count: usize) -> Process {
    let server = Process::serve("memory:", folder);
    publish(folder, &server, name, count);
    server
}

fn publish(folder: &Path, server: &Process, name: &str, count: usize) {
    let line = |i: usize| {
        let stream = if i.is_multiple_of(2) { "a" } else { "b" };
        format!("{{\"category\":\"letters\",\"stream\":\"{stream}\",\"name\":\"{name}\"}}\n")
    };
    let file = format!("{name}.ndjson");
    fs::write(folder.join(&file), (0..count).map(line).collect::<String>()).expect("a file");
    succeed(folder, &["import", &file, "--url", &server.url]);
}

const STREAM: [&str; 4] = ["--category", "letters", "--stream", "b"];

#[test]
fn an_export_goes_on_where_its_log_category_or_stream_has_grown() {
    let folder = folder();
    let folder = folder.path();
    let server = server(folder, "early", 5);
    let sources: [(&str, &[&str]); 3] =
        [("log", &[]), ("category", &["--category", "letters"]), ("stream", &STREAM)];
    let export = |file: &str, source: &[&str], more: &[&str]| {
        let fixed = ["export", "--url", &server.url, "--output", file];
        succeed(folder, &[&fixed, source, more].concat());
        fs::read(folder.join(file)).expect("the export")
    };
    for (file, source) in sources {
        export(file, source, &[]);
    }
    publish(folder, &server, "late", 4);
    for (file, source) in sources {
        let whole = export(&format!("whole-{file}"), source, &[]);
        assert_eq!(export(file, source, &["--resume"]), whole, "{file}");
    }
}

#[test]
fn a_file_of_another_history_is_refused_and_left_as_it_was() {
    let folder = folder();
    let folder = folder.path();
    let ours = server(folder, "ours", 6);
    let longer = server(folder, "theirs", 9);
    let shorter = server(folder, "others", 3);
    let path = folder.join("out");
    for source in [&[][..], &["--category", "letters"], &STREAM] {
        let export = [&["export", "--output", "out"], source].concat();
        succeed(folder, &[&export[..], &["--url", &ours.url]].concat());
        let mut kept = fs::read(&path).expect("the export");
        kept.extend(b"{\"id\":\"019");
        fs::write(&path, &kept).expect("a line is begun");
        for other in [&longer, &shorter] {
            let said = fail(folder, &[&export[..], &["--resume", "--url", &other.url]].concat());
            assert!(
                said.contains("out is of another log, or of a history that was lost"),
                "{said}"
            );
            assert!(said.contains("history-diverged"), "{said}");
            assert!(fs::read(&path).expect("the file") == kept, "the file was touched");
        }
        fs::remove_file(&path).expect("it is there");
    }
}

#[test]
fn a_file_of_another_category_or_stream_or_of_a_part_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let server = server(folder, "ours", 6);
    let export = ["export", "--url", &server.url, "-o", "out"];
    succeed(folder, &[&export[..], &STREAM].concat());
    let kept = fs::read(folder.join("out")).expect("the export");
    for (source, expected) in [
        (&["--category", "numbers"][..], "its last line is of category `letters`, not `numbers`"),
        (&["--category", "letters", "--stream", "a"], "its last line is of stream `b`, not `a`"),
        (&[], "no export of a whole log: it has 3 lines, and the last is event 6 of the log"),
    ] {
        let said = fail(folder, &[&export[..], source, &["--resume"]].concat());
        assert!(said.contains(expected), "{said}");
        assert!(fs::read(folder.join("out")).expect("the file") == kept, "the file was touched");
    }
    fs::remove_file(folder.join("out")).expect("it is there");
    succeed(folder, &export);
    let said = fail(folder, &[&export[..], &STREAM, &["--resume"]].concat());
    let expected = "no export of a whole stream: it has 6 lines, and the last is event 3 of the";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_file_that_is_no_export_is_refused_and_left_as_it_was() {
    let folder = folder();
    let folder = folder.path();
    let server = server(folder, "ours", 6);
    let export = ["export", "--url", &server.url, "-o", "out"];
    succeed(folder, &export);
    let whole = fs::read_to_string(folder.join("out")).expect("the export");
    for text in ["some notes", "some notes\n", "{\"a\":1}", &format!("{whole}{{\"a\":1}}")] {
        fs::write(folder.join("out"), text).expect("a file");
        let said = fail(folder, &[&export[..], &["--resume"]].concat());
        assert!(said.contains("not an export") || said.contains("not of an export"), "{said}");
        assert_eq!(fs::read_to_string(folder.join("out")).expect("the file"), text);
    }
}

#[test]
fn an_export_that_fails_before_its_first_byte_leaves_no_file() {
    let folder = folder();
    let folder = folder.path();
    let server = Process::serve("memory:", folder);
    let cut = Script::start(&[LOG, ""]);
    let empty = Script::start(&[LOG, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"]);
    let stream = ["--category", "no", "--stream", "such"];
    for (url, source, expected) in [
        (NOBODY, &[][..], "no server can be reached at http://127.0.0.1:1: Connection refused"),
        (&server.url, &["--log", "none"], "log-not-found"),
        (&server.url, &stream, "stream-not-found"),
        (&cut.url(), &[], "no answer came from"),
        (&empty.url(), &[], "broke off at its start"),
    ] {
        let said = fail(folder, &[&["export", "--url", url, "-o", "out"], source].concat());
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
        assert!(!folder.join("out").exists(), "{expected}: an empty file was left");
    }
}

#[test]
fn an_export_of_an_empty_log_is_an_empty_file() {
    let folder = folder();
    let server = Process::serve("memory:", folder.path());
    succeed(folder.path(), &["export", "--url", &server.url, "-o", "out"]);
    assert_eq!(fs::read(folder.path().join("out")).expect("the export"), b"");
}

#[test]
fn an_export_that_is_cut_off_keeps_what_came_and_says_how_to_go_on() {
    let folder = folder();
    let script = Script::start(&[LOG, "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"a\":1}\n{"]);
    let said = fail(folder.path(), &["export", "--url", &script.url(), "-o", "out"]);
    let expected = "the export was cut off; --resume goes on after the last whole line of out";
    assert!(said.contains(expected), "{said}");
    let kept = fs::read_to_string(folder.path().join("out")).expect("what came");
    assert_eq!(kept, "{\"a\":1}\n{");
    assert_eq!(script.heard().len(), 2);
}

#[test]
fn an_export_for_which_there_is_no_room_says_how_to_go_on() {
    let folder = folder();
    let folder = folder.path();
    let server = Process::serve("memory:", folder);
    succeed(folder, &["import", SLICE, "--url", &server.url]);
    let whole = succeed(folder, &["export", "--url", &server.url]);
    // A file may grow to a few kilobytes, and no further.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 8; trap '' XFSZ; exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_everlog")).args(["export", "-o", "out", "--url", &server.url]);
    let output = command.current_dir(folder).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("File too large"), "{said}");
    assert!(said.contains("--resume goes on after the last whole line of out"), "{said}");
    succeed(folder, &["export", "-o", "out", "--url", &server.url, "--resume"]);
    assert!(fs::read_to_string(folder.join("out")).expect("the export") == whole);
}

#[test]
fn a_reader_that_goes_away_ends_an_export_quietly() {
    let folder = folder();
    let server = Process::serve("memory:", folder.path());
    succeed(folder.path(), &["import", SLICE, "--url", &server.url]);
    let mut command = everlog(folder.path());
    command.args(["export", "--url", &server.url]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_many_lanes_is_gone_on_with_by_stream_only() {
    let folder = folder();
    let folder = folder.path();
    let server = server(folder, "ours", 2);
    let lanes = client()
        .put(format!("{}/v1/logs/wide", server.url))
        .body(r#"{"ordering":"stream","lanes":4}"#);
    let made = lanes.header("content-type", "application/json").send().await.expect("an answer");
    assert!(made.status().is_success());
    let to_log = ["--url", &server.url, "--log", "wide"];
    succeed(folder, &[&["import", "ours.ndjson"], &to_log[..]].concat());
    let export = [&["export", "-o", "out"], &to_log[..]].concat();
    let said = fail(folder, &[&export[..], &["--resume"]].concat());
    assert!(said.contains("the log has 4 lanes") && said.contains("--stream"), "{said}");
    succeed(folder, &[&export[..], &STREAM].concat());
    let whole = fs::read(folder.join("out")).expect("the export");
    succeed(folder, &[&export[..], &STREAM, &["--resume"]].concat());
    assert!(fs::read(folder.join("out")).expect("the export") == whole);
}
