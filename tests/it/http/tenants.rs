//! Logs are tenants: what is known of one opens nothing of another, on any operation.

use everlog::http::{Edition, document};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Server, Setup};

const THEIRS: &str = "/v1/logs/theirs";
/// Stands in all that their log holds.
const SECRET: &str = "what-only-they-may-know";
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// What is known of their log: ids, names and places.
struct Known {
    event_id: String,
    /// Cursors of events, of entries and of lists, numbers, ids of frames.
    places: Vec<String>,
}

async fn fill(server: &Server, log: &str, secret: &str) -> Known {
    let path = format!("/v1/logs/{log}");
    server.put(&path, &json!({})).await.expect(201);
    let stream = format!("{path}/categories/cats/streams/{secret}");
    let event = json!({"name": "told", "payload": secret, "metadata": {"m": secret}});
    let body = json!({"events": vec![event; 3]});
    let ack = server.post(&format!("{stream}/events"), &body).await.expect(201).json();
    for i in 0..3 {
        let entry = json!({"source": {"category": "cats", "stream": secret}, "state": {"s": secret, "i": i}});
        server
            .put(&format!("{path}/projections/totals/entries/{secret}-{i}"), &entry)
            .await
            .expect(201);
    }
    let definition =
        json!({"source": {"log": true}, "handlers": {"told": "(state, event) => event.payload"}});
    server.put(&format!("{path}/projectors/tellers"), &definition).await.expect(201);
    server
        .get(&format!("{path}/projections/tellers/entries?min_sequence_number=3&wait=10"))
        .await
        .expect(200);

    let mut places = vec![secret.to_owned(), format!("{secret}-1"), "1".to_owned(), "0".to_owned()];
    for source in [path.clone(), stream] {
        let page = server.get(&format!("{source}/events?limit=1")).await.expect(200).json();
        let cursors =
            ["after", "high_water"].map(|name| page["page"][name].as_str().map(str::to_owned));
        places.extend(cursors.into_iter().flatten());
    }
    let search = json!({"page": {"limit": 1}, "sort": [{"path": "/state/s", "order": "asc"}]});
    let found = server.post(&format!("{path}/projections/totals/search"), &search).await;
    places.extend(found.expect(200).json()["page"]["next"].as_str().map(str::to_owned));
    Known { event_id: ack["events"][1]["id"].as_str().expect("an id").to_owned(), places }
}

