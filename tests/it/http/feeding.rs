//! What projectors feed, to those who read it: how far it is, its tail across revisions, a search of all of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::projectors::{define, entry, path, publish, until};
use crate::support::{
    frames::Frames,
    server::{Server, Setup},
};

/// Counts; each number is another definition.
fn counting(by: u32) -> String {
    format!(
        "export default {{ source: {{ category: 'c' }}, initial_state: {{ n: 0 }}, handlers: {{ e: (s) => ({{ n: s.n + {by} }}) }} }};"
    )
}

const COUNTS: &str = "/v1/logs/default/projections/counts";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_how_far_it_is() {
    let server = Server::start().await;
    define(&server, "counts", &counting(1)).await.expect(201);
    publish(&server, "c/a", "e", json!(null)).await;
    let last = publish(&server, "d/a", "e", json!(null)).await;
    let asked = format!("min_sequence_number={last}&wait=30");
    let place = "revision=1, sequence_number=2, lag=0";
    for answer in [
        entry(&server, "counts", "a", last).await,
        server.get(&format!("{COUNTS}/entries?{asked}")).await,
        server.get(&format!("{COUNTS}/entries?category=c&stream=a&{asked}")).await,
        server.post(&format!("{COUNTS}/search?{asked}"), &json!({})).await,
        server.post(&format!("{COUNTS}/count?{asked}"), &json!({})).await,
    ] {
        assert_eq!(answer.expect(200).header("everlog-projector"), place);
    }
    // An entry's tag does not change with it.
    let tag = entry(&server, "counts", "a", last).await.header("etag").to_owned();
    let call = server.getting(&format!("{COUNTS}/entries/a")).header("if-none-match", &tag);
    assert!(call.send().await.expect(304).header("everlog-projector").starts_with("revision=1"));
    server.post(&format!("{}/pause", path("counts")), &json!(null)).await.expect(200);
    publish(&server, "c/a", "e", json!(null)).await;
    let behind = async {
        while server.get(COUNTS).await.expect(200).json()["projector"]["lag"] != 1 {}
        let told = server.get(COUNTS).await.json()["projector"].clone();
        assert_eq!(told, json!({"revision": 1, "sequence_number": 2, "lag": 1}));
        server.post(&format!("{COUNTS}/count"), &json!({})).await
    };
    let behind = tokio::time::timeout(std::time::Duration::from_secs(30), behind).await;
    let behind = behind.expect("it falls behind");
    assert_eq!(behind.header("everlog-projector"), "revision=1, sequence_number=2, lag=1");
    let other = server.post("/v1/logs/default/projections/other/count", &json!({})).await;
    assert_eq!(other.expect(200).header("everlog-projector"), "");
}

