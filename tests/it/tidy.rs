//! The house rules that no compiler knows: who may use whom, sizes, names, and SQL.
//!
//! Each rule looks at one file, or at all files of a kind, and says what to do; each is planted a
//! violation, so that none can fall asleep.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const LINES_MAX: usize = 600;
const REFUSED_NAMES: [&str; 5] = ["utils", "common", "types", "helpers", "misc"];

/// Who may use whom: the longest path that begins a file's decides. What is absent is refused.
const ARROWS: [(&str, &[&str]); 16] = [
    ("src/model/", &["model"]),
    ("src/query/", &["query", "model"]),
    ("src/auth/", &["auth", "model"]),
    ("src/storage/", &["storage", "query", "auth", "model"]),
    ("src/storage/open.rs", &["storage", "storage::adapter", "query", "auth", "model"]),
    ("src/storage/memory/", &["storage", "storage::memory", "query", "auth", "model"]),
    ("src/storage/sqlite/", &["storage", "storage::sqlite", "query", "auth", "model"]),
    ("src/storage/postgres/", &["storage", "storage::postgres", "query", "auth", "model"]),
    ("src/worker/", &["worker", "model"]),
    ("src/projector/", &["projector", "storage", "worker", "model"]),
    ("src/engine/", &["engine", "projector", "storage", "query", "auth", "worker", "model"]),
    ("src/http/", &["http", "engine", "storage", "query", "auth", "model"]),
    ("src/testing/", &["testing", "storage", "query", "auth", "model"]),
    ("src/config.rs", &["engine", "storage", "storage::adapter", "auth", "model"]),
    ("src/telemetry.rs", &["config"]),
    (
        "src/app.rs",
        &[
            "app",
            "http",
            "engine",
            "projector",
            "storage",
            "query",
            "auth",
            "model",
            "config",
            "telemetry",
        ],
    ),
];
const ADAPTERS: [&str; 4] = ["memory", "sqlite", "postgres", "open"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Every file below these folders with this ending: its path from the root, and its text.
fn files(folders: &[&str], ending: &str) -> Vec<(String, String)> {
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder is read") {
            let path = entry.expect("an entry is read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = std::fs::read_to_string(&path).expect("a file is read");
                let path = path.strip_prefix(root()).expect("it is below the root");
                found.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending} in {folders:?}: the rules see nothing");
    found
}

/// Holds a rule for every Rust file.
fn holds(folders: &[&str], rule: fn(&str, &str) -> Vec<String>) {
    let faults: Vec<_> =
        files(folders, ".rs").iter().flat_map(|(path, text)| rule(path, text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The text without comments and without what only tests see.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let line = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Every path of this crate that a text names: `crate::a::{b, c::d}` is `a::b` and `a::c::d`.
fn used(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut paths = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            spread(&code[at + "crate::".len()..], "", &mut paths);
        }
    }
    paths
}

/// Reads one path, or a list of them in braces; tells what follows.
fn spread<'a>(text: &'a str, prefix: &str, paths: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            match rest.strip_prefix('}') {
                Some(rest) => return rest,
                None if rest.is_empty() => return rest,
                None => {
                    let after = spread(rest, prefix, paths);
                    // What is no path is stepped over, so that no text loops for ever.
                    rest =
                        if after.len() == rest.len() { &rest[1.min(rest.len())..] } else { after };
                }
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path = if prefix.is_empty() { word.to_owned() } else { format!("{prefix}::{word}") };
    if let Some(more) = rest.strip_prefix("::") {
        return spread(more, &path, paths);
    }
    // A macro is the crate's, not a room's.
    if !rest.starts_with('!') {
        paths.insert(path);
    }
    rest.strip_prefix(" as ")
        .map_or(rest, |alias| alias.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
}

fn arrows(path: &str, text: &str) -> Vec<String> {
    let rule = ARROWS.iter().filter(|(place, _)| path.starts_with(place));
    let Some((place, allowed)) = rule.max_by_key(|(place, _)| place.len()) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for used in used(text) {
        let mut parts = used.split("::");
        let (room, inner) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let is_room = room.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !room.is_empty();
        let adapter = format!("storage::{inner}");
        let named = room == "storage" && ADAPTERS.contains(&inner);
        let allowed_adapter =
            allowed.contains(&adapter.as_str()) || allowed.contains(&"storage::adapter");
        if is_room && (!allowed.contains(&room) || (named && !allowed_adapter)) {
            faults.push(format!(
                "{path} uses crate::{used}, but {place} may use {allowed:?} only: move what it needs \
                 down, or what it does up (design: allowed dependencies)"
            ));
        }
    }
    for (crate_name, places) in [
        ("axum", ["src/http/", "src/app.rs"].as_slice()),
        ("sqlx", &["src/storage/"]),
        ("reqwest", &["src/cli/", "src/engine/issuers.rs", "src/telemetry.rs"]),
        ("clap", &["src/cli/", "src/config.rs", "src/main.rs"]),
    ] {
        let code = code(text);
        let names = |prefix: &str| code.contains(&format!("{prefix}{crate_name}::"));
        let names = names(" ") || names("(") || names("<") || names("\n") || names("&");
        if names && !places.iter().any(|place| path.starts_with(place)) {
            faults.push(format!("{path} uses {crate_name}; only {places:?} may"));
        }
    }
    faults
}

fn length(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let fault = || format!("{path} has {lines} lines of {LINES_MAX}: split it by what it does");
    (lines > LINES_MAX).then(fault).into_iter().collect()
}

fn opening(path: &str, text: &str) -> Vec<String> {
    let opened = text.starts_with("//! ") || text.starts_with("#![doc = include_str!");
    let fault = || format!("{path} does not open with `//!`: say what the room is for");
    (!opened).then(fault).into_iter().collect()
}

fn name(path: &str, _: &str) -> Vec<String> {
    let refused = path.split(['/', '.']).find(|part| REFUSED_NAMES.contains(part));
    let fault = |part| format!("{path}: `{part}` says nothing; name it after what it holds");
    refused.map(fault).into_iter().collect()
}

/// Statuses of success, which any room of `http` may name.
const SUCCESSES: [&str; 4] = ["OK", "CREATED", "NO_CONTENT", "NOT_MODIFIED"];

fn statuses(path: &str, text: &str) -> Vec<String> {
    // The commands are clients: they read the statuses that a server gave.
    if path.starts_with("src/http/error/") || path.starts_with("src/cli/") {
        return Vec::new();
    }
    let code = code(text);
    let after = code.match_indices("StatusCode::").map(|(at, word)| &code[at + word.len()..]);
    let named =
        after.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
    let constants = named.filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
    // The envelope turns the router's own 405 into the answer to OPTIONS.
    let known = |name: &&str| path == "src/http/envelope.rs" && *name == "METHOD_NOT_ALLOWED";
    let failures = constants.filter(|name| !SUCCESSES.contains(name) && !known(name));
    failures
        .map(|name| {
            format!("{path} names StatusCode::{name}: add a Kind in src/http/error/table.rs")
        })
        .collect()
}

fn unfinished(path: &str, text: &str) -> Vec<String> {
    let marks = [
        ["to", "do!"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X"].concat(),
        ["TO", "DO"].concat(),
    ];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let stands_alone = |mark: &str| {
        let mut places = text.match_indices(mark);
        places.any(|(at, _)| {
            !text[..at].ends_with(word) && !text[at + mark.len()..].starts_with(word)
        })
    };
    let found = marks.iter().filter(|mark| stands_alone(mark));
    found.map(|mark| format!("{path} holds {mark}: do it, or open an issue")).collect()
}

fn patience(path: &str, text: &str) -> Vec<String> {
    let marks = [["#[ig", "nore"].concat(), ["sle", "ep("].concat()];
    let found = marks.iter().filter(|mark| text.contains(mark.as_str()));
    found
        .map(|mark| format!("{path} holds {mark}: wait for what you wait for, and run every test"))
        .collect()
}

/// Statements that touch rows of a log without saying of which.
fn statements(path: &str, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words: BTreeSet<&str> = lower.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let touches = ["event", "lane", "projection"].iter().any(|table| words.contains(table));
    let fault = || format!("{path} touches a log's rows without log_id: it would mix logs");
    (touches && !words.contains("log_id")).then(fault).into_iter().collect()
}

/// Statements that are put together while the program runs: sqlx takes no others than constants, unless it is told so.
fn composed(path: &str, text: &str) -> Vec<String> {
    let mark = ["Assert", "SqlSafe"].concat();
    let fault = || format!("{path} holds {mark}: a statement is a file, and what differs is bound");
    text.contains(&mark).then(fault).into_iter().collect()
}

/// Files that only one of the two databases has.
fn unpaired(sqlite: &[String], postgres: &[String]) -> Vec<String> {
    let missing =
        |name: &String, other: &str| format!("migrations/{other}/{name} is missing: add it");
    let in_postgres = sqlite.iter().filter(|name| !postgres.contains(name));
    let in_sqlite = postgres.iter().filter(|name| !sqlite.contains(name));
    in_postgres
        .map(|name| missing(name, "postgres"))
        .chain(in_sqlite.map(|name| missing(name, "sqlite")))
        .collect()
}

/// Statements that no code includes.
fn unused(statements: &[String], code: &[(String, String)]) -> Vec<String> {
    let used = |statement: &&String| {
        let (folder, file) = statement.split_once("/sql/").unwrap_or((statement, ""));
        let included = format!("sql/{file}\"");
        code.iter().any(|(path, text)| path.starts_with(folder) && text.contains(&included))
    };
    let unused = statements.iter().filter(|statement| !used(statement));
    unused.map(|path| format!("{path} is used by nothing: delete it")).collect()
}

#[test]
fn dependencies_point_down() {
    holds(&["src"], arrows);
}

#[test]
fn no_file_is_a_wall() {
    holds(&["src", "tests"], length);
}

#[test]
fn every_file_says_what_it_is_for() {
    holds(&["src", "tests"], opening);
}

#[test]
fn no_file_is_named_after_nothing() {
    holds(&["src", "tests"], name);
}

#[test]
fn only_the_table_of_problems_names_failures() {
    holds(&["src"], statuses);
}

#[test]
fn nothing_is_left_undone() {
    holds(&["src"], unfinished);
}

#[test]
fn statements_are_constants() {
    holds(&["src"], composed);
}

#[test]
fn tests_neither_nap_nor_stand_aside() {
    holds(&["src", "tests"], |path, text| {
        let own = path.starts_with("tests/") || path.starts_with("src/testing/");
        if own { patience(path, text) } else { Vec::new() }
    });
}

#[test]
fn migrations_come_in_pairs() {
    let names = |database: &str| {
        let folder = format!("migrations/{database}");
        let names = files(&[&folder], ".sql").into_iter();
        names.filter_map(|(path, _)| path.rsplit('/').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(unpaired(&names("sqlite"), &names("postgres")), [""; 0]);
}

/// What earlier versions read is not taken away. The fifth was made before there was a release.
fn taken_away(path: &str, text: &str) -> Vec<String> {
    const TAKES: [&str; 6] =
        ["DROP TABLE", "DROP COLUMN", "RENAME", "ALTER COLUMN", "DELETE FROM", "SET NOT NULL"];
    let upper = text.to_uppercase();
    let found = TAKES.iter().filter(|word| upper.contains(**word) && !path.contains("/0005_"));
    found
        .map(|word| format!("{path}: {word}: an earlier version may run beside this one"))
        .collect()
}

#[test]
fn migrations_take_nothing_away() {
    let all = files(&["migrations"], ".sql");
    let faults: Vec<_> = all.iter().flat_map(|(path, text)| taken_away(path, text)).collect();
    assert_eq!(faults, [""; 0]);
    let planted = "ALTER TABLE event\n    DROP COLUMN metadata;";
    assert_eq!(taken_away("migrations/sqlite/0009_x.sql", planted).len(), 1);
}

#[test]
fn every_statement_is_used_and_keeps_to_its_log() {
    let sql = files(&["src"], ".sql");
    let paths: Vec<_> = sql.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(unused(&paths, &files(&["src"], ".rs")), [""; 0]);
    let faults: Vec<_> = sql.iter().flat_map(|(path, text)| statements(path, text)).collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn paths_are_found_in_nested_lists_and_in_expressions() {
    let text = "use crate::{\n    a::{self, b::C, d as e},\n    f::g,\n};\nfn x() { crate::h::i(); }\n\
                // crate::comment::x\nuse my_crate::y;";
    let found: Vec<_> = used(text).into_iter().collect();
    assert_eq!(found, ["a::b::C", "a::d", "a::self", "f::g", "h::i"]);
}

#[test]
fn a_forbidden_arrow_is_caught_wherever_it_stands() {
    for (path, text) in [
        ("src/model/event.rs", "use crate::storage::Span;"),
        ("src/model/event.rs", "use sqlx::Row;"),
        ("src/model/event.rs", "fn f() { crate::engine::ids::mint(); }"),
        ("src/storage/mod.rs", "use crate::{model::Event, http::Problem};"),
        ("src/storage/scan.rs", "use crate::storage::sqlite::SqliteStore;"),
        ("src/storage/sqlite/mod.rs", "use crate::storage::postgres::View;"),
        ("src/engine/tail.rs", "use axum::Router;"),
        (
            "src/engine/tail.rs",
            "use crate::{\n    storage::{\n        memory::MemoryStore,\n    },\n};",
        ),
        ("src/http/mod.rs", "use crate::app::Service;"),
        ("src/http/mod.rs", "use crate::storage::postgres::PostgresStore;"),
        ("src/http/mod.rs", "fn f(e: sqlx::Error) {}"),
        ("src/app.rs", "use crate::cli::run;"),
        ("src/testing/mod.rs", "use crate::engine::clock::SystemClock;"),
    ] {
        assert!(!arrows(path, text).is_empty(), "{path}: {text}");
    }
    for (path, text) in [
        ("src/storage/open.rs", "use crate::storage::{memory::MemoryStore, sqlite::SqliteStore};"),
        ("src/http/mod.rs", "use crate::{engine::ids, storage::{Storage, scan}};"),
        ("src/cli/serve.rs", "use crate::{app::Service, storage::open};"),
        ("src/model/name.rs", "#[cfg(test)]\nmod tests { use crate::testing::random; }"),
    ] {
        assert_eq!(arrows(path, text), [""; 0]);
    }
}

#[test]
fn every_other_rule_catches_what_is_planted() {
    let path = "src/http/logs.rs";
    assert_eq!(length(path, &"x\n".repeat(601)).len(), 1);
    assert_eq!(length(path, &"x\n".repeat(600)).len(), 0);
    assert_eq!(opening(path, "use std::fmt;").len(), 1);
    assert_eq!(opening(path, "//! Logs.").len(), 0);
    for bad in ["src/utils.rs", "src/http/helpers/mod.rs", "tests/it/common.rs"] {
        assert_eq!(name(bad, "").len(), 1, "{bad}");
    }
    assert_eq!(name("src/http/miscellany.rs", "").len(), 0);
    for status in ["NOT_FOUND", "BAD_GATEWAY", "CONFLICT", "METHOD_NOT_ALLOWED", "GONE"] {
        let text = format!("fn f() {{ StatusCode::{status} }}");
        assert_eq!(statuses(path, &text).len(), 1, "{status}");
        assert_eq!(statuses("src/http/error/table.rs", &text).len(), 0);
    }
    for status in ["OK", "CREATED", "NOT_MODIFIED", "NO_CONTENT"] {
        assert_eq!(statuses(path, &format!("StatusCode::{status}")).len(), 0, "{status}");
    }
    assert_eq!(unfinished(path, &["// FIX", "ME later"].concat()).len(), 1);
    assert_eq!(unfinished(path, &["to", "do!()"].concat()).len(), 1);
    assert_eq!(composed(path, &["sqlx::query(Assert", "SqlSafe(text))"].concat()).len(), 1);
    assert_eq!(patience(path, &["tokio::time::sle", "ep(x)"].concat()).len(), 1);
    assert_eq!(patience(path, &["#[ig", "nore]"].concat()).len(), 1);
    assert_eq!(statements("a.sql", "SELECT * FROM event WHERE n = 1").len(), 1);
    assert_eq!(statements("a.sql", "SELECT * FROM event WHERE log_id = 1").len(), 0);
    assert_eq!(statements("a.sql", "SELECT * FROM log").len(), 0);
    let (one, two) = (["1.sql".to_owned()], ["1.sql".to_owned(), "2.sql".to_owned()]);
    assert_eq!(unpaired(&one, &two).len() + unpaired(&two, &one).len(), 2);
    assert_eq!(unpaired(&two, &two).len(), 0);
    let code = [("src/storage/sqlite/mod.rs".to_owned(), "include_str!(\"sql/a.sql\")".to_owned())];
    assert_eq!(unused(&["src/storage/sqlite/sql/a.sql".to_owned()], &code).len(), 0);
    for lost in ["src/storage/sqlite/sql/b.sql", "src/storage/postgres/sql/a.sql"] {
        assert_eq!(unused(&[lost.to_owned()], &code).len(), 1, "{lost}");
    }
}
