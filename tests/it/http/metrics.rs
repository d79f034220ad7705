//! Metrics: what is counted, and that the dashboard and the alerts ask for nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    frames::Frames,
    server::{JOE, Server, Setup},
};

const DASHBOARD: &str = include_str!("../../../examples/operations/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../../examples/operations/prometheus-alerts.yaml");

/// A sample of the metrics: its name with its labels, and its value.
async fn samples(server: &Server) -> Vec<(String, f64)> {
    let text = server.get("/metrics").await.expect(200).text();
    assert!(text.ends_with("# EOF\n"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(pair).collect()
}

async fn value(server: &Server, name: &str) -> f64 {
    let samples = samples(server).await;
    let found = samples.iter().find(|(sample, _)| sample == name);
    found.map_or(0.0, |(_, value)| *value)
}

/// A service in which everything has happened that there is a metric for.
async fn eventful() -> (Server, Frames, tempfile::TempDir) {
    let (setup, folder) = Setup::lasting().await;
    let server = setup.start().await;
    let mut frames = Frames::open(server.getting(&format!("{JOE}/tail"))).await;
    while frames.next().await.expect("it goes on").event != "caught-up" {}
    let id = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71";
    let body =
        json!({"events": [{"name": "a", "id": id}, {"name": "b", "id": id.replace("71", "72")}]});
    let path = format!("{JOE}/events");
    server.post(&path, &body).await.expect(201);
    server.post(&path, &body).await.expect(200);
    let refused =
        server.posting(&path).header("if-match", "\"7\"").json(&json!({"events": [{"name": "c"}]}));
    refused.send().await.expect(412);
    assert_eq!(frames.next().await.expect("an event").data["name"], "a");
    let definition = json!({"source": {"log": true}, "on_error": "park",
        "handlers": {"a": "() => ({n: 1})", "b": "() => { throw new Error() }"}});
    server.put("/v1/logs/default/projectors/totals", &definition).await.expect(201);
    let projection = "/v1/logs/default/projections/totals";
    server
        .post(&format!("{projection}/search?min_sequence_number=2&wait=10"), &json!({}))
        .await
        .expect(200);
    (server, frames, folder)
}

#[tokio::test]
async fn what_happens_is_counted() {
    let (server, frames, _folder) = eventful().await;
    for (name, expected) in [
        ("everlog_publishes_total{outcome=\"written\"}", 1.0),
        ("everlog_publishes_total{outcome=\"replayed\"}", 1.0),
        ("everlog_publishes_total{outcome=\"refused\"}", 1.0),
        ("everlog_published_events_total", 2.0),
        ("everlog_tails", 1.0),
        ("everlog_query_seconds_count", 1.0),
        ("everlog_publish_queue_seconds_count", 3.0),
        ("everlog_pool_connections_max{pool=\"writers\"}", 1.0),
        ("everlog_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(value(&server, name).await, expected, "{name}");
    }
    assert!(value(&server, "everlog_tail_lag_seconds_count").await >= 1.0);
    let publish =
        "{method=\"POST\",route=\"/v1/logs/{log}/categories/{category}/streams/{stream}/events\"";
    for (status, count) in [(201, 1.0), (200, 1.0), (412, 1.0)] {
        let name = format!("everlog_answer_seconds_count{publish},status=\"{status}\"}}");
        assert_eq!(value(&server, &name).await, count, "{name}");
    }
    assert!(value(&server, "everlog_store_size_bytes").await > 4096.0);
    assert!(value(&server, "process_resident_memory_bytes").await > 1e6);
    drop(frames);
    // As soon as the server has seen that it is closed.
    while value(&server, "everlog_tails").await > 0.0 {
        server
            .post(&format!("{JOE}/events"), &json!({"events": [{"name": "c"}]}))
            .await
            .expect(201);
    }
}

/// The names of metrics in a query: words that are followed by no bracket.
fn named(query: &str) -> BTreeSet<String> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(|c| !of_name(c));
    let prefixes = ["everlog_", "process_"];
    words.filter(|word| prefixes.iter().any(|p| word.starts_with(p))).map(str::to_owned).collect()
}

/// The queries of the dashboard, each with its panel.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().expect("there are panels") {
        for target in panel["targets"].as_array().expect("there are queries") {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    queries
}

/// The names that are asked for and that nobody exports.
fn missing(queries: &[(String, String)], exported: &BTreeSet<String>) -> Vec<String> {
    let names =
        queries.iter().flat_map(|(of, query)| named(query).into_iter().map(move |n| (of, n)));
    names
        .filter(|(_, name)| !exported.contains(name))
        .map(|(of, name)| format!("{of}: {name}"))
        .collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let (server, _frames, _folder) = eventful().await;
    let name = |(sample, _): (String, f64)| sample.split('{').next().unwrap_or_default().to_owned();
    let exported: BTreeSet<String> = samples(&server).await.into_iter().map(name).collect();
    let mut queries = panels();
    assert!(queries.len() >= 18, "{queries:?}");
    queries.push(("alerts".to_owned(), ALERTS.to_owned()));
    assert_eq!(missing(&queries, &exported), Vec::<String>::new());
    // The control: one that nobody exports is told.
    let planted = [("planted".to_owned(), "rate(everlog_publishes_totals[5m])".to_owned())];
    assert_eq!(missing(&planted, &exported), ["planted: everlog_publishes_totals"]);
    // And what there is, is shown or alerted on.
    let shown: BTreeSet<String> = queries.iter().flat_map(|(_, query)| named(query)).collect();
    let family = |name: &str| {
        let endings = ["_bucket", "_sum", "_count"];
        endings.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = shown.iter().map(|name| family(name)).collect();
    let unseen: Vec<_> = exported
        .iter()
        .filter(|name| !name.starts_with("everlog_projector_") && !shown.contains(&family(name)))
        .collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}

#[tokio::test]
async fn no_label_holds_what_clients_send() {
    let server = Server::start().await;
    let canary = "canary-of-a-client";
    let stream = format!("/v1/logs/default/categories/{canary}/streams/{canary}");
    let body = json!({"events": [{"name": canary, "payload": canary}]});
    server.post(&format!("{stream}/events"), &body).await.expect(201);
    server.get(&format!("/{canary}")).await.problem(404, "route-not-found");
    server.get(&format!("{stream}/events?{canary}=1")).await.problem(422, "invalid-request");
    let text = server.get("/metrics").await.expect(200).text();
    assert!(text.contains("route=\"none\"") && !text.contains(canary), "{text}");
}
