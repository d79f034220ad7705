//! Conditions that stand in bodies: operators, trees, and what is wrong with them.

use serde_json::{Value, json};

use crate::support::server::{Answer, JOE, Server};

async fn publish(server: &Server, condition: &Value) -> Answer {
    let body = json!({"events": [{"name": "more"}], "condition": condition});
    server.post(&format!("{JOE}/events"), &body).await
}

/// A stream `joe` at position 2, its events with metadata.
async fn joe() -> Server {
    let server = Server::start().await;
    let event =
        |name: &str, tag: Value| json!({"name": name, "metadata": {"tag": tag, "on": true}});
    let events = [event("a", json!("x")), event("b", json!(5)), event("c", Value::Null)];
    server.post(&format!("{JOE}/events"), &json!({"events": events})).await.expect(201);
    server
}

#[tokio::test]
async fn every_operator_that_holds_lets_the_publish_through() {
    let other = json!({"category": "profiles", "stream": "nobody"});
    for condition in [
        json!({"position_is": 2}),
        json!({"position_at_least": 1}),
        json!({"stream_exists": true}),
        json!({"stream_is_empty": true, "stream": other}),
        json!({"no_event_matching": {"names": ["z"]}}),
        json!({"no_event_matching": {"names": ["a"], "after": 1}}),
        json!({"no_event_matching": {"names": ["a"], "source": {"category": "none"}}}),
        json!({"no_event_matching": {"metadata": {"tag": "5"}}}),
        json!({"no_event_matching": {"source": {"log": true}, "metadata": {"on": false}}}),
        json!({"all_of": []}),
        json!({"all_of": [{"position_is": 2}, {"stream_exists": true}]}),
        json!({"any_of": [{"position_is": 9}, {"position_is": 2}]}),
        json!({"not": {"position_is": 9}}),
        json!({"not": {"any_of": []}}),
    ] {
        publish(&joe().await, &condition).await.expect(201);
    }
}

#[tokio::test]
async fn every_operator_that_fails_is_reported_and_nothing_is_written() {
    let other = json!({"category": "profiles", "stream": "nobody"});
    for (condition, operator, expected, actual) in [
        (json!({"position_is": 1}), "position_is", json!(1), json!(2)),
        (json!({"position_at_least": 3}), "position_at_least", json!(3), json!(2)),
        (json!({"stream_is_empty": true}), "stream_is_empty", json!(true), json!(2)),
        (
            json!({"stream_exists": true, "stream": other}),
            "stream_exists",
            json!(true),
            Value::Null,
        ),
        (json!({"not": {"position_is": 2}}), "not", json!({"position_is": 2}), json!(2)),
        (json!({"any_of": []}), "any_of", json!([]), Value::Null),
    ] {
        let server = joe().await;
        let problem = publish(&server, &condition).await.problem(409, "write-condition-failed");
        let failed = problem["failed"].as_array().unwrap();
        assert_eq!(failed.len(), 1, "{problem}");
        assert_eq!(failed[0]["condition"], operator);
        assert_eq!(failed[0]["pointer"], "#/condition");
        assert_eq!((&failed[0]["expected"], &failed[0]["actual"]), (&expected, &actual));
        assert_eq!(problem["actual_position"], 2);
        assert_eq!(server.written().await, 3);
    }
}

#[tokio::test]
async fn an_event_that_matches_is_reported_by_its_number() {
    for matching in [
        json!({"names": ["z", "b"]}),
        json!({"metadata": {"tag": 5}}),
        json!({"metadata": {"tag": 5, "on": true}}),
        json!({"source": {"category": "profiles"}, "names": ["b"], "after": 1}),
        json!({"source": {"log": true}, "names": ["b"]}),
        json!({"source": {"category": "profiles", "stream": "joe"}, "names": ["b"], "after": 1}),
    ] {
        let answer = publish(&joe().await, &json!({"no_event_matching": matching})).await;
        let problem = answer.problem(409, "write-condition-failed");
        assert_eq!(problem["failed"][0]["actual"], 2, "{matching}");
        let since = problem["failed"][0]["events_since"].as_str().unwrap();
        assert!(since.starts_with("/v1/logs/default/"), "{since}");
    }
    let null = json!({"no_event_matching": {"metadata": {"tag": null}}});
    let problem = publish(&joe().await, &null).await.problem(409, "write-condition-failed");
    assert_eq!(problem["failed"][0]["actual"], 3);
}

