//! Tokens of issuers that are known, and tokens that are none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, routing::get};
use everlog::{app::Access, auth::Issuer};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{
    frames::Frames,
    guarded::Guarded,
    process::fail,
    server::Setup,
    tokens::{AUDIENCE, ISSUER, Signer, encoded, message, shared},
};

/// An issuer's settings, its keys in a file.
fn issuer(folder: &TempDir, keys: &[Value], more: &Value) -> Issuer {
    let path = folder.path().join("keys.json");
    std::fs::write(&path, json!({"keys": keys}).to_string()).expect("it is written");
    let mut settings = json!({"issuer": ISSUER, "audience": AUDIENCE, "algorithms": "ES",
        "jwks_file": path, "claim": "everlog",
        "scopes": [{"log": "default", "actions": ["read", "append"]}]});
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
    if more["jwks_url"].is_string() {
        settings["jwks_file"] = Value::Null;
    }
    serde_json::from_value(settings).expect("they are settings")
}

async fn trusting(issuers: Vec<Issuer>) -> Guarded {
    let setup = Setup::memory();
    let door = Access::Keys { root: None, issuers }.into();
    Guarded::over(Setup { door, ..setup }).await
}

/// Claims that are in order, but for those that are given.
fn claims(guarded: &Guarded, other: Value) -> Value {
    let now = guarded.server.clock.advance(0).micros() / 1_000_000;
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "joe", "exp": now + 300,
        "everlog": [{"log": "default", "actions": ["read"]}]});
    if let Value::Object(other) = other {
        claims.as_object_mut().expect("an object").extend(other);
    }
    claims
}

async fn status(guarded: &Guarded, token: &str) -> u16 {
    guarded.get(token, "/v1/logs/default").await.status
}

#[tokio::test]
async fn a_token_gives_what_it_says_within_what_its_issuer_may_give() {
    let (folder, signer) = (TempDir::new().expect("a folder"), Signer::new("one"));
    let guarded = trusting(vec![issuer(&folder, &[signer.jwk()], &json!({}))]).await;
    let give = |scopes: Value| signer.token(&claims(&guarded, json!({"everlog": scopes})));
    let read = give(json!([{"log": "default", "actions": ["read"]}]));
    assert_eq!(status(&guarded, &read).await, 200);
    let stream = "/v1/logs/default/categories/cats/streams/tom/events";
    let body = json!({"events": [{"name": "n"}]});
    let refused = guarded.post(&read, stream, &body).await.problem(403, "forbidden");
    assert!(refused["detail"].as_str().expect("a text").contains("joe of https"), "{refused}");
    let append = give(json!([{"log": "*", "category": "cats", "actions": ["append"]}]));
    guarded.post(&append, stream, &body).await.expect(201);
    // More than the issuer may give is not given.
    let much = give(json!([{"actions": ["read", "append", "project", "monitor", "admin"]}]));
    assert_eq!(status(&guarded, &much).await, 200);
    for path in ["/v1/keys", "/v1/logs", "/metrics", "/v1/logs/other"] {
        guarded.get(&much, path).await.problem(403, "forbidden");
    }
    for nothing in [json!([]), Value::Null] {
        let status = status(&guarded, &give(nothing.clone())).await;
        assert!(status == 403 || (status == 401 && nothing.is_null()), "{nothing} {status}");
    }
}

#[tokio::test]
async fn without_a_claim_each_token_gives_what_its_issuer_may_give() {
    let (folder, signer) = (TempDir::new().expect("a folder"), Signer::new("one"));
    let all = issuer(&folder, &[signer.jwk()], &json!({"claim": null}));
    let guarded = trusting(vec![all]).await;
    let token = signer.token(&claims(&guarded, json!({"everlog": null})));
    assert_eq!(status(&guarded, &token).await, 200);
    guarded.get(&token, "/v1/keys").await.problem(403, "forbidden");
}

