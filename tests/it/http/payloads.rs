//! Payload and metadata come back as they were sent.

use crate::support::server::{JOE, Server};

#[tokio::test]
async fn payloads_come_back_byte_for_byte_but_for_line_ends() {
    let server = Server::start().await;
    for (sent, back) in [
        (r#"{"b" : 1.10,"a":1e2 }"#, None),
        (r#"12345678901234567890123"#, None),
        (r#"[-0, 1E+2, 0.0000001,1e-400]"#, None),
        (r#""\u00e9\/\u0000 é 😀 \ud83d\ude00""#, None),
        (r#"{"":{"":[]}}"#, None),
        ("null", None),
        ("\"\u{7f}\u{2028}\"", None),
        ("{\r\n\t\"a\":\n[1,\r2]}", Some("{  \t\"a\": [1, 2]}")),
    ] {
        let body = format!(r#"{{"events":[{{"name":"e","payload":{sent},"metadata":{sent}}}]}}"#);
        let path = format!("{JOE}/events");
        let answer = server.posting(&path).raw(body).send().await.expect(201);
        let location = answer.header("location").to_owned();
        let back = back.unwrap_or(sent);
        let expected = format!(r#""payload":{back},"metadata":{back},"#);
        let one = server.get(&location).await.expect(200).text();
        assert!(one.contains(&expected), "{sent}\n{one}");
        for url in [format!("{JOE}/events"), format!("{JOE}/export")] {
            let text = server.get(&url).await.expect(200).text();
            assert!(text.contains(&expected), "{sent}\n{text}");
        }
        assert!(!one.contains(['\r', '\n']), "an event is one line");
    }
}

#[tokio::test]
async fn an_absent_payload_is_null_and_so_is_null() {
    let server = Server::start().await;
    let body = r#"{"events":[{"name":"a"},{"name":"b","payload":null,"metadata":null}]}"#;
    server.posting(&format!("{JOE}/events")).raw(body).send().await.expect(201);
    for position in [0, 1] {
        let event = server.get(&format!("{JOE}/events/{position}")).await.expect(200).text();
        assert!(event.contains(r#""payload":null,"metadata":null"#), "{event}");
    }
}

#[tokio::test]
async fn payloads_may_be_as_deep_as_the_limit_and_no_deeper() {
    let server = Server::start().await;
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let send = |depth: usize, member: &'static str| {
        let body = format!(r#"{{"events":[{{"name":"e","{member}":{}}}]}}"#, nested(depth));
        server.posting(&format!("{JOE}/events")).raw(body).send()
    };
    for member in ["payload", "metadata"] {
        send(64, member).await.expect(201);
        let answer = send(65, member).await;
        let place = format!("#/events/0/{member}{}", "/0".repeat(64));
        let problem = answer.fault(422, "invalid-request", &place);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("deeper than 64 levels"), "{detail}");
    }
    let writes = |depth: usize| {
        let event = format!(r#"{{"name":"e","payload":{}}}"#, nested(depth));
        format!(r#"{{"writes":[{{"stream":"s","events":[{event}]}}]}}"#)
    };
    let path = "/v1/logs/default/categories/c/events";
    server.posting(path).raw(writes(64)).send().await.expect(201);
    server.posting(path).raw(writes(65)).send().await.problem(422, "invalid-request");
}
