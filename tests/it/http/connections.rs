//! Connections: how many, and how long one may do nothing.

use std::time::Duration;

use everlog::http::connections::Patience;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    raw,
    server::{JOE, Server, Setup},
};

const SHORT: Duration = Duration::from_millis(100);

async fn impatient(head: Duration, stall: Duration) -> Server {
    Setup { patience: Patience { head, stall }, ..Setup::memory() }.start().await
}

/// Sends these bytes and reads until the server closes; a reset is a close as well.
async fn until_closed(server: &Server, sent: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.expect("the server accepts");
    stream.write_all(sent.as_bytes()).await.expect("the bytes are sent");
    let mut answered = Vec::new();
    let _ = stream.read_to_end(&mut answered).await;
    answered
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_let_go() {
    let server = impatient(SHORT, Patience::default().stall).await;
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
        assert_eq!(until_closed(&server, begun).await, b"", "{begun:?}");
    }
    let answered = until_closed(&server, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answered.starts_with(b"HTTP/1.1 200"), "it was answered and then let go");
}

/// The body is far larger than what sockets hold, so the server waits for a client that takes nothing.
#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go() {
    let server = impatient(Patience::default().head, SHORT).await;
    let payload = "x".repeat(1_000_000);
    for _ in 0..32 {
        let body = serde_json::json!({"events": [{"name": "e", "payload": payload}]});
        server.post(&format!("{JOE}/events"), &body).await.expect(201);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {JOE}/export HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    // It is there as long as the server holds the other end: the server is asked to stop, and does not
    // wait for it.
    let stopped = tokio::time::timeout(Duration::from_secs(5), server.stop()).await;
    stopped.expect("the stalled connection was let go").unwrap();
    let mut taken = Vec::new();
    let _ = stream.read_to_end(&mut taken).await;
    assert!(taken.len() < 32_000_000, "the export was cut off: {}", taken.len());
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let server = Setup::memory().limits(|limits| limits.connections = 1).start().await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    first.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    let second = raw::get(server.address, "/livez");
    tokio::pin!(second);
    let early = tokio::time::timeout(SHORT, &mut second).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    second.await.expect(200);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start().await;
    let twice = "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\
                 Connection: close\r\n\r\n";
    raw::send(server.address, twice).await.fault(400, "malformed-request", "Host");
}

/// RFC 9112 §3.2.2: then the `Host` header counts for nothing.
#[tokio::test]
async fn a_target_in_absolute_form_names_the_host() {
    let server = Server::start().await;
    let get = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw::send(server.address, request)
    };
    get("http://localhost:4100/livez", "evil.example").await.expect(200);
    get("http://evil.example/livez", "localhost").await.problem(403, "host-not-allowed");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let server = Setup::memory().limits(|limits| limits.request_bytes = 1024).start().await;
    let head = format!(
        "POST {JOE}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: 1025\r\n\r\n"
    );
    let problem = raw::send(server.address, head).await.problem(413, "too-large");
    assert_eq!((&problem["limit"], &problem["maximum"]), (&"request_bytes".into(), &1024.into()));
}

/// Without it the connection is closed while the client sends, and the client hears of that only.
#[tokio::test]
async fn who_still_sends_a_body_that_is_refused_hears_why() {
    let server = Setup::memory().limits(|limits| limits.request_bytes = 1024).start().await;
    let body = " ".repeat(4 << 20);
    let request = format!(
        "POST {JOE}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw::send(server.address, request).await.problem(413, "too-large");
}

#[tokio::test]
async fn a_publish_whose_answer_no_coding_can_carry_is_refused_and_not_stored() {
    let server = Server::start().await;
    let body = serde_json::json!({"events": [{"name": "e"}]});
    for codings in ["identity;q=0", "*;q=0", "identity;q=0, deflate"] {
        let call = server.posting(&format!("{JOE}/events")).header("accept-encoding", codings);
        call.json(&body).send().await.problem(406, "not-acceptable");
        assert_eq!(server.written().await, 0, "{codings}");
    }
    let call =
        server.posting(&format!("{JOE}/events")).header("accept-encoding", "gzip;q=0.1, *;q=0");
    call.json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_percent_sign_stands_before_two_hex_digits() {
    let server = Server::start().await;
    for path in ["/v1/logs/%zz", "/v1/logs/default%", "/v1/logs/default%2"] {
        raw::get(server.address, path).await.fault(400, "malformed-request", "path");
    }
    let query = "/v1/logs?prefix=100%";
    raw::get(server.address, query).await.fault(400, "malformed-request", "prefix");
}