/// Tokens that somebody made who should not have, each for its own reason.
#[expect(clippy::too_many_lines, reason = "one table is read more easily than two")]
fn forged(guarded: &Guarded, signer: &Signer) -> Vec<(&'static str, String)> {
    let good = claims(guarded, json!({}));
    let header = signer.header();
    let with = |other: Value| signer.token(&claims(guarded, other));
    let headed = |other: Value| {
        let mut header = signer.header();
        header.as_object_mut().expect("an object").extend(other.as_object().expect("one").clone());
        signer.sign(&header, &good)
    };
    let lacking = |claim: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        signer.token(&claims)
    };
    let whole = signer.token(&good);
    let parts: Vec<&str> = whole.split('.').collect();
    let stranger = Signer::new(&signer.id);
    let now = guarded.server.clock.advance(0).micros() / 1_000_000;
    let hs = json!({"alg": "HS256", "kid": signer.id});
    let none =
        |alg: &str| message(&json!({"alg": alg, "kid": signer.id}).to_string(), &good.to_string());
    let signed = message(&header.to_string(), &good.to_string());
    let tampered =
        message(&header.to_string(), &claims(guarded, json!({"sub": "root"})).to_string());
    let twice = message(
        &format!(r#"{{"alg":"none","alg":"ES256","kid":"{}"}}"#, signer.id),
        &good.to_string(),
    );
    vec![
        ("no algorithm", format!("{}.", none("none"))),
        ("no algorithm, in capitals", format!("{}.", none("NONE"))),
        ("no algorithm, and no signature", none("none")),
        ("an unknown algorithm", format!("{}.{}", none("ES999"), parts[2])),
        ("the public point as a secret", shared(&hs, &good, signer.public())),
        ("the public coordinates as a secret", shared(&hs, &good, &signer.public()[1..])),
        ("the published key as a secret", shared(&hs, &good, signer.jwk().to_string().as_bytes())),
        ("an empty secret", shared(&hs, &good, b"")),
        ("a longer algorithm", headed(json!({"alg": "ES384"}))),
        ("another family", headed(json!({"alg": "RS256"}))),
        ("a padded family", headed(json!({"alg": "PS256"}))),
        ("the algorithm twice", format!("{twice}.{}", encoded(signer.signature(&twice)))),
        ("no key", headed(json!({"kid": null}))),
        ("another key", headed(json!({"kid": "two"}))),
        ("a path for a key", headed(json!({"kid": "../../../../dev/null"}))),
        ("a number for a key", headed(json!({"kid": 1}))),
        (
            "a key of its own",
            stranger.sign(&json!({"alg": "ES256", "kid": signer.id, "jwk": stranger.jwk()}), &good),
        ),
        (
            "keys of its own",
            stranger.sign(
                &json!({"alg": "ES256", "kid": signer.id, "jku": "https://evil.example/"}),
                &good,
            ),
        ),
        ("a stranger's signature", stranger.token(&good)),
        ("an extension", headed(json!({"crit": ["exp"]}))),
        ("a body that is not encoded", headed(json!({"b64": false, "crit": ["b64"]}))),
        ("other claims", format!("{tampered}.{}", parts[2])),
        ("no signature", format!("{signed}.")),
        ("two parts", signed.clone()),
        ("four parts", format!("{whole}.{}", parts[2])),
        ("a signature of zeros", format!("{signed}.{}", encoded([0; 64]))),
        ("half a signature", format!("{signed}.{}", encoded(&signer.signature(&signed)[..32]))),
        (
            "a longer signature",
            format!("{signed}.{}", encoded([signer.signature(&signed), vec![0]].concat())),
        ),
        ("padding", format!("{whole}==")),
        ("another alphabet", format!("{signed}.+/{}", &parts[2][2..])),
        ("no end", lacking("exp")),
        ("an end in words", with(json!({"exp": (now + 300).to_string()}))),
        ("no end that counts", with(json!({"exp": null}))),
        ("an end that was", with(json!({"exp": now - 61}))),
        ("an end before all", with(json!({"exp": -1}))),
        ("an end too late", with(json!({"exp": now + 90_000}))),
        ("an end that never comes", with(json!({"exp": 1e300}))),
        ("a beginning to come", with(json!({"nbf": now + 120}))),
        ("a beginning in words", with(json!({"nbf": "soon"}))),
        ("no issuer", lacking("iss")),
        ("another issuer", with(json!({"iss": "https://login.example.com"}))),
        ("several issuers", with(json!({"iss": [ISSUER]}))),
        ("no audience", lacking("aud")),
        ("another audience", with(json!({"aud": "everlog2"}))),
        ("other audiences", with(json!({"aud": ["a", "b"]}))),
        ("an audience in a text", with(json!({"aud": "a everlog"}))),
        ("scopes that are none", with(json!({"everlog": "admin"}))),
        ("an action that is none", with(json!({"everlog": [{"actions": ["root"]}]}))),
        ("far too long", with(json!({"sub": "x".repeat(10_000)}))),
        ("nothing", "..".to_owned()),
        ("no JSON", format!("{}.{}.{}", encoded("x"), encoded("y"), encoded("z"))),
    ]
}

