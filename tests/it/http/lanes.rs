//! Logs of many lanes: no number is a place in them, cursors are.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{
    server::{Server, Setup},
    walk::{self, Links},
};

const LOG: &str = "/v1/logs/many";

/// Twelve streams of three categories, three events each, in a log with this ordering.
async fn filled(ordering: &str) -> Server {
    let server = Setup::memory().start().await;
    server.put(LOG, &json!({"ordering": ordering, "lanes": 5})).await.expect(201);
    for round in 0..3 {
        for stream in 0..12 {
            let category = stream % 3;
            let path = format!("{LOG}/categories/c{category}/streams/s{stream}");
            server.fill(&path, 1).await;
        }
        server.clock.advance(i64::from(round) + 1);
    }
    server
}

#[tokio::test]
async fn vector_cursors_page_everything_in_each_streams_order() {
    for ordering in ["stream", "category"] {
        let server = filled(ordering).await;
        let all = server.get(&format!("{LOG}/export")).await.expect(200).lines();
        assert_eq!(all.len(), 36);
        let ids: HashSet<_> = all.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), 36);
        for links in [Links::Body, Links::Header] {
            for limit in [1, 7, 36] {
                let first = format!("{LOG}/events?limit={limit}");
                let pages = walk::pages(&server, &first, links, true).await;
                let walked = walk::events(&pages);
                assert_eq!(walk::faults(&all, &walked), [""; 0], "{ordering} {limit}");
                assert!(pages.iter().all(|page| page.header("cache-control") == "no-cache"));
            }
        }
        let first = format!("{LOG}/events?direction=backwards&limit=5");
        let mut back = walk::events(&walk::pages(&server, &first, Links::Body, true).await);
        back.reverse();
        assert_eq!(walk::faults(&all, &back), [""; 0], "{ordering} backwards");
    }
}

#[tokio::test]
async fn a_cursor_kept_while_lanes_grow_skips_nothing() {
    let server = filled("stream").await;
    let first = server.get(&format!("{LOG}/events?limit=20")).await.expect(200).json();
    let after = first["page"]["after"].as_str().unwrap().to_owned();
    for stream in 0..12 {
        server.fill(&format!("{LOG}/categories/c{}/streams/s{stream}", stream % 3), 2).await;
    }
    let url = format!("{LOG}/events?limit=9&after={after}");
    let mut walked = first["events"].as_array().unwrap().clone();
    walked.extend(walk::events(&walk::pages(&server, &url, Links::Body, true).await));
    let all = server.get(&format!("{LOG}/export")).await.expect(200).lines();
    assert_eq!(all.len(), 60);
    assert_eq!(walk::faults(&all, &walked), [""; 0]);
}

#[tokio::test]
async fn a_number_is_no_place_in_a_source_of_many_lanes() {
    let server = filled("stream").await;
    for source in [LOG.to_owned(), format!("{LOG}/categories/c1")] {
        for query in ["after=5", "before=5", "after=5-00000000", "after_sequence_number=5"] {
            let answer = server.get(&format!("{source}/events?{query}")).await;
            answer.problem(422, "cursor-required");
        }
        server.get(&format!("{source}/export?after=5")).await.problem(422, "cursor-required");
    }
    let stream = format!("{LOG}/categories/c1/streams/s1");
    let page = server.get(&format!("{stream}/events?after=0")).await.expect(200).json();
    assert_eq!(page["events"][0]["position"], 1);
    // In a category-ordered log a category is one lane.
    let server = filled("category").await;
    let category = format!("{LOG}/categories/c1");
    let all = server.get(&format!("{category}/events")).await.expect(200).json();
    let number = all["events"][3]["sequence_number"].as_i64().unwrap();
    let page = server.get(&format!("{category}/events?after={number}")).await.expect(200).json();
    assert_eq!(page["events"][0], all["events"][4]);
    let vector = server.get(&format!("{LOG}/events?limit=1")).await.json()["page"]["after"].clone();
    let url = format!("{category}/events?after={}", vector.as_str().unwrap());
    server.get(&url).await.fault(422, "invalid-request", "after");
}

#[tokio::test]
async fn a_number_is_no_condition_on_a_source_of_many_lanes() {
    let server = filled("stream").await;
    let body = json!({"writes": [{"category": "c1", "stream": "s1", "events": [{"name": "e"}]}]});
    let post = |tag: &'static str, body: &Value| {
        server.posting(&format!("{LOG}/events")).header("if-match", tag).json(body).send()
    };
    post("\"5\"", &body).await.fault(422, "invalid-request", "If-Match");
    post("*", &body).await.expect(201);
    let condition = json!({"no_event_matching": {"source": {"log": true}, "after": 5}});
    let body = json!({"events": [{"name": "e"}], "condition": condition});
    let stream = format!("{LOG}/categories/c1/streams/s1/events");
    let place = "#/condition/no_event_matching/after";
    server.post(&stream, &body).await.fault(422, "invalid-request", place);
    let call = server.posting(&stream).header("if-match", "\"3\"");
    call.json(&json!({"events": [{"name": "e"}]})).send().await.expect(201);
}

#[tokio::test]
async fn sequence_numbers_are_unique_across_lanes() {
    let server = filled("stream").await;
    let all = server.get(&format!("{LOG}/export")).await.expect(200).lines();
    let numbers: HashSet<_> = all.iter().map(|e| e["sequence_number"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), 36);
    let log = server.get(LOG).await.expect(200).json();
    assert!(numbers.contains(&log["last_sequence_number"].as_i64().unwrap()));
}

#[tokio::test]
async fn lanes_are_held_against_those_of_the_log_that_exists() {
    let server = Server::start().await;
    server.put(LOG, &json!({"ordering": "category", "lanes": 4})).await.expect(201);
    server.put(LOG, &json!({"lanes": 4})).await.expect(200);
    server.put(LOG, &json!({"lanes": 5})).await.problem(409, "log-settings-conflict");
}
