//! Conditions that stand in headers.

use serde_json::{Value, json};

use crate::support::server::{Answer, JOE, Server};

const ANN: &str = "/v1/logs/default/categories/profiles/streams/ann";

async fn publish(server: &Server, source: &str, header: &str, value: &str) -> Answer {
    let body = if source.contains("/streams/") {
        json!({"events": [{"name": "e"}]})
    } else if source.contains("/categories/") {
        json!({"writes": [{"stream": "joe", "events": [{"name": "e"}]}]})
    } else {
        json!({"writes": [{"category": "profiles", "stream": "joe", "events": [{"name": "e"}]}]})
    };
    let call = server.posting(&format!("{source}/events")).header(header, value);
    call.json(&body).send().await
}

#[tokio::test]
async fn if_match_holds_if_any_of_its_tags_is_the_position() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    for (n, tag) in ["\"0\"", "1", "\"9\", \"2\"", "\"x\",3", "*"].into_iter().enumerate() {
        let answer = publish(&server, JOE, "if-match", tag).await.expect(201);
        assert_eq!(answer.header("etag"), format!("\"{}\"", n + 1), "{tag}");
    }
}

#[tokio::test]
async fn a_false_if_match_says_where_the_stream_is_and_what_was_written() {
    let server = Server::start().await;
    server.fill(JOE, 5).await;
    for (tag, expected) in [("\"2\"", json!(2)), ("1, \"2\"", json!([1, 2]))] {
        let answer = publish(&server, JOE, "if-match", tag).await;
        let problem = answer.problem(412, "write-condition-failed");
        assert_eq!(answer.header("etag"), "\"4\"");
        assert_eq!(problem["actual_position"], 4);
        let failed = &problem["failed"][0];
        assert_eq!(
            (&failed["condition"], &failed["header"]),
            (&json!("if_match"), &json!("If-Match"))
        );
        assert_eq!((&failed["expected"], &failed["actual"]), (&expected, &json!(4)));
        assert_eq!((&failed["category"], &failed["stream"]), (&json!("profiles"), &json!("joe")));
        let since = problem["events_since"].as_str().unwrap();
        assert_eq!(failed["events_since"], since);
        let page = server.get(since).await.expect(200).json();
        let payloads: Vec<_> =
            page["events"].as_array().unwrap().iter().map(|e| &e["payload"]).collect();
        assert_eq!(payloads, [&json!(3), &json!(4)], "what the winner wrote");
    }
    assert_eq!(server.written().await, 5);
}

#[tokio::test]
async fn a_tag_that_is_no_number_never_matches() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    for tag in ["\"abc\"", "\"-1\"", "\"99999999999999999999\"", "\"a,b\"", "\"\""] {
        let answer = publish(&server, JOE, "if-match", tag).await;
        let problem = answer.problem(412, "write-condition-failed");
        assert_eq!(problem["failed"][0]["expected"], tag.trim_matches('"'));
    }
    assert_eq!(server.written().await, 1);
}

#[tokio::test]
async fn a_weak_tag_never_matches_and_the_problem_says_why() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    let answer = publish(&server, JOE, "if-match", "W/\"0\"").await;
    let problem = answer.problem(412, "write-condition-failed");
    assert!(problem["detail"].as_str().unwrap().contains("weak"), "{problem}");
    publish(&server, JOE, "if-match", "W/\"0\", \"0\"").await.expect(201);
}

#[tokio::test]
async fn what_is_no_list_of_tags_is_unreadable() {
    let server = Server::start().await;
    for tag in
        ["-1", "any", "\"4", "4\"", "W/4", "\"4\"\"5\"", "\"a b\"", "*,\"4\"", "4 5", "", ","]
    {
        for header in ["If-Match", "If-None-Match"] {
            let answer = publish(&server, JOE, header, tag).await;
            answer.fault(400, "malformed-request", header);
        }
    }
    assert_eq!(server.written().await, 0);
}

#[tokio::test]
async fn if_none_match_star_holds_while_there_is_nothing() {
    let server = Server::start().await;
    publish(&server, JOE, "if-none-match", "*").await.expect(201);
    let answer = publish(&server, JOE, "if-none-match", "*").await;
    let problem = answer.problem(412, "write-condition-failed");
    assert_eq!(problem["failed"][0]["header"], "If-None-Match");
    assert_eq!(problem["actual_position"], 0);
    let since = server.get(problem["events_since"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(since["events"].as_array().unwrap().len(), 1);
    publish(&server, ANN, "if-match", "*").await.problem(412, "write-condition-failed");
    publish(&server, ANN, "if-none-match", "*").await.expect(201);
    publish(&server, ANN, "if-none-match", "\"7\"").await.expect(201);
    publish(&server, ANN, "if-none-match", "W/\"1\"").await.problem(412, "write-condition-failed");
}

#[tokio::test]
async fn an_empty_stream_is_reported_as_null() {
    let server = Server::start().await;
    let answer = publish(&server, JOE, "if-match", "\"0\"").await;
    let problem = answer.problem(412, "write-condition-failed");
    assert_eq!(problem.get("actual_position"), Some(&Value::Null));
    assert_eq!(problem["failed"][0].get("actual"), Some(&Value::Null));
    assert_eq!(problem.get("events_since"), None);
    assert_eq!(answer.header("etag"), "");
}

#[tokio::test]
async fn on_a_log_and_a_category_the_tag_is_the_last_sequence_number() {
    let server = Server::start().await;
    server.fill(JOE, 3).await;
    server.fill("/v1/logs/default/categories/other/streams/x", 1).await;
    let (log, category) = ("/v1/logs/default", "/v1/logs/default/categories/profiles");
    publish(&server, log, "if-match", "\"3\"").await.problem(412, "write-condition-failed");
    publish(&server, category, "if-match", "\"4\"").await.problem(412, "write-condition-failed");
    let answer = publish(&server, category, "if-match", "\"3\"").await.expect(201);
    assert_eq!(answer.header("etag"), "\"5\"");
    publish(&server, log, "if-match", "\"5\"").await.expect(201);
    publish(&server, log, "if-match", "*").await.expect(201);
    let answer = publish(&server, log, "if-match", "\"4\"").await;
    let problem = answer.problem(412, "write-condition-failed");
    assert_eq!(answer.header("etag"), "\"7\"");
    let since = problem["failed"][0]["events_since"].as_str().unwrap();
    let page = server.get(since).await.expect(200).json();
    assert_eq!(page["events"][0]["sequence_number"], 5);
    let empty = "/v1/logs/default/categories/empty";
    publish(&server, empty, "if-match", "*").await.problem(412, "write-condition-failed");
}

#[tokio::test]
async fn tags_are_compared_by_their_characters() {
    let server = Server::start().await;
    server.fill(JOE, 1).await;
    publish(&server, JOE, "if-match", "\"00\"").await.problem(412, "write-condition-failed");
    publish(&server, JOE, "if-match", "\"0\"").await.expect(201);
}