#[tokio::test]
async fn all_leaves_that_fail_are_reported_in_written_order() {
    let tree = json!({"all_of": [
        {"position_is": 7},
        {"stream_exists": true},
        {"any_of": [{"position_is": 8}, {"all_of": [{"position_at_least": 9}]}]},
        {"not": {"stream_exists": true}},
    ]});
    let problem = publish(&joe().await, &tree).await.problem(409, "write-condition-failed");
    let failed = problem["failed"].as_array().unwrap();
    let pointers: Vec<_> = failed.iter().map(|f| f["pointer"].as_str().unwrap()).collect();
    assert_eq!(
        pointers,
        [
            "#/condition/all_of/0",
            "#/condition/all_of/2/any_of/0",
            "#/condition/all_of/2/any_of/1/all_of/0",
            "#/condition/all_of/3",
        ]
    );
    let text = problem["detail"].as_str().unwrap();
    assert!(text.contains("4 conditions"), "{text}");
}

#[tokio::test]
async fn beside_a_set_operator_empty_lists_null_and_false_count_as_absent() {
    let empty = json!({
        "all_of": [], "any_of": [], "stream_is_empty": false, "stream_exists": false,
        "position_at_least": null, "no_event_matching": null, "not": null, "stream": null,
    });
    let beside = |operator: &str, value: Value| {
        let mut condition = empty.clone();
        condition[operator] = value;
        condition
    };
    let server = joe().await;
    publish(&server, &beside("position_is", json!(2))).await.expect(201);
    publish(&server, &beside("stream_exists", json!(true))).await.expect(201);
    publish(&server, &beside("all_of", json!([{"position_is": 4}]))).await.expect(201);
    let answer = publish(&server, &beside("position_is", json!(2))).await;
    answer.problem(409, "write-condition-failed");
}

