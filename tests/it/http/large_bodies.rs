//! Large bodies together: they take a bounded room, and small ones do not wait for it.

use std::net::SocketAddr;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::support::server::{JOE, Setup};

const REQUEST_BYTES: usize = 256 << 10;

/// Sends all of a large body but its end, and waits for an answer.
async fn begin(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    let head = format!(
        "POST {JOE}/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    let size = REQUEST_BYTES - 1;
    let text = format!("{head}{size:x}\r\n{}", "x".repeat(size));
    // The server may answer before it has it all.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.read_u8().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_have_a_bounded_room_and_small_ones_pass() {
    let server =
        Setup::memory().limits(|limits| limits.request_bytes = REQUEST_BYTES).start().await;
    let large = json!({"events": [{"name": "e", "payload": "x".repeat(REQUEST_BYTES - 1_000)}]});
    let publish = async || server.post(&format!("{JOE}/events"), &large).await;
    publish().await.expect(201);
    // Each of these holds its part until it is dropped, or is refused: with more of them the room is full.
    let mut bodies = JoinSet::new();
    let mut problem = publish().await;
    while problem.status == 201 && bodies.len() < 400 {
        bodies.spawn(begin(server.address));
        problem = publish().await;
    }
    problem.problem(503, "unavailable");
    assert_eq!(problem.header("retry-after"), "1");
    server.fill(JOE, 3).await;
    bodies.shutdown().await;
    while publish().await.status != 201 {
        tokio::task::yield_now().await;
    }
}
