//! What the commands say, and what they refuse before they do anything.

use tempfile::TempDir;

use crate::support::process::{Process, everlog, fail, run, succeed};

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

/// What a command that must fail says.
fn refused(arguments: &[&str]) -> String {
    let folder = folder();
    let output = run(folder.path(), arguments);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    let left: Vec<_> = folder.path().read_dir().expect("a folder").collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_server_says_where_it_listens_where_it_stores_and_what_to_try() {
    let folder = folder();
    let mut command = everlog(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Process::start(command);
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert!(folder.path().join("everlog.db").exists(), "SQLite in the current folder by default");
    assert!(server.terminate().success(), "SIGTERM ends it in good order");
}

#[test]
fn an_address_that_is_not_loopback_is_refused_unless_it_is_asked_for() {
    let said = refused(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("--listen") && said.contains("everlog key create"), "{said}");
    assert!(said.contains("--allow-unauthenticated"), "{said}");

    let folder = folder();
    let mut command = everlog(folder.path());
    command.args([
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--allow-unauthenticated",
        "--store",
        "memory:",
    ]);
    assert!(Process::start(command).welcome.contains("listens on http://0.0.0.0:"));
}

#[test]
fn bad_configuration_dies_before_anything_is_made_and_names_the_flag() {
    for (flag, value) in [
        ("--listen", "nowhere"),
        ("--store", "mysql://x"),
        ("--store", "sqlite:"),
        ("--event-bytes-max", "3"),
        ("--page-events-max", "0"),
        ("--log-format", "xml"),
        ("--log", "everlog=loud"),
    ] {
        let said = refused(&["serve", flag, value]);
        assert!(said.contains(flag), "{flag} {value}: {said}");
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_named_without_its_password() {
    let url = "postgres://joe:secret-canary@127.0.0.1:1/nowhere";
    let folder = folder();
    let mut command = everlog(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("EVERLOG_STORE", url);
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--store") && said.contains("127.0.0.1:1"), "{said}");
    assert!(!said.contains("secret-canary"), "{said}");
}

#[test]
fn a_password_stands_in_no_argument() {
    for store in [
        "postgres://joe:secret-canary@db/nowhere",
        "postgresql://joe:secret-canary@db",
        "postgres://db/nowhere?user=joe&password=secret-canary",
    ] {
        for arguments in [vec!["serve", "--store", store], vec!["key", "list", "--store", store]] {
            let said = refused(&arguments);
            assert!(said.contains("EVERLOG_STORE") && !said.contains("canary"), "{said}");
        }
        let said = refused(&["serve", &format!("--store={store}")]);
        assert!(said.contains("EVERLOG_STORE"), "{said}");
    }
    for store in ["postgres://joe@db:5432/nowhere", "postgres://db:5432", "sqlite:a:b@c.db"] {
        assert!(!everlog::cli::has_password(store), "{store}");
    }
}

#[test]
fn variables_are_settings_and_flags_win() {
    let folder = folder();
    let mut command = everlog(folder.path());
    command.env("EVERLOG_LISTEN", "nowhere").env("EVERLOG_STORE", "memory:");
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = Process::start(command);
    assert!(!folder.path().join("everlog.db").exists());
    assert!(server.terminate().success());
}

#[test]
fn a_second_server_on_one_file_is_refused() {
    let folder = folder();
    let _first = Process::serve("sqlite:one.db", folder.path());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:one.db"];
    let second = run(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("one.db.lock"), "{said}");
}

#[test]
fn a_store_is_migrated_without_being_served() {
    let folder = folder();
    assert!(
        succeed(folder.path(), &["migrate", "--store", "sqlite:one.db"]).contains("up to date")
    );
    assert!(folder.path().join("one.db").exists());
}

#[test]
fn every_setting_stands_in_the_readme() {
    let readme = include_str!("../../../README.md");
    for (command, flags_min) in [
        ("serve", 10),
        ("import", 4),
        ("export", 6),
        ("health", 1),
        ("key create", 5),
        ("backup", 3),
    ] {
        let help = succeed(
            folder().path(),
            &[&command.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat(),
        );
        let flags: Vec<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(flags.len() > flags_min, "{help}");
        for flag in flags {
            let flag = format!("`{}", flag.trim_end_matches([',', '.', ')']));
            assert!(flag == "`--help" || readme.contains(&flag), "README.md lacks {flag}");
        }
        let variables = help.split(['[', '=', ']']).filter(|word| word.starts_with("EVERLOG_"));
        for variable in variables {
            assert!(readme.contains(&format!("`{variable}`")), "README.md lacks {variable}");
        }
    }
}

#[test]
fn the_health_of_a_server_is_an_exit_code() {
    let folder = folder();
    let server = Process::serve("memory:", folder.path());
    assert_eq!(succeed(folder.path(), &["health", "--url", &server.url]), "ready\n");
    let url = server.url.clone();
    assert!(server.terminate().success());
    let said = fail(folder.path(), &["health", "--url", &url]);
    assert!(said.contains(&format!("no server can be reached at {url}: ")), "{said}");
    for misnamed in ["localhost:4100", "nowhere", "ftp://localhost"] {
        let said = fail(folder.path(), &["health", "--url", misnamed]);
        assert!(said.contains("--url or EVERLOG_URL: expected http://HOST:PORT"), "{said}");
    }
}

#[test]
fn the_openapi_document_is_printed() {
    let printed = succeed(folder().path(), &["openapi"]);
    assert_eq!(printed, everlog::http::document(everlog::http::Edition::Full));
}