#[tokio::test]
async fn forged_tokens_open_nothing() {
    let (folder, signer) = (TempDir::new().expect("a folder"), Signer::new("one"));
    let guarded = trusting(vec![issuer(&folder, &[signer.jwk()], &json!({}))]).await;
    let forged = forged(&guarded, &signer);
    assert_eq!(forged.len(), 51);
    for (name, token) in forged {
        let answer = guarded.get(&token, "/v1/logs/default").await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        answer.problem(401, "unauthenticated");
        let signature = token.rsplit('.').next().unwrap_or_default();
        assert!(signature.len() < 20 || !answer.text().contains(signature), "{name} is repeated");
    }
    // The control: those that differ in nothing that counts are taken.
    let now = guarded.server.clock.advance(0).micros() / 1_000_000;
    for other in [
        json!({}),
        json!({"aud": ["others", AUDIENCE]}),
        json!({"exp": now - 59}),
        json!({"nbf": now + 59, "iat": now, "more": {"of": "it"}}),
        json!({"exp": 0.5 + 300.0 + f64::from(u32::try_from(now).expect("it is near"))}),
    ] {
        let token = signer.token(&claims(&guarded, other.clone()));
        assert_eq!(status(&guarded, &token).await, 200, "{other}");
    }
}

#[tokio::test]
async fn a_shared_secret_is_a_family_of_its_own() {
    let (folder, signer) = (TempDir::new().expect("a folder"), Signer::new("one"));
    let secret =
        json!({"kty": "oct", "kid": "shared", "k": encoded(b"a secret of thirty-two letters..")});
    let hs = issuer(&folder, &[secret, signer.jwk()], &json!({"algorithms": "HS"}));
    let guarded = trusting(vec![hs]).await;
    let good = claims(&guarded, json!({}));
    let header = |id: &str| json!({"alg": "HS256", "kid": id});
    let token = shared(&header("shared"), &good, b"a secret of thirty-two letters..");
    assert_eq!(status(&guarded, &token).await, 200);
    // A public key among them is no secret.
    let token = shared(&header("one"), &good, signer.public());
    assert_eq!(status(&guarded, &token).await, 401);
    assert_eq!(status(&guarded, &signer.token(&good)).await, 401);
}

