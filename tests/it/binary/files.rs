//! Real events through a file and back: imported, exported, compared, checked, resumed.
//!
//! `EVERLOG_TEST_EVENTS` names a larger file of the same shape; a slice of real events is here.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    environment,
    postgres::Database,
    process::{Process, everlog, run, succeed},
};

fn events_file() -> PathBuf {
    let slice = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/public-events-slice.ndjson");
    environment("EVERLOG_TEST_EVENTS").unwrap_or_else(|| slice.to_owned()).into()
}

fn lines(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).expect("the file is there");
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unzipped = flate2::read::MultiGzDecoder::new(bytes.as_slice());
        std::io::Read::read_to_string(&mut unzipped, &mut text).expect("it is gzipped text");
    } else {
        text = String::from_utf8(bytes).expect("it is text");
    }
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

type Streams = BTreeMap<(String, String), Vec<(String, Value, Value, i64, i64)>>;

/// The events of a file by stream, in order, as a publish states them. Either shape of a line.
fn by_stream(path: &Path) -> Streams {
    let mut streams = Streams::new();
    for line in lines(path) {
        let event = line.get("event").unwrap_or(&line);
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let micros = |value: &Value| -> i64 {
            chrono::DateTime::parse_from_rfc3339(&text(value)).expect("a time").timestamp_micros()
        };
        let occurred = micros(&event["occurred_at"]);
        // Where the file states no time of observation, the server chose it.
        let observed = match (line.get("event"), &event["observed_at"]) {
            (Some(_), Value::Null) => 0,
            (_, stated) => micros(stated),
        };
        let content = (text(&event["name"]), event["payload"].clone(), event["metadata"].clone());
        let stream = streams.entry((text(&line["category"]), text(&line["stream"]))).or_default();
        stream.push((content.0, content.1, content.2, occurred, observed));
    }
    streams
}

/// Equal but for times that the file left to the server.
fn assert_same(file: &Streams, exported: &Streams) {
    assert_eq!(file.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>());
    for (stream, events) in file {
        let found = &exported[stream];
        assert_eq!(events.len(), found.len(), "{stream:?}");
        for (event, found) in events.iter().zip(found) {
            let mut found = found.clone();
            if event.4 == 0 {
                found.4 = 0;
            }
            assert_eq!(event, &found, "{stream:?}");
        }
    }
}

/// The whole way of a file through a store that outlives its server.
fn round_trip(store: &str, outlives: bool) {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    let file = events_file();
    let path = file.to_str().expect("a path");
    let mut server = Process::serve(store, folder);
    let import = |server: &Process| succeed(folder, &["import", path, "--url", &server.url]);
    let count = lines(&file).len();
    assert!(import(&server).starts_with(&format!("{count} events stored, 0 were there")));
    if outlives {
        assert!(server.terminate().success());
        // Its URL may have a password, which no argument takes.
        let check = everlog(folder).arg("check").env("EVERLOG_STORE", store).output();
        let said = String::from_utf8_lossy(&check.expect("the binary runs").stdout).into_owned();
        assert!(said.contains(" 0 faults"), "{said}");
        server = Process::serve(store, folder);
    }
    assert!(import(&server).starts_with(&format!("0 events stored, {count} were there")));
    succeed(folder, &["export", "--url", &server.url, "--output", "out.ndjson"]);
    let exported = folder.join("out.ndjson");
    assert_same(&by_stream(&file), &by_stream(&exported));
    let numbers =
        lines(&exported).iter().map(|l| l["sequence_number"].as_i64()).collect::<Vec<_>>();
    let expected: Vec<_> = (1..).take(count).map(Some).collect();
    assert_eq!(numbers, expected, "the log's order has no holes");

    // What was exported goes into another server as it is: ids, times and all.
    let other = Process::serve("memory:", folder);
    succeed(folder, &["import", "out.ndjson", "--url", &other.url]);
    succeed(folder, &["export", "--url", &other.url, "--output", "again.ndjson"]);
    let content = |path: &str| -> Vec<Value> {
        let mut lines = lines(&folder.join(path));
        for line in &mut lines {
            line["recorded_at"] = Value::Null;
        }
        lines
    };
    assert_eq!(content("out.ndjson"), content("again.ndjson"), "also the order across streams");
}

#[test]
fn real_events_go_through_memory_and_back() {
    round_trip("memory:", false);
}

#[test]
fn real_events_go_through_sqlite_and_back() {
    round_trip("sqlite:events.db", true);
}

#[tokio::test(flavor = "multi_thread")]
async fn real_events_go_through_postgres_and_back() {
    let database = Database::migrated().await;
    let url = database.url();
    tokio::task::spawn_blocking(move || round_trip(&url, true)).await.expect("it goes through");
}

#[test]
fn an_import_with_other_settings_stores_nothing_twice() {
    let folder = TempDir::new().expect("a folder");
    let (folder, file) = (folder.path(), events_file());
    let path = file.to_str().expect("a path");
    let server = Process::serve("memory:", folder);
    let count = lines(&file).len();
    let import =
        |more: &[&str]| succeed(folder, &[&["import", path, "--url", &server.url], more].concat());
    import(&["--batch", "7"]);
    assert!(import(&["--order", "stream"]).starts_with(&format!("0 events stored, {count} were")));
}

#[test]
fn an_export_goes_on_where_it_was_cut_off() {
    let folder = TempDir::new().expect("a folder");
    let (folder, file) = (folder.path(), events_file());
    let server = Process::serve("memory:", folder);
    succeed(folder, &["import", file.to_str().expect("a path"), "--url", &server.url]);
    let export = ["export", "--url", &server.url, "--output", "out.ndjson"];
    succeed(folder, &export);
    let path = folder.join("out.ndjson");
    let whole = fs::read(&path).expect("the export");
    assert!(!run(folder, &export).status.success(), "an existing file is not overwritten");
    for kept in [whole.len() / 2, whole.len() - 1, 10, 0] {
        fs::write(&path, &whole[..kept]).expect("it is cut off");
        succeed(folder, &[&export[..], &["--resume"]].concat());
        assert_eq!(fs::read(&path).expect("the export"), whole, "{kept} bytes were left");
    }
}

/// The comparison can fail: a file whose events were changed on the way is told apart.
#[test]
fn the_comparison_sees_a_changed_a_lost_and_a_moved_event() {
    let file = by_stream(&events_file());
    let stream =
        file.iter().find(|(_, events)| events.len() > 2).expect("a longer stream").0.clone();
    let plants: [fn(&mut Vec<_>); 3] = [
        |events: &mut Vec<(String, Value, Value, i64, i64)>| events[0].1 = Value::Null,
        |events| drop(events.pop()),
        |events| events[0].3 += 1,
    ];
    for plant in plants {
        let mut changed = file.clone();
        plant(changed.get_mut(&stream).expect("the stream"));
        let caught = std::panic::catch_unwind(|| assert_same(&file, &changed));
        assert!(caught.is_err());
    }
}
