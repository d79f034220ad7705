//! Tails of projections over server-sent events, and reads that wait for an event.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    frames::Frames,
    server::{Server, Setup},
};

const TOTALS: &str = "/v1/logs/default/projections/totals";

async fn save(server: &Server, id: &str, total: i64) {
    let body = json!({"source": {"log": true}, "state": {"total": total, "name": id}});
    let answer = server.put(&format!("{TOTALS}/entries/{id}"), &body).await;
    assert!(answer.status < 300, "{}", answer.text());
}

async fn delete(server: &Server, id: &str) {
    let path = format!("{TOTALS}/entries/{id}");
    server.request(Method::DELETE, &path).send().await.expect(200);
}

async fn tail(server: &Server, query: &str) -> Frames {
    Frames::open(server.getting(&format!("{TOTALS}/tail{query}"))).await
}

/// The next changes: the id of the frame, what was done, and to which version of what.
async fn told(tail: &mut Frames, count: usize) -> Vec<String> {
    let one = |(id, data): (Option<String>, Value)| {
        let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
        let total = &data["entry"]["state"]["total"];
        format!(
            "{} {} {} v{} {total}",
            id.expect("a change has one"),
            text("type"),
            text("id"),
            data["version"]
        )
    };
    let frames = tail.events(count).await;
    frames.into_iter().map(|frame| one((frame.id, frame.data))).collect()
}

fn followed() -> String {
    let query = r#"{"filter":{"gt":{"path":"/state/total","value":10}},"select":["/state/total"]}"#;
    format!("query={}", percent_encode(query))
}