/// What a frame of a projection's tail says.
fn told(data: &Value) -> (String, Value) {
    (data["type"].as_str().unwrap_or_default().to_owned(), data["entry"]["state"]["n"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_over_to_the_revision_that_answers() {
    let server = Server::start().await;
    define(&server, "counts", &counting(1)).await.expect(201);
    let last = publish(&server, "c/a", "e", json!(null)).await;
    entry(&server, "counts", "a", last).await.expect(200);
    let mut tail = Frames::open(server.getting(&format!("{COUNTS}/tail"))).await;
    tail.expect("start").await;
    let first = tail.expect("").await;
    assert_eq!(told(&first.data), ("saved".to_owned(), json!(1)));
    tail.expect("caught-up").await;
    define(&server, "counts", &counting(10)).await.expect(200);
    let dropped = tail.expect("").await;
    assert_eq!(told(&dropped.data), ("dropped".to_owned(), Value::Null));
    let second = tail.expect("").await;
    assert_eq!(told(&second.data), ("saved".to_owned(), json!(10)));
    publish(&server, "c/a", "e", json!(null)).await;
    let third = tail.expect("").await;
    assert_eq!(told(&third.data), ("saved".to_owned(), json!(20)));
    // Whoever comes back from the other revision is told the same; from this one, what is new.
    let back = |id: &Option<String>| {
        let id = id.as_deref().expect("a change has one");
        Frames::open(server.getting(&format!("{COUNTS}/tail")).header("last-event-id", id))
    };
    let mut from_first = back(&first.id).await;
    from_first.expect("start").await;
    let two = [from_first.expect("").await, from_first.expect("").await];
    let two = two.map(|frame| told(&frame.data));
    assert_eq!(two, [("dropped".to_owned(), Value::Null), ("saved".to_owned(), json!(20))]);
    let mut from_second = back(&second.id).await;
    from_second.expect("start").await;
    assert_eq!(told(&from_second.expect("").await.data), ("saved".to_owned(), json!(20)));
    from_second.expect("caught-up").await;
    // And when nobody feeds it any more.
    let gone = format!("{}?drop=true", path("counts"));
    server.request(Method::DELETE, &gone).send().await.expect(200);
    assert_eq!(told(&tail.expect("").await.data), ("dropped".to_owned(), Value::Null));
    for bad in ["1.", ".1", "1.x", "1.2.3", "+1"] {
        let answer = server.get(&format!("{COUNTS}/tail?after={}", bad.replace('+', "%2B"))).await;
        answer.fault(400, "malformed-request", "after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_of_all_projections_finds_what_is_fed() {
    let server = Server::start().await;
    define(&server, "counts", &counting(1)).await.expect(201);
    let save = json!({"source": {"log": true}, "state": {"n": 7}});
    for name in ["a", "z"] {
        let entry = format!("/v1/logs/default/projections/{name}/entries/x");
        server.put(&entry, &save).await.expect(201);
    }
    let mut last = 0;
    for stream in ["a", "b", "c"] {
        last = publish(&server, &format!("c/{stream}"), "e", json!(null)).await;
    }
    entry(&server, "counts", "a", last).await.expect(200);
    // Another one that does not answer yet.
    let manual = counting(10).replacen("{ source", "{ activate: 'manual', source", 1);
    define(&server, "counts", &manual).await.expect(200);
    until(&server, "counts", |of| of["revisions"][1]["status"] == "live").await;
    let search = async |body: Value| {
        server.post("/v1/logs/default/projections/search", &body).await.expect(200).json()
    };
    let names = |page: &Value| -> Vec<String> {
        let entries = page["entries"].as_array().expect("entries");
        entries
            .iter()
            .map(|of| format!("{} {} {}", of["name"], of["id"], of["state"]["n"]))
            .collect()
    };
    let all = [
        r#""a" "x" 7"#,
        r#""counts" "a" 1"#,
        r#""counts" "b" 1"#,
        r#""counts" "c" 1"#,
        r#""z" "x" 7"#,
    ];
    assert_eq!(names(&search(json!({})).await), all);
    // Page by page, there and back.
    let (mut seen, mut page) = (Vec::new(), search(json!({"page": {"limit": 2}})).await);
    seen.extend(names(&page));
    while page["page"]["has_next"] == true {
        page = search(json!({"page": {"limit": 2, "after": page["page"]["next"]}})).await;
        seen.extend(names(&page));
    }
    assert_eq!(seen, all);
    let back = search(json!({"page": {"limit": 3, "before": page["page"]["previous"]}})).await;
    assert_eq!(names(&back), all[1..4]);
    let count = server.post("/v1/logs/default/projections/count", &json!({})).await;
    assert_eq!(count.expect(200).json(), json!({"count": 5}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_projector_is_followed() {
    let server = Server::start().await;
    define(&server, "counts", &counting(1)).await.expect(201);
    let mut tail = Frames::open(server.getting(&format!("{}/tail", path("counts")))).await;
    assert_eq!(tail.expect("start").await.data, json!({"projector": "counts"}));
    let first = tail.expect("").await.data;
    assert_eq!((&first["projector"], &first["revision"]), (&json!("counts"), &json!(1)));
    assert!(first["revisions"][0].get("definition").is_none(), "{first}");
    publish(&server, "c/a", "e", json!(null)).await;
    let next = async |tail: &mut Frames, holds: &dyn Fn(&Value) -> bool| loop {
        let data = tail.expect("").await.data;
        if holds(&data) {
            return;
        }
    };
    next(&mut tail, &|of| of["revisions"][0]["events"] == 1 && of["status"] == "live").await;
    define(&server, "counts", &counting(2)).await.expect(200);
    next(&mut tail, &|of| of["revision"] == 2 && of["revisions"][0]["standing"] == "former").await;
    server.request(Method::DELETE, &path("counts")).send().await.expect(200);
    let bye = loop {
        let frame = tail.next().await.expect("it says so");
        if frame.event == "bye" {
            break frame;
        }
    };
    assert_eq!((bye.data, tail.next().await), (json!({"reason": "deleted"}), None));
    server.get(&format!("{}/tail", path("none"))).await.problem(404, "projector-not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_after_the_service_sees_what_stands_still() {
    let server = Setup::memory().start().await;
    define(&server, "counts", &counting(1)).await.expect(201);
    let odd = "export default { source: { category: 'c' },\n handlers: { e: () => { throw new Error('odd'); }, f: (s) => s } };";
    define(&server, "odd \"one\"", odd).await;
    define(&server, "odd", odd).await.expect(201);
    publish(&server, "c/a", "other", json!(null)).await;
    let last = publish(&server, "c/a", "e", json!(null)).await;
    entry(&server, "counts", "a", last).await.expect(200);
    until(&server, "odd", |of| of["status"] == "faulted").await;
    let told = async {
        loop {
            let told = server.get("/readyz?verbose=true").await.expect(200).json();
            let of = |name: &str| {
                let all = told["projectors"].as_array().expect("they are told");
                all.iter().find(|of| of["projector"] == name).cloned().expect("it is there")
            };
            if of("odd")["status"] == "faulted" && of("counts")["sequence_number"] == last {
                return (of("odd"), of("counts"));
            }
        }
    };
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), told).await;
    let (odd, counts) = told.expect("it is seen");
    assert_eq!((&odd["fault"]["line"], &odd["fault"]["sequence_number"]), (&json!(2), &json!(2)));
    assert_eq!(
        (&odd["lag"], &counts["lag"], &counts["status"]),
        (&json!(1), &json!(0), &json!("live"))
    );
    assert!(server.get("/readyz").await.expect(200).json().get("projectors").is_none());
    let metrics = server.get("/metrics").await.expect(200);
    assert!(
        metrics.header("content-type").starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = metrics.text();
    let labels = |name: &str| format!("log=\"default\",projector=\"{name}\",revision=\"1\"");
    let (odd, counts) = (labels("odd"), labels("counts"));
    for line in [
        format!("everlog_projector_status{{{odd},status=\"faulted\"}} 1"),
        format!("everlog_projector_status{{{odd},status=\"live\"}} 0"),
        format!("everlog_projector_status{{{counts},status=\"live\"}} 1"),
        format!("everlog_projector_lag_events{{{odd}}} 1"),
        format!("everlog_projector_sequence_number{{{counts}}} 2"),
        format!("everlog_projector_events{{{counts}}} 1"),
        format!("everlog_projector_ignored_events{{{counts},name=\"other\"}} 1"),
        "# EOF".to_owned(),
    ] {
        assert!(text.lines().any(|of| of == line), "{line}\n{text}");
    }
}
