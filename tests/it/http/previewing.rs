//! The preview of a definition: what it makes of events, without keeping anything.

use serde_json::{Value, json};

use super::projectors::publish;
use crate::support::server::{Answer, Server};

async fn preview(server: &Server, body: &Value) -> Answer {
    server.post("/v1/logs/default/projectors/preview", body).await
}

const ORDERS: &str = "export default {
  source: { category: 'orders' }, initial_state: { n: 0 },
  handlers: {
    placed: (s, { payload }) => { console.log('placed', payload); s.n += 1; },
    cancelled: () => null,
    odd: (s) => { console.log('odd'); throw new Error('odd'); },
  },
};
";

fn event(name: &str, payload: Value) -> Value {
    let mut event = json!({ "name": name });
    event["payload"] = payload;
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_after_each_event_is_told() {
    let server = Server::start().await;
    let mut other = event("placed", json!(3));
    other["stream"] = json!("2");
    let mut elsewhere = event("placed", json!(4));
    elsewhere["category"] = json!("carts");
    let events = json!([
        event("placed", json!(1)),
        event("shipped", json!(null)),
        event("placed", json!({"a": 2})),
        other,
        elsewhere,
        event("cancelled", json!(null)),
    ]);
    let body = json!({"definition": ORDERS, "events": events});
    let told = preview(&server, &body).await.expect(200).json();
    let steps = told["steps"].as_array().expect("steps");
    let outcomes: Vec<&str> = steps.iter().filter_map(|step| step["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["applied", "ignored", "applied", "applied", "elsewhere", "applied"]);
    let after =
        |id: &str, n: i64| json!([{"id": id, "deleted": false, "state": {"n": n}, "metadata": {}}]);
    assert_eq!(
        (&steps[0]["entries"], &steps[0]["console"]),
        (&after("preview", 1), &json!(["placed 1"]))
    );
    assert_eq!(steps[1]["entries"], json!([]));
    assert_eq!(
        (&steps[2]["entries"], &steps[2]["console"]),
        (&after("preview", 2), &json!([r#"placed {"a":2}"#]))
    );
    assert_eq!((&steps[2]["position"], &steps[2]["category"]), (&json!(2), &json!("orders")));
    let gone = json!([{"id": "preview", "deleted": true, "state": null, "metadata": null}]);
    assert_eq!(steps[5]["entries"], gone);
    assert_eq!((&told["entries"], &told["warnings"]), (&after("2", 1), &json!([])));
    assert_eq!(told["ignored"], json!([{"name": "shipped", "events": 1}]));
    assert!(told.get("fault").is_none());
    // Nothing was kept.
    assert_eq!(server.get("/v1/logs/default/projectors").await.json(), json!({"projectors": []}));
    assert_eq!(server.written().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_event_that_fails() {
    let server = Server::start().await;
    let events =
        json!([event("placed", json!(1)), event("odd", json!(2)), event("placed", json!(3))]);
    let body = json!({"definition": ORDERS, "events": events});
    let told = preview(&server, &body).await.expect(200).json();
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&told["steps"][1]["console"], &told["steps"][1]["entries"]),
        (&json!(["odd"]), &json!([]))
    );
    let fault = &told["fault"];
    assert_eq!((&fault["line"], &fault["sequence_number"]), (&json!(6), &json!(2)));
    // Also one that a worker does not survive.
    let stuck = "{ \"source\": {\"log\": true}, \"handlers\": {\"odd\": \"() => [].reverse.call({length: 2 ** 53 - 1})\", \"*\": \"(s) => s\"} }";
    let definition: Value = serde_json::from_str(stuck).expect("JSON");
    let body = json!({"definition": definition, "events": events});
    let told = preview(&server, &body).await.expect(200).json();
    assert_eq!(told["fault"]["sequence_number"], json!(2), "{told}");
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_how_many_come_at_once_is_warned_of() {
    let server = Server::start().await;
    let events = json!([event("a", json!(1)), event("a", json!(2)), event("a", json!(3))]);
    for (handler, from) in [
        ("(s) => { s.n = (s.n ?? 0) + 1; }", None),
        // One object in two places.
        ("(s) => { if (!s.x) { s.x = []; s.y = s.x; } s.x.push(1); }", Some(1)),
        // What JSON does not have.
        ("(s) => { s.n = s.n === undefined ? NaN : (s.n === null ? 'null' : 'NaN'); }", Some(1)),
        // A variable beside the state.
        ("(s) => { s.n = globalCount(); }", Some(0)),
    ] {
        let text = format!(
            "let n = 0; const globalCount = () => ++n; export default {{ source: {{ log: true }}, handlers: {{ a: {handler} }} }};"
        );
        let told = preview(&server, &json!({"definition": text, "events": events}))
            .await
            .expect(200)
            .json();
        let warnings = told["warnings"].as_array().expect("warnings");
        let events = told["steps"].as_array().expect("steps");
        let at = warnings.first().map(|warning| {
            events.iter().position(|step| step["event_id"] == warning["event_id"]).expect("a step")
        });
        assert_eq!(at, from, "{handler}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_events_are_read() {
    let server = Server::start().await;
    for n in 0..3 {
        publish(&server, "orders/1", "placed", json!(n)).await;
    }
    publish(&server, "carts/1", "placed", json!(9)).await;
    let told = preview(&server, &json!({"definition": ORDERS})).await.expect(200).json();
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(3), "those of its own source");
    assert_eq!(told["entries"][0]["state"], json!({"n": 3}));
    let body = json!({"definition": ORDERS, "source": {"log": true}, "limit": 2});
    let told = preview(&server, &body).await.expect(200).json();
    assert_eq!(told["entries"][0]["state"], json!({"n": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_preview_is_told() {
    let server = Server::start().await;
    let refused = async |body: Value, place: &str| -> Value {
        preview(&server, &body).await.fault(422, "invalid-request", place)
    };
    let one = json!([event("a", json!(1))]);
    refused(json!({"events": one}), "#").await;
    refused(json!({"definition": 7, "events": one}), "#/definition").await;
    refused(json!({"definition": ORDERS, "events": []}), "#/events").await;
    refused(json!({"definition": ORDERS, "events": one, "limit": 3}), "#/events").await;
    refused(json!({"definition": ORDERS, "limit": 0}), "#/limit").await;
    refused(json!({"definition": ORDERS, "source": {}}), "#/source").await;
    refused(json!({"definition": ORDERS, "events": [{"name": ""}]}), "#/events/0/name").await;
    refused(
        json!({"definition": ORDERS, "events": [{"name": "a", "stream": "."}]}),
        "#/events/0/stream",
    )
    .await;
    let faulty =
        json!({"source": {"log": true}, "handlers": {"a": "(s) => {\n return s +* 1;\n}"}});
    let told =
        refused(json!({"definition": faulty, "events": one}), "#/definition/handlers/a").await;
    assert_eq!(told["errors"][0]["line"], json!(2), "{told}");
    let long = format!("export default {{}}; // {}", "x".repeat(64 << 10));
    preview(&server, &json!({"definition": long})).await.problem(413, "too-large");
    let large = "export default { source: { log: true }, handlers: { a: (s) => ({ x: 'x'.repeat(900000) }) } };";
    let events: Vec<Value> = (0..10).map(|n| event("a", json!(n))).collect();
    let body = json!({"definition": large, "events": events});
    preview(&server, &body).await.problem(422, "query-too-broad");
}