fn percent_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_tail_gives_what_is_there_and_then_each_change() {
    let server = Server::start().await;
    save(&server, "a", 1).await;
    save(&server, "b", 2).await;
    save(&server, "a", 3).await;
    let mut tail = tail(&server, "").await;
    let header = |name: &str| tail.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(tail.expect("start").await.data, json!({"after": "0", "high_water": "3"}));
    assert_eq!(told(&mut tail, 2).await, ["2 saved b v1 2", "3 saved a v2 3"]);
    assert_eq!(tail.expect("caught-up").await.id.as_deref(), Some("3"));
    save(&server, "c", 4).await;
    assert_eq!(told(&mut tail, 1).await, ["4 saved c v1 4"]);
    delete(&server, "a").await;
    assert_eq!(told(&mut tail, 1).await, ["5 deleted a v3 null"]);
    server.request(Method::DELETE, TOTALS).send().await.expect(200);
    assert_eq!(told(&mut tail, 1).await, ["6 dropped - vnull null"]);
    save(&server, "a", 1).await;
    assert_eq!(told(&mut tail, 1).await, ["7 saved a v4 1"]);
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_after_its_last_change() {
    let server = Server::start().await;
    for (id, total) in [("a", 1), ("b", 2), ("c", 3)] {
        save(&server, id, total).await;
    }
    let call = server.getting(&format!("{TOTALS}/tail?after=now")).header("last-event-id", "1");
    let mut tail = Frames::open(call).await;
    assert_eq!(tail.expect("start").await.data["after"], "1");
    assert_eq!(told(&mut tail, 2).await, ["2 saved b v1 2", "3 saved c v1 3"]);
    let mut late = self::tail(&server, "?after=now").await;
    assert_eq!(late.expect("start").await.data, json!({"after": "3", "high_water": "3"}));
    late.expect("caught-up").await;
    save(&server, "d", 4).await;
    assert_eq!(told(&mut late, 1).await, ["4 saved d v1 4"]);
    // One that was away while all was dropped is told so.
    server.request(Method::DELETE, TOTALS).send().await.expect(200);
    save(&server, "e", 5).await;
    let mut away = self::tail(&server, "?after=2").await;
    away.expect("start").await;
    assert_eq!(told(&mut away, 2).await, ["5 dropped - vnull null", "6 saved e v2 5"]);
}

#[tokio::test]
async fn a_query_is_told_what_enters_changes_and_leaves() {
    let server = Server::start().await;
    for (id, total) in [("in", 20), ("out", 5), ("gone", 30)] {
        save(&server, id, total).await;
    }
    let mut first = tail(&server, &format!("?{}", followed())).await;
    first.expect("start").await;
    assert_eq!(told(&mut first, 2).await, ["1 entered in v1 20", "3 entered gone v1 30"]);
    let mut live = tail(&server, &format!("?after=now&{}", followed())).await;
    for tail in [&mut first, &mut live] {
        while tail.next().await.expect("it goes on").event != "caught-up" {}
    }
    save(&server, "in", 21).await;
    save(&server, "out", 6).await;
    save(&server, "out", 11).await;
    save(&server, "in", 1).await;
    delete(&server, "gone").await;
    save(&server, "in", 2).await;
    save(&server, "in", 12).await;
    for tail in [&mut first, &mut live] {
        // What follows at once may be told as one change.
        let mut among = std::collections::BTreeSet::from(["in".to_owned(), "gone".to_owned()]);
        let mut last = String::new();
        while last != "10" {
            let frame = tail.events(1).await.remove(0);
            let id = frame.data["id"].as_str().unwrap().to_owned();
            let was = among.contains(&id);
            match frame.data["type"].as_str().unwrap() {
                "entered" => assert!(!was && among.insert(id), "{frame:?}"),
                "changed" => assert!(was, "{frame:?}"),
                "left" => assert!(among.remove(&id), "{frame:?}"),
                other => panic!("{other}"),
            }
            if let Some(state) = frame.data["entry"]["state"].as_object() {
                assert_eq!(state.keys().collect::<Vec<_>>(), ["total"], "only what was selected");
            }
            last = frame.id.unwrap();
        }
        assert_eq!(among.into_iter().collect::<Vec<_>>(), ["in", "out"]);
    }
}

#[tokio::test]
async fn a_query_is_told_what_left_while_its_client_was_away() {
    let server = Server::start().await;
    for (id, total) in [("a", 20), ("b", 30), ("c", 40)] {
        save(&server, id, total).await;
    }
    save(&server, "a", 1).await;
    delete(&server, "b").await;
    save(&server, "d", 50).await;
    let mut tail = tail(&server, &format!("?after=3&{}", followed())).await;
    tail.expect("start").await;
    let expected = ["4 left a v2 1", "5 left b v2 null", "6 entered d v1 50"];
    assert_eq!(told(&mut tail, 3).await, expected);
    tail.expect("caught-up").await;
    save(&server, "c", 41).await;
    assert_eq!(told(&mut tail, 1).await, ["7 changed c v2 41"]);
}

#[tokio::test]
async fn what_is_no_tail_of_a_projection_is_refused() {
    let server = Server::start().await;
    let get = async |query: &str| server.get(&format!("{TOTALS}/tail{query}")).await;
    get("?after=1").await.problem(410, "history-diverged");
    get("?after=x").await.problem(400, "malformed-request");
    get("?after=-1").await.fault(400, "malformed-request", "after");
    get("?name=x").await.fault(422, "invalid-request", "name");
    for query in [r#"{"sort":[]}"#, r#"{"filter":{}}"#, r#"{"page":{"limit":1}}"#] {
        let query = format!("?query={}", percent_encode(query));
        get(&query).await.fault(422, "invalid-request", "query");
    }
    server.get("/v1/logs/nowhere/projections/totals/tail").await.problem(404, "log-not-found");
    let call = server.getting(&format!("{TOTALS}/tail")).header("accept", "application/json");
    call.send().await.problem(406, "not-acceptable");
    let setup = Setup::memory().limits(|limits| limits.query_examined = 1);
    let server = setup.start().await;
    save(&server, "a", 20).await;
    save(&server, "b", 20).await;
    let query = format!("{TOTALS}/tail?after=now&{}", followed());
    server.get(&query).await.problem(422, "query-too-broad");
}

#[tokio::test]
async fn a_read_waits_until_the_projection_holds_an_event() {
    let server = Server::start().await;
    let put = async |id: &str, number: i64| {
        let body = json!({"source": {"log": true}, "state": id, "sequence_number": number});
        server.put(&format!("{TOTALS}/entries/{id}"), &body).await
    };
    put("a", 5).await.expect(201);
    let reads = ["entries", "entries/a"];
    for read in reads {
        let get = async |query: &str| server.get(&format!("{TOTALS}/{read}?{query}")).await;
        get("min_sequence_number=5").await.expect(200);
        let answer = get("min_sequence_number=6").await;
        let problem = answer.problem(503, "projection-behind");
        assert_eq!((&problem["sequence_number"], &problem["retry_after"]), (&json!(5), &json!(1)));
        get("wait=1").await.fault(422, "invalid-request", "wait");
        get("min_sequence_number=1&wait=61").await.fault(422, "invalid-request", "wait");
        get("min_sequence_number=-1").await.fault(422, "invalid-request", "min_sequence_number");
    }
    let search = async |verb: &str, number: i64| {
        let path = format!("{TOTALS}/{verb}?min_sequence_number={number}&wait=30");
        server.post(&path, &json!({})).await
    };
    let waiting = async {
        let path = format!("{TOTALS}/entries/a?min_sequence_number=9&wait=30");
        tokio::join!(search("search", 9), search("count", 9), server.get(&path))
    };
    let ((found, counted, got), saved) = tokio::join!(waiting, put("a", 9));
    saved.expect(200);
    assert_eq!(found.expect(200).json()["entries"][0]["sequence_number"], 9);
    assert_eq!(counted.expect(200).json()["count"], 1);
    assert_eq!(got.expect(200).json()["version"], 2);
}