/// Every request that tries what is known of another log on this one.
fn tries(log: &str, known: &Known) -> Vec<(String, Method, String, Value, Option<String>)> {
    let document: Value = serde_json::from_str(document(Edition::Full)).expect("it is JSON");
    let mut tries = Vec::new();
    for (template, members) in document["paths"].as_object().expect("there are paths") {
        if !template.contains("{log}") {
            continue;
        }
        for method in METHODS.into_iter().filter(|method| !members[*method].is_null()) {
            let operation = members[method]["operationId"].as_str().expect("an id");
            for place in &known.places {
                let path = [
                    ("{log}", log),
                    ("{category}", "cats"),
                    ("{stream}", SECRET),
                    ("{projection}", "totals"),
                    ("{projector}", "tellers"),
                    ("{id}", place),
                    ("{event_id}", &known.event_id),
                    ("{position}", "1"),
                    ("{revision}", "1"),
                ]
                .iter()
                .fold(template.clone(), |path, (name, value)| path.replace(name, value));
                let method: Method = method.to_uppercase().parse().expect("a method");
                let body = body(operation, place, &known.event_id);
                let mut with = |query: &str, resumed: Option<&String>| {
                    let path = format!("{path}{query}");
                    let try_it = (
                        operation.to_owned(),
                        method.clone(),
                        path,
                        body.clone(),
                        resumed.cloned(),
                    );
                    tries.push(try_it);
                };
                with("", None);
                let takes: Vec<_> = members[method.as_str().to_lowercase()]["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|parameter| parameter["name"].as_str())
                    .filter(|name| {
                        ["after", "before", "cursor", "after_sequence_number", "projector"]
                            .contains(name)
                    })
                    .collect();
                for name in takes {
                    with(&format!("?{name}={place}"), None);
                }
                if operation.starts_with("tail_") {
                    with("", Some(place));
                }
            }
        }
    }
    tries
}

fn body(operation: &str, place: &str, event_id: &str) -> Value {
    let event = json!({"name": "asked", "id": event_id});
    let write = json!({"category": "cats", "stream": "mine", "events": [event]});
    match operation {
        "publish_to_stream" => json!({"events": [event]}),
        "publish_to_category" => json!({"writes": [{"stream": "mine", "events": [event]}]}),
        "publish_to_log" => json!({"writes": [write],
            "condition": {"no_event_matching": {"source": {"category": "cats"}, "names": ["told"]}}}),
        "put_entry" => json!({"source": {"log": true}, "state": 1}),
        "save_entries" => json!({"entries": [{"id": place, "source": {"log": true}, "state": 1}]}),
        "search_projection" | "search_projections" => json!({"page": {"after": place, "limit": 5},
            "sort": [{"path": "/state/s", "order": "asc"}]}),
        "create_ticket" => json!({"source": {"category": "cats", "stream": place}}),
        _ => json!({}),
    }
}

/// All that their log holds, as it is told.
async fn held(server: &Server) -> String {
    let mut all = String::new();
    for path in ["/export", "/projections/totals/entries", "/projections/tellers/entries", ""] {
        all.push_str(&server.get(&format!("{THEIRS}{path}")).await.expect(200).text());
    }
    all
}

/// The operations whose answer tells the secret: in it stands more of it than in what was asked.
async fn telling(server: &Server, log: &str, known: &Known, reads: bool) -> Vec<String> {
    let mut telling = Vec::new();
    for (operation, method, path, body, resumed) in tries(log, known) {
        if reads && method != Method::GET && !operation.starts_with("search") {
            continue;
        }
        let mut call = server.request(method.clone(), &path);
        if let Some(id) = resumed {
            call = call.header("last-event-id", &id);
        }
        let call = if method == Method::GET { call } else { call.json(&body) };
        let mut answer = call.response().await;
        let mut said = Vec::new();
        // A tail goes on for ever: what comes at once is enough.
        if operation.starts_with("tail_") && answer.status() == 200 {
            said.extend(answer.chunk().await.ok().flatten().into_iter().flatten());
            said.extend(answer.chunk().await.ok().flatten().into_iter().flatten());
        } else {
            said = answer.bytes().await.expect("it is complete").to_vec();
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        if said.contains(&format!("\"payload\":\"{SECRET}\""))
            || said.contains(&format!("\"s\":\"{SECRET}\""))
        {
            telling.push(operation);
        }
    }
    telling.dedup();
    telling
}

#[tokio::test]
async fn what_is_known_of_one_log_opens_nothing_of_another() {
    let server = Setup::memory().start().await;
    let known = fill(&server, "theirs", SECRET).await;
    fill(&server, "mine", "mine").await;
    let before = held(&server).await;
    assert_eq!(telling(&server, "mine", &known, false).await, Vec::<String>::new());
    assert_eq!(held(&server).await, before, "nothing of theirs was changed");
    // The control: on their own log the same requests tell it.
    let told = telling(&server, "theirs", &known, true).await;
    for operation in [
        "read_log",
        "get_event",
        "export_stream",
        "tail_category",
        "get_entry",
        "search_projection",
    ] {
        assert!(told.iter().any(|one| one == operation), "{operation} is not among {told:?}");
    }
}

#[tokio::test]
async fn an_id_of_another_log_is_new_here() {
    let server = Setup::memory().start().await;
    let known = fill(&server, "theirs", SECRET).await;
    server.put("/v1/logs/mine", &json!({})).await.expect(201);
    let stream = |log: &str| format!("/v1/logs/{log}/categories/cats/streams/tom/events");
    let same = json!({"events": [{"name": "n", "id": known.event_id}]});
    let ack = server.post(&stream("mine"), &same).await.expect(201).json();
    assert_eq!((&ack["replayed"], &ack["position"]), (&json!(false), &json!(0)));
    // So is an `Idempotency-Key`.
    for (log, position) in [("theirs", 0), ("mine", 1)] {
        let call = server.posting(&stream(log)).header("idempotency-key", "k");
        let ack = call.json(&json!({"events": [{"name": "n"}]})).send().await.expect(201).json();
        assert_eq!(
            (&ack["replayed"], &ack["position"]),
            (&json!(false), &json!(position)),
            "{log}"
        );
    }
}
