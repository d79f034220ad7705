//! Who is let in, from the command line: what does not start, and keys that are made beside a server.

use std::{fs, path::Path};

use reqwest::StatusCode;
use tempfile::TempDir;

use crate::support::{
    client::client,
    process::{Process, everlog, fail, run, succeed},
};

const ANYWHERE: [&str; 3] = ["serve", "--listen", "0.0.0.0:0"];

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

async fn status(server: &Process, key: &str) -> StatusCode {
    let request = client().get(format!("{}/v1/logs/default", server.url)).bearer_auth(key);
    request.send().await.expect("it answers").status()
}

/// Asks until the answer is another, or for too long.
async fn until(server: &Process, key: &str, expected: StatusCode) {
    let start = std::time::Instant::now();
    while status(server, key).await != expected {
        assert!(start.elapsed().as_secs() < 10, "it is never {expected}");
    }
}

fn guarded(folder: &Path, more: &[&str]) -> Process {
    let mut command = everlog(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--authenticate"]).args(more);
    Process::start(command)
}

#[test]
fn what_would_be_open_does_not_start_and_says_what_to_do() {
    let folder = folder();
    let refused = |more: &[&str]| {
        let output = run(folder.path(), &[&ANYWHERE, more].concat());
        assert_eq!(output.status.code(), Some(78), "{more:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&[]);
    assert!(said.contains("no authentication") && said.contains("--authenticate"), "{said}");
    let said = refused(&["--authenticate"]);
    assert!(said.contains("plain HTTP") && said.contains("--behind-tls-proxy"), "{said}");
    let said = refused(&["--behind-tls-proxy"]);
    assert!(said.contains("no authentication"), "{said}");
    let said = refused(&["--authenticate", "--allow-unauthenticated"]);
    assert!(said.contains("leave one of them out"), "{said}");
    let said = refused(&["--authenticate", "--behind-tls-proxy", "--store", "memory:"]);
    assert!(said.contains("--root-key-file"), "{said}");
    let left: Vec<_> = folder.path().read_dir().expect("a folder").collect();
    assert!(left.is_empty(), "it left {left:?}");
}

#[test]
fn behind_a_proxy_that_ends_tls_it_listens_anywhere() {
    let folder = folder();
    let mut command = everlog(folder.path());
    command.args(ANYWHERE).args(["--authenticate", "--behind-tls-proxy"]);
    assert!(Process::start(command).welcome.contains("listens on http://0.0.0.0:"));
}

#[tokio::test]
async fn keys_are_made_and_revoked_beside_a_server() {
    let folder = folder();
    let store = ["--store", "sqlite:everlog.db"];
    let create = |more: &[&str]| {
        let key = succeed(folder.path(), &[&["key", "create"], &store[..], more].concat());
        key.trim().to_owned()
    };
    // Before the first start.
    let early = create(&["--actions", "read"]);
    let server = guarded(folder.path(), &store);
    assert_eq!(status(&server, &early).await, 200);
    let narrow = create(&["--actions", "read,append", "--log", "other", "--description", "narrow"]);
    assert_eq!(status(&server, &narrow).await, 403);
    let list = || succeed(folder.path(), &["key", "list", store[0], store[1]]);
    let listed = list();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(listed.contains("read,append in other/*") && listed.contains("narrow"), "{listed}");
    for key in [&early, &narrow] {
        let (rest, secret) = key.rsplit_once('_').expect("a key");
        assert!(listed.contains(&rest["evl_".len()..]) && !listed.contains(secret), "{listed}");
    }
    let id = &early["evl_".len()..early.rfind('_').expect("a key")];
    let revoked = succeed(folder.path(), &["key", "revoke", store[0], store[1], id]);
    assert!(revoked.contains("revoked"), "{revoked}");
    until(&server, &early, StatusCode::UNAUTHORIZED).await;
    let said = fail(folder.path(), &["key", "revoke", store[0], store[1], "nobody"]);
    assert!(said.contains("there is no key nobody"), "{said}");
    let past = ["key", "create", "--actions", "read", "--expires-at", "1999-01-01T00:00:00Z"];
    let said = fail(folder.path(), &past);
    assert!(said.contains("--expires-at"), "{said}");
    assert!(server.terminate().success());
    assert!(list().contains("revoked"), "it stays so");
}

#[tokio::test]
async fn a_root_key_may_do_everything_on_any_store() {
    let folder = folder();
    let key = succeed(folder.path(), &["key", "generate"]);
    fs::write(folder.path().join("root.key"), &key).expect("it is written");
    let server = guarded(folder.path(), &["--store", "memory:", "--root-key-file", "root.key"]);
    assert_eq!(status(&server, key.trim()).await, 200);
    let other = succeed(folder.path(), &["key", "generate"]);
    assert_eq!(status(&server, other.trim()).await, 401);
}

#[test]
fn a_file_that_holds_no_key_is_named_and_not_repeated() {
    let folder = folder();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", "memory:", "--root-key-file"];
    fs::write(folder.path().join("root.key"), "secret-canary").expect("it is written");
    for (file, why) in [("root.key", "expected evl_ID_SECRET"), ("none.key", "No such file")] {
        let said = fail(folder.path(), &[&serve[..], &[file]].concat());
        assert!(said.contains(file) && said.contains(why), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
