//! Traces as a collector gets them: OTLP over HTTP, part of the trace that a client names.

use std::path::Path;

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value as Attribute,
    trace::v1::Span,
};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{
    client::client,
    process::{Process, everlog, fail, log, logged},
};

const EVENTS: &str = "/v1/logs/default/categories/cats/streams/tom/events";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

type Received = mpsc::UnboundedReceiver<Span>;

async fn take(State(spans): State<mpsc::UnboundedSender<Span>>, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    for span in scopes.flat_map(|scope| scope.spans) {
        spans.send(span).expect("the test listens");
    }
    StatusCode::OK
}

/// A collector, and the spans that it takes.
#[expect(clippy::disallowed_methods, reason = "the collector is no task of a service")]
async fn collector() -> (String, Received) {
    let (sender, received) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let routes = Router::new().route("/v1/traces", post(take)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, received)
}

fn traced(folder: &Path, collector: &str, ratio: &str) -> Process {
    let mut command = everlog(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--store", "memory:"]);
    command.args(["--otlp-endpoint", collector, "--trace-ratio", ratio]);
    Process::start(command)
}

async fn publish(server: &Process, traceparent: Option<&str>) {
    let mut request = client().post(format!("{}{EVENTS}", server.url));
    request = request.json(&json!({"events": [{"name": "n", "payload": "canary"}]}));
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    assert_eq!(request.send().await.expect("it answers").status(), 201);
}

/// Ends a server; all spans that its collector took.
async fn ended(server: Process, mut received: Received) -> Vec<Span> {
    assert!(server.terminate().success());
    let mut spans = Vec::new();
    while let Ok(span) = received.try_recv() {
        spans.push(span);
    }
    spans
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.clone()) {
        Some(Attribute::StringValue(text)) => text,
        Some(Attribute::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_part_of_the_trace_that_its_client_names() {
    let folder = TempDir::new().expect("a folder");
    let (url, received) = collector().await;
    let server = traced(folder.path(), &url, "0");
    publish(&server, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    let spans = ended(server, received).await;
    let request = spans.iter().find(|span| span.name.starts_with("POST")).expect("a request");
    assert_eq!(request.name, "POST /v1/logs/{log}/categories/{category}/streams/{stream}/events");
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    assert_eq!(attribute(request, "http.response.status_code"), "201");
    assert_eq!(attribute(request, "http.request.method"), "POST");
    let publish = spans.iter().find(|span| span.name == "publish").expect("what it did");
    assert_eq!(publish.parent_span_id, request.span_id);
    assert_eq!(attribute(publish, "outcome"), "written");
    assert!(!format!("{spans:?}").contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sampled_is_what_the_client_says_and_else_the_ratio() {
    let folder = TempDir::new().expect("a folder");
    for (ratio, traceparent, sent) in [
        ("0", Some(format!("00-{TRACE}-{PARENT}-01")), true),
        ("1", Some(format!("00-{TRACE}-{PARENT}-00")), false),
        ("1", None, true),
        ("0", None, false),
        ("1", Some("00-nonsense-01".to_owned()), true),
    ] {
        let (url, received) = collector().await;
        let server = traced(folder.path(), &url, ratio);
        publish(&server, traceparent.as_deref()).await;
        let spans = ended(server, received).await;
        assert_eq!(!spans.is_empty(), sent, "{ratio} {traceparent:?}: {spans:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_keeps_nobody_waiting() {
    let folder = TempDir::new().expect("a folder");
    let server = traced(folder.path(), "http://127.0.0.1:1", "1");
    publish(&server, None).await;
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_trace() {
    let folder = TempDir::new().expect("a folder");
    let mut command = everlog(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--store", "memory:"]);
    command.env("EVERLOG_LOG", "debug").env("EVERLOG_LOG_FORMAT", "json");
    let server = Process::start(logged(&command));
    publish(&server, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
    assert!(server.terminate().success());
    let log = log(folder.path());
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let named =
        lines.filter(|line| line["span"]["trace"] == TRACE || line["spans"][0]["trace"] == TRACE);
    assert!(named.count() > 0, "{log}");
}

#[test]
fn a_ratio_that_is_none_does_not_start() {
    let folder = TempDir::new().expect("a folder");
    for ratio in ["2", "-1", "much"] {
        let said = fail(folder.path(), &["serve", &format!("--trace-ratio={ratio}")]);
        assert!(said.contains("--trace-ratio") && said.contains("from 0 to 1"), "{said}");
    }
}