#[tokio::test]
async fn what_is_no_condition_is_refused_at_its_place() {
    let server = Server::start().await;
    let big = json!(9_007_199_254_740_992_i64);
    for (condition, place) in [
        (json!({}), "#/condition"),
        (json!({"stream_exists": false}), "#/condition"),
        (json!({"position_is": null}), "#/condition"),
        (json!({"all_of": [], "any_of": []}), "#/condition"),
        (json!({"position_is": 1, "stream_exists": true}), "#/condition"),
        (
            json!({"all_of": [{"position_is": 1, "not": {"position_is": 2}}]}),
            "#/condition/all_of/0",
        ),
        (json!({"position": 1}), "#/condition/position"),
        (json!({"not": {"any": []}}), "#/condition/not/any"),
        (json!({"position_is": -1}), "#/condition/position_is"),
        (json!({"position_is": big}), "#/condition/position_is"),
        (json!({"position_at_least": big}), "#/condition/position_at_least"),
        (json!({"position_is": 1.5}), "#/condition/position_is"),
        (json!({"position_is": "1"}), "#/condition/position_is"),
        (json!({"no_event_matching": {"after": -1}}), "#/condition/no_event_matching/after"),
        (json!({"no_event_matching": {"names": ["$x"]}}), "#/condition/no_event_matching/names/0"),
        (
            json!({"no_event_matching": {"metadata": {"a/b": []}}}),
            "#/condition/no_event_matching/metadata/a~1b",
        ),
        (json!({"no_event_matching": {"source": {}}}), "#/condition/no_event_matching/source"),
        (
            json!({"no_event_matching": {"source": {"stream": "s"}}}),
            "#/condition/no_event_matching/source",
        ),
        (json!({"stream_exists": true, "stream": {"category": "c"}}), "#/condition/stream"),
        (
            json!({"stream_exists": true, "stream": {"category": "c", "stream": ".."}}),
            "#/condition/stream/stream",
        ),
        (
            json!({"all_of": [{"stream_exists": true}], "stream": {"category": "c", "stream": "s"}}),
            "#/condition/stream",
        ),
        (json!([]), "#/condition"),
        (json!("position_is"), "#/condition"),
    ] {
        let answer = publish(&server, &condition).await;
        assert_eq!(answer.status, 422, "{condition}: {}", answer.text());
        answer.fault(422, "invalid-request", place);
    }
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn a_condition_on_the_whole_publish_must_name_its_stream() {
    let server = joe().await;
    let body = |condition: Value| json!({"writes": [{"stream": "ann", "events": [{"name": "a"}]}], "condition": condition});
    let path = "/v1/logs/default/categories/profiles/events";
    let unnamed = server.post(path, &body(json!({"all_of": [{"position_is": 2}]}))).await;
    unnamed.fault(422, "invalid-request", "#/condition/all_of/0");
    let named = json!({"position_is": 2, "stream": {"category": "profiles", "stream": "joe"}});
    server.post(path, &body(named.clone())).await.expect(201);
    server.fill(JOE, 1).await;
    let problem = server.post(path, &body(named)).await.problem(409, "write-condition-failed");
    assert_eq!(problem["failed"][0]["stream"], "joe");
    assert_eq!(problem["failed"][0]["actual"], 3);
}

#[tokio::test]
async fn a_false_header_beats_a_false_body() {
    let server = joe().await;
    let body = json!({"events": [{"name": "e"}], "condition": {"position_is": 7}});
    let path = format!("{JOE}/events");
    let send = |tag: &'static str| server.posting(&path).header("if-match", tag).json(&body).send();
    let problem = send("\"9\"").await.problem(412, "write-condition-failed");
    let failed = problem["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 2, "all that failed is reported: {problem}");
    assert_eq!(
        (&failed[0]["header"], &failed[1]["pointer"]),
        (&json!("If-Match"), &json!("#/condition"))
    );
    send("\"2\"").await.problem(409, "write-condition-failed");
}

#[tokio::test]
async fn too_many_conditions_are_over_a_limit() {
    let server = joe().await;
    let many = |n: usize| json!({"all_of": vec![json!({"stream_exists": true}); n]});
    publish(&server, &many(63)).await.expect(201);
    let problem = publish(&server, &many(64)).await.problem(413, "too-large");
    assert_eq!((&problem["limit"], &problem["maximum"]), (&json!("conditions"), &json!(64)));
}

#[tokio::test]
async fn a_log_may_require_conditions() {
    let server = Server::start().await;
    let log = "/v1/logs/strict";
    server.put(log, &json!({"require_condition": true})).await.expect(201);
    let stream = format!("{log}/categories/c/streams/s/events");
    let bare = json!({"events": [{"name": "e"}]});
    server.post(&stream, &bare).await.problem(428, "condition-required");
    let call = server.posting(&stream).header("if-none-match", "*").json(&bare);
    call.send().await.expect(201);
    let body = json!({"events": [{"name": "e"}], "condition": {"position_is": 0}});
    server.post(&stream, &body).await.expect(201);
    let write = |stream: &str, condition: Value| json!({"stream": stream, "events": [{"name": "e"}], "condition": condition});
    let path = format!("{log}/categories/c/events");
    let one_of_two =
        json!({"writes": [write("s", json!({"position_is": 1})), write("t", Value::Null)]});
    server.post(&path, &one_of_two).await.problem(428, "condition-required");
    let both =
        [write("s", json!({"position_is": 1})), write("t", json!({"stream_is_empty": true}))];
    server.post(&path, &json!({"writes": both})).await.expect(201);
    server.put(log, &json!({"require_condition": false})).await.expect(200);
    server.post(&stream, &bare).await.expect(201);
}

#[tokio::test]
async fn numbers_of_metadata_are_compared_by_their_text() {
    let server = Server::start().await;
    for number in ["1.10", "1e2", "12345678901234567890123", "-0"] {
        let stream = format!("/v1/logs/default/categories/n/streams/{number}/events");
        let event = format!(r#"{{"events":[{{"name":"e","metadata":{{"n":{number}}}}}]}}"#);
        server.posting(&stream).raw(event).send().await.expect(201);
        let guarded = format!(
            r#"{{"events":[{{"name":"e"}}],"condition":{{"no_event_matching":{{"metadata":{{"n":{number}}}}}}}}}"#
        );
        let answer = server.posting(&stream).raw(guarded).send().await;
        answer.problem(409, "write-condition-failed");
    }
}

#[tokio::test]
async fn a_stream_beside_a_source_is_refused() {
    let server = joe().await;
    let condition = json!({
        "no_event_matching": {"source": {"log": true}},
        "stream": {"category": "profiles", "stream": "joe"}
    });
    let pointer = "#/condition/no_event_matching/source";
    publish(&server, &condition).await.fault(422, "invalid-request", pointer);
}
