//! Clients that take their answers slowly, or not at all: they cost their socket's buffer, and nobody
//! else notices them.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

use crate::support::{client::client, frames::Frames, process::Process};

const STREAM: &str = "/v1/logs/default/categories/c/streams/s";
/// Of each kind.
const CLIENTS: usize = 200;
/// What all of them together may cost the server.
const GROWTH_KIB_MAX: u64 = 50 << 10;

async fn publish(server: &Process, events: usize, bytes: usize) -> Duration {
    let payload = "x".repeat(bytes);
    let events: Vec<_> = (0..events).map(|_| json!({"name": "e", "payload": payload})).collect();
    let started = Instant::now();
    let request = client().post(format!("{}{STREAM}/events", server.url));
    let response = request.json(&json!({ "events": events })).send().await;
    assert_eq!(response.expect("the server answers").status(), 201);
    started.elapsed()
}

/// A tail from the beginning, of which nothing was read yet.
async fn open(server: &Process) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    let request = format!("GET {STREAM}/tail HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    stream
}

/// Reads a kilobyte a second, for as long as it is let.
async fn trickle(mut stream: TcpStream) {
    let mut buffer = [0; 100];
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        if !matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_cost_little_and_nobody_waits_for_them() {
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve("sqlite:slow.db", folder.path());
    for _ in 0..20 {
        publish(&server, 100, 10_000).await;
    }
    let mut fast = Frames::of(
        client().get(format!("{}{STREAM}/tail", server.url)).send().await.expect("a tail"),
    );
    fast.expect("start").await;
    fast.events(2_000).await;
    fast.expect("caught-up").await;
    let before = server.memory_kib();
    let mut dead = Vec::new();
    let mut slow = JoinSet::new();
    for _ in 0..CLIENTS {
        dead.push(open(&server).await);
        slow.spawn(trickle(open(&server).await));
    }
    // The first byte shows that its tail has begun; the server then fills what the socket holds.
    for stream in &dead {
        stream.readable().await.expect("the tail begins");
    }
    let (mut most, mut slowest) = (0, Duration::ZERO);
    for _ in 0..50 {
        slowest = slowest.max(publish(&server, 1, 1_000).await);
        let frame = tokio::time::timeout(Duration::from_secs(5), fast.events(1)).await;
        frame.expect("the fast tail goes on");
        most = most.max(server.memory_kib());
    }
    let growth = most.saturating_sub(before);
    assert!(growth < GROWTH_KIB_MAX, "{} clients cost {growth} KiB", 2 * CLIENTS);
    assert!(slowest < Duration::from_secs(2), "a publish took {slowest:?}");
    drop(dead);
    slow.abort_all();
}

/// The control: the meter sees clients that do cost something, here bodies that never end.
#[tokio::test(flavor = "multi_thread")]
async fn what_clients_cost_is_seen() {
    const PART: usize = 250_000;
    let folder = TempDir::new().expect("a folder");
    let server = Process::serve("sqlite:slow.db", folder.path());
    let before = server.memory_kib();
    let mut clients = JoinSet::new();
    for _ in 0..2 * CLIENTS {
        let address = server.url.trim_start_matches("http://").to_owned();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server accepts");
            let head = format!(
                "POST {STREAM}/events HTTP/1.1\r\nHost: localhost\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                PART + 1
            );
            stream.write_all(head.as_bytes()).await.expect("the head is sent");
            stream.write_all(&[b' '; PART]).await.expect("a part of the body is sent");
            stream
        });
    }
    let _held = clients.join_all().await;
    let seen = async {
        while server.memory_kib().saturating_sub(before) < GROWTH_KIB_MAX {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("the memory is in use");
}
