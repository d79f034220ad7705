//! What is secret is in no line of the log, however much is logged: keys, tickets, tokens, payloads, passwords.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use everlog::{engine::clock::SystemClock, model::Clock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    client::client,
    postgres::Database,
    process::{Process, everlog, log, logged, succeed},
    tokens::{AUDIENCE, ISSUER, Signer},
};

const PAYLOAD: &str = "canary-in-a-payload";
const PASSWORD: &str = "canary-in-a-password";

/// A server that logs all there is to log, to a file.
fn verbose(folder: &Path, store: &str) -> Process {
    let mut command = everlog(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--root-key-file", "root.key"]);
    command.args(["--jwt-issuers", "issuers.json"]);
    command.env("EVERLOG_STORE", store).env("EVERLOG_LOG", "trace");
    Process::start(logged(&command))
}

/// Does every operation by its sample, with a key.
fn do_everything(folder: &Path, url: &str, key: &str) {
    let curl = format!("silent\nmax-time = 1\nheader = \"Authorization: Bearer {key}\"\n");
    fs::write(folder.join(".curlrc"), curl).expect("it is written");
    let samples = include_str!("../../../examples/every_operation.sh");
    let done = Command::new("bash")
        .args(["-c", &samples.replace("http://127.0.0.1:4100", url)])
        .current_dir(folder)
        .env("HOME", folder)
        .stdout(File::create(folder.join("answers")).expect("a file"))
        .stderr(File::create(folder.join("complaints")).expect("a file"))
        .status();
    done.expect("bash is there");
}

/// Sends secrets where they belong and where they do not; those that the server made besides.
async fn send_secrets(url: &str, key: &str, token: &str) -> Vec<String> {
    let events = format!("{url}/v1/logs/default/categories/cats/streams/tom/events");
    let publish = |body: Value| client().post(&events).bearer_auth(key).json(&body);
    let good = json!({"events": [{"name": "n", "payload": PAYLOAD, "metadata": {"m": PAYLOAD}}]});
    let stored = publish(good.clone()).send().await.expect("it answers");
    assert_eq!(stored.status(), 201);
    let bad = json!({"events": [{"name": "n", "payload": PAYLOAD, "id": PAYLOAD}], PAYLOAD: 1});
    assert_eq!(publish(bad).send().await.expect("it answers").status(), 422);
    let logs = format!("{url}/v1/logs/default");
    for wrong in [key.replace("evl_", "evx_"), format!("{key}x"), token.replace('.', "..")] {
        let refused = client().get(&logs).bearer_auth(wrong).send().await.expect("it answers");
        assert_eq!(refused.status(), 401);
    }
    let query = client().get(format!("{logs}?key={key}&ticket={key}")).bearer_auth(key);
    assert_eq!(query.send().await.expect("it answers").status(), 422);
    let read = client().get(&logs).bearer_auth(token).send().await.expect("it answers");
    assert_eq!(read.status(), 200);
    let definition = json!({"source": {"log": true},
        "handlers": {"n": "(state, event) => { console.log(event.payload); throw new Error(event.payload) }"}});
    let put = client().put(format!("{logs}/projectors/loud")).bearer_auth(key).json(&definition);
    assert_eq!(put.send().await.expect("it answers").status(), 201);
    let ticket = client().post(format!("{logs}/tickets")).bearer_auth(key);
    let ticket = ticket.json(&json!({"source": {"log": true}})).send().await.expect("it answers");
    let ticket: Value = ticket.json().await.expect("JSON");
    let tail = format!("{url}{}", ticket["url"].as_str().expect("a URL"));
    assert_eq!(client().get(tail).send().await.expect("it answers").status(), 200);
    let made = client().post(format!("{url}/v1/keys")).bearer_auth(key);
    let made = made.json(&json!({"scopes": [{"actions": ["read"]}]})).send().await;
    let made: Value = made.expect("it answers").json().await.expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    vec![text(&ticket["ticket"]), text(&made["key"])]
}

/// The secrets that stand in a log.
fn found<'a>(log: &str, secrets: &'a [String]) -> Vec<&'a String> {
    let secret = |text: &&String| {
        let end = text.rsplit(['_', '.']).next().unwrap_or(text);
        log.contains(text.as_str()) || log.contains(end)
    };
    secrets.iter().filter(secret).collect()
}

async fn no_secret_is_logged(store: &str) {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    let key = succeed(folder, &["key", "generate"]).trim().to_owned();
    fs::write(folder.join("root.key"), &key).expect("it is written");
    let signer = Signer::new("one");
    fs::write(folder.join("keys.json"), json!({"keys": [signer.jwk()]}).to_string())
        .expect("it is written");
    let issuers = json!([{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": "ES",
        "jwks_file": "keys.json", "scopes": [{"actions": ["read"]}]}]);
    fs::write(folder.join("issuers.json"), issuers.to_string()).expect("it is written");
    let end = SystemClock.now().micros() / 1_000_000 + 300;
    let token = signer.token(&json!({"iss": ISSUER, "aud": AUDIENCE, "exp": end}));
    let server = verbose(folder, store);
    let mut secrets = send_secrets(&server.url, &key, &token).await;
    do_everything(folder, &server.url, &key);
    let answers = fs::read_to_string(folder.join("answers")).expect("there are answers");
    let made =
        answers.split('"').filter(|text| text.starts_with("evl_") || text.starts_with("evt_"));
    secrets.extend(made.map(str::to_owned));
    assert!(secrets.len() >= 4, "the samples made a key and a ticket: {answers}");
    secrets.extend([key, token, PAYLOAD.to_owned(), PASSWORD.to_owned()]);
    assert!(server.terminate().success());
    let log = log(folder);
    assert!(log.contains("a key was made") && log.contains("answered"), "it logs much");
    assert_eq!(found(&log, &secrets), Vec::<&String>::new(), "of {} bytes", log.len());
    // The control: each would have been found.
    for secret in &secrets {
        assert_eq!(found(&format!("{log} {secret}"), std::slice::from_ref(secret)), [secret]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_on_sqlite() {
    no_secret_is_logged("sqlite:everlog.db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_on_postgres() {
    let database = Database::empty().await;
    no_secret_is_logged(&database.url_with(PASSWORD)).await;
}
