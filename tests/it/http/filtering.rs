//! Which events a read gives: by name, by metadata, by time.

use everlog::testing::StaticClock;
use serde_json::json;

use crate::support::{
    server::{JOE, Server, Setup},
    walk::{self, Links},
};

/// Six events, an hour apart in every sense of time.
async fn filled() -> Server {
    let server = Server::start().await;
    let events = [
        ("a", json!({"tenant": "t1", "n": 5, "on": true})),
        ("b", json!({"tenant": "t2", "n": "5", "a.b": "dot"})),
        ("a", json!({"tenant": "t1", "none": null})),
        ("c", json!(["tenant", "t1"])),
        ("c d", json!({"tenant": "t3", "n": 5.0})),
        ("é", json!(null)),
    ];
    for (hour, (name, metadata)) in events.into_iter().enumerate() {
        let event = json!({
            "name": name, "payload": hour, "metadata": metadata,
            "occurred_at": format!("2020-01-01T{hour:02}:00:00Z"),
            "observed_at": format!("2020-02-01T{hour:02}:00:00Z"),
        });
        let body = json!({"events": [event]});
        server.post(&format!("{JOE}/events"), &body).await.expect(201);
        StaticClock::advance(&server.clock, 3_600_000_000);
    }
    server
}

async fn found(server: &Server, query: &str) -> Vec<i64> {
    let first = format!("{JOE}/events?{query}&limit=1");
    let events = walk::events(&walk::pages(server, &first, Links::Body, true).await);
    let found = events.iter().map(|e| e["payload"].as_i64().expect("a number")).collect();
    let export = server.get(&format!("{JOE}/export?{query}")).await.expect(200).lines();
    let exported: Vec<_> =
        export.iter().map(|e| e["payload"].as_i64().expect("a number")).collect();
    assert_eq!(exported, found, "an export gives what pages give: {query}");
    found
}

#[tokio::test]
async fn names_may_be_repeated_and_are_any_of() {
    let server = filled().await;
    assert_eq!(found(&server, "name=a").await, [0, 2]);
    assert_eq!(found(&server, "name=a&name=b").await, [0, 1, 2]);
    assert_eq!(found(&server, "name=c+d").await, [4]);
    assert_eq!(found(&server, "name=c%20d&name=%C3%A9").await, [4, 5]);
    assert_eq!(found(&server, "name=nothing").await, [0; 0]);
}

#[tokio::test]
async fn metadata_is_matched_by_top_level_keys() {
    let server = filled().await;
    assert_eq!(found(&server, "metadata.tenant=t1").await, [0, 2]);
    assert_eq!(found(&server, "metadata.tenant=t1&metadata.tenant=t3").await, [0, 2, 4]);
    assert_eq!(found(&server, "metadata.tenant=t1&metadata.n=5").await, [0]);
    assert_eq!(found(&server, "metadata.n=5").await, [0, 1], "a number's text or a string");
    assert_eq!(found(&server, "metadata.n=5.0").await, [4]);
    assert_eq!(found(&server, "metadata.on=true").await, [0]);
    assert_eq!(found(&server, "metadata.none=null").await, [2]);
    assert_eq!(found(&server, "metadata.a.b=dot").await, [1], "all after the first dot is the key");
    assert_eq!(found(&server, "metadata.tenant=t1&name=b").await, [0; 0]);
}

#[tokio::test]
async fn times_are_inclusive_at_both_ends() {
    let server = filled().await;
    let at =
        |axis: &str, from: &str, until: &str| format!("{axis}_from={from}&{axis}_until={until}");
    let occurred = at("occurred", "2020-01-01T01:00:00Z", "2020-01-01T03:00:00Z");
    assert_eq!(found(&server, &occurred).await, [1, 2, 3]);
    let observed = at("observed", "2020-02-01T02:00:00%2B00:00", "2020-02-01T02:00:00Z");
    assert_eq!(found(&server, &observed).await, [2]);
    let recorded = at("recorded", "2026-01-01T04:00:00.000001Z", "2026-01-01T05:00:00.000001Z");
    assert_eq!(found(&server, &recorded).await, [4, 5]);
    assert_eq!(found(&server, "recorded_until=2026-01-01T00:00:00Z").await, [0; 0]);
    assert_eq!(found(&server, "occurred_from=2020-01-01T05:00:00.000001Z").await, [0; 0]);
    let mixed = "occurred_until=2020-01-01T03:00:00Z&observed_from=2020-02-01T03:00:00Z&name=c";
    assert_eq!(found(&server, mixed).await, [3]);
}

#[tokio::test]
async fn the_last_event_honours_the_filters() {
    let server = filled().await;
    for source in ["/v1/logs/default", "/v1/logs/default/categories/profiles", JOE] {
        let latest =
            async |query: &str| server.get(&format!("{source}/events/latest?{query}")).await;
        assert_eq!(latest("").await.expect(200).json()["payload"], 5);
        assert_eq!(latest("name=a").await.expect(200).json()["payload"], 2);
        assert_eq!(latest("metadata.n=5").await.expect(200).json()["payload"], 1);
        let until = "occurred_until=2020-01-01T03:30:00Z";
        assert_eq!(latest(until).await.expect(200).json()["payload"], 3);
        latest("name=nothing").await.problem(404, "event-not-found");
        latest("limit=1").await.fault(422, "invalid-request", "limit");
    }
    let nobody = "/v1/logs/default/categories/profiles/streams/nobody/events/latest";
    server.get(nobody).await.problem(404, "stream-not-found");
    let nothing = "/v1/logs/default/categories/nothing/events/latest";
    server.get(nothing).await.problem(404, "event-not-found");
}

#[tokio::test]
async fn a_filtered_page_may_be_empty_and_not_at_the_end() {
    let (setup, _folder) = Setup::lasting().await;
    let server = setup.limits(|limits| limits.page_examined = 3).start().await;
    server.fill(JOE, 8).await;
    let body = json!({"events": [{"name": "wanted"}]});
    server.post(&format!("{JOE}/events"), &body).await.expect(201);
    let url = format!("{JOE}/events?name=wanted");
    let first = server.get(&url).await.expect(200);
    let page = first.json();
    assert_eq!((&page["events"], &page["page"]["at_end"]), (&json!([]), &json!(false)));
    assert!(page["page"]["after"].as_str().unwrap().starts_with("2-"), "{page}");
    assert!(first.header("cache-control").contains("immutable"), "it stays as it is");
    let walked = walk::events(&walk::pages(&server, &url, Links::Header, true).await);
    assert_eq!(walked.len(), 1);
    assert_eq!(walked[0]["position"], 8);
}
