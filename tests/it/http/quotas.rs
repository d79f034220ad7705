//! What a key may ask for: requests and events in a time, tails and queries at once.

use std::num::NonZeroU32;

use everlog::{app::Door, engine::allowance::Allowance};
use governor::Quota;
use serde_json::json;

use crate::support::{
    frames::Frames,
    guarded::Guarded,
    server::{JOE, Server, Setup},
};

async fn guarded(allowance: Allowance) -> Guarded {
    let setup = Setup::memory();
    let door = Door { allowance, ..setup.door };
    Guarded::over(Setup { door, ..setup }).await
}

fn hourly(count: u32) -> Option<Quota> {
    NonZeroU32::new(count).map(Quota::per_hour)
}

#[tokio::test]
async fn a_key_has_so_many_requests_and_is_told_how_many_are_left() {
    let guarded = guarded(Allowance { requests: hourly(3), ..Allowance::ANY }).await;
    let key = guarded.key("*", "*", &["read"]).await;
    for left in [2, 1, 0] {
        let answer = guarded.get(&key, "/v1/logs/default").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=3;w=3600");
        assert_eq!(answer.header("ratelimit"), format!("\"requests\";r={left};t=3600"));
    }
    let refused = guarded.get(&key, "/v1/logs/default").await;
    let problem = refused.problem(429, "quota-exceeded");
    assert_eq!((&problem["limit"], &problem["maximum"]), (&json!("requests"), &json!(3)));
    let wait: i64 = refused.header("retry-after").parse().expect("seconds");
    assert!((900..=1200).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit"), format!("\"requests\";r=0;t={wait}"));
    // Another key has its own, and what needs none takes none.
    let other = guarded.key("*", "*", &["read"]).await;
    guarded.get(&other, "/v1/logs/default").await.expect(200);
    assert_eq!(guarded.server.get("/livez").await.expect(200).header("ratelimit"), "");
    // What is forbidden counts too.
    guarded.post(&other, &format!("{JOE}/events"), &json!({})).await.problem(403, "forbidden");
    guarded.get(&other, "/v1/logs").await.expect(200);
    guarded.get(&other, "/v1/logs").await.problem(429, "quota-exceeded");
}

#[tokio::test]
async fn a_key_publishes_so_many_events() {
    let guarded = guarded(Allowance { events: hourly(10), ..Allowance::ANY }).await;
    let key = guarded.key("*", "*", &["append", "read"]).await;
    let publish = async |count: usize| {
        let body = json!({"events": vec![json!({"name": "n"}); count]});
        guarded.post(&key, &format!("{JOE}/events"), &body).await
    };
    publish(7).await.expect(201);
    let refused = publish(4).await;
    let problem = refused.problem(429, "quota-exceeded");
    assert_eq!((&problem["limit"], &problem["maximum"]), (&json!("events"), &json!(10)));
    publish(3).await.expect(201);
    let log = guarded.get(&key, "/v1/logs/default").await.expect(200).json();
    assert_eq!(log["last_sequence_number"], 10, "nothing of what is refused is written");
}

#[tokio::test]
async fn a_key_has_so_many_tails_open() {
    let guarded = guarded(Allowance { tails: 1, ..Allowance::ANY }).await;
    let key = guarded.key("*", "*", &["read"]).await;
    let tail = || guarded.by(&key, reqwest::Method::GET, "/v1/logs/default/tail");
    let mut first = Frames::open(tail()).await;
    assert_eq!(first.next().await.expect("it begins").event, "start");
    let problem = tail().send().await.problem(429, "quota-exceeded");
    assert_eq!((&problem["limit"], &problem["maximum"]), (&json!("tails"), &json!(1)));
    let other = guarded.key("*", "*", &["read"]).await;
    Frames::open(guarded.by(&other, reqwest::Method::GET, "/v1/logs/default/tail")).await;
    // One that was closed makes room, as soon as the server has seen it.
    drop(first);
    while tail().response().await.status() != 200 {}
}

#[tokio::test]
async fn a_key_has_so_many_queries_under_way() {
    let guarded = guarded(Allowance { queries: 0, ..Allowance::ANY }).await;
    let projection = "/v1/logs/default/projections/totals";
    for path in [format!("{projection}/search"), format!("{projection}/count")] {
        let refused = guarded.post(&guarded.root, &path, &json!({})).await;
        assert_eq!(refused.problem(429, "quota-exceeded")["limit"], "queries");
    }
    guarded
        .get(&guarded.root, &format!("{projection}/entries"))
        .await
        .problem(429, "quota-exceeded");
}

#[tokio::test]
async fn where_nobody_is_asked_who_they_are_there_are_no_quotas() {
    let server = Server::start().await;
    assert_eq!(server.get("/v1/logs").await.expect(200).header("ratelimit-policy"), "");
}