#[tokio::test]
async fn what_goes_on_ends_with_its_token() {
    let (folder, signer) = (TempDir::new().expect("a folder"), Signer::new("one"));
    let guarded = trusting(vec![issuer(&folder, &[signer.jwk()], &json!({}))]).await;
    let token = signer.token(&claims(&guarded, json!({})));
    let mut frames = Frames::open(guarded.by(&token, Method::GET, "/v1/logs/default/tail")).await;
    while frames.next().await.expect("it goes on").event != "caught-up" {}
    let ticket =
        guarded.post(&token, "/v1/logs/default/tickets", &json!({"source": {"log": true}})).await;
    let url = ticket.expect(201).json()["url"].as_str().expect("a URL").to_owned();
    let mut ticketed = Frames::open(guarded.server.getting(&url)).await;
    while ticketed.next().await.expect("it goes on").event != "caught-up" {}
    guarded.server.clock.advance(360_000_000);
    assert_eq!(frames.next().await.expect("it says why").event, "bye");
    assert_eq!(ticketed.next().await.expect("it says why").event, "bye");
    assert_eq!(status(&guarded, &token).await, 401);
    guarded.server.get(&url).await.problem(401, "unauthenticated");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "an issuer is no task of a service")]
async fn keys_are_fetched_and_fetched_again_for_one_that_is_new() {
    let (folder, first, second) =
        (TempDir::new().expect("a folder"), Signer::new("one"), Signer::new("two"));
    let published = Arc::new(Mutex::new(json!({"keys": [first.jwk()]})));
    let (served, asked) = (published.clone(), Arc::new(Mutex::new(0)));
    let counted = asked.clone();
    let keys = move || async move {
        *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        served.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/keys", listener.local_addr().expect("it has an address"));
    let serving = tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/keys", get(keys))).await
    });
    let guarded = trusting(vec![issuer(&folder, &[], &json!({"jwks_url": url}))]).await;
    let good = claims(&guarded, json!({}));
    assert_eq!(status(&guarded, &first.token(&good)).await, 200);
    // A moment after they were fetched nobody makes the server fetch again.
    for _ in 0..5 {
        assert_eq!(status(&guarded, &second.token(&good)).await, 401);
    }
    assert_eq!(*asked.lock().unwrap_or_else(PoisonError::into_inner), 1);
    let token = first.token(&good);
    let mut frames = Frames::open(guarded.by(&token, Method::GET, "/v1/logs/default/tail")).await;
    while frames.next().await.expect("it goes on").event != "caught-up" {}
    // Half a minute later one that is not known is reason enough; what is no longer published is good no longer.
    *published.lock().unwrap_or_else(PoisonError::into_inner) = json!({"keys": [second.jwk()]});
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(status(&guarded, &second.token(&good)).await, 200);
    assert_eq!(status(&guarded, &token).await, 401);
    let mut last = frames.next().await.expect("it says why");
    while last.event == "ping" {
        last = frames.next().await.expect("it says why");
    }
    assert_eq!(last.event, "bye");
    serving.abort();
}

#[test]
fn issuers_that_cannot_be_are_refused_with_their_file() {
    let folder = TempDir::new().expect("a folder");
    let one = |more: Value| {
        let mut one = json!({"issuer": "i", "audience": "a", "algorithms": "ES", "scopes": []});
        one.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        json!([one]).to_string()
    };
    for (text, why) in [
        ("{}".to_owned(), "expected a sequence"),
        (one(json!({})), "expected one of `jwks_file` and `jwks_url`"),
        (one(json!({"jwks_url": "http://login.example.com/"})), "https://"),
        (one(json!({"jwks_file": "k", "algorithms": "none"})), "unknown variant"),
        (one(json!({"jwks_file": "k", "algorithm": "ES"})), "unknown field"),
    ] {
        std::fs::write(folder.path().join("issuers.json"), text).expect("it is written");
        let serve = ["serve", "--listen", "127.0.0.1:0", "--store", "memory:"];
        let said = fail(folder.path(), &[&serve[..], &["--jwt-issuers", "issuers.json"]].concat());
        assert!(said.contains("--jwt-issuers issuers.json") && said.contains(why), "{said}");
    }
}
