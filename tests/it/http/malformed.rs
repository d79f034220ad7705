//! Requests that no client should send, byte by byte: what is read in two ways is refused, and nothing that hides in a body
//! is done. (RFC 9112 §11.2, request smuggling; RFC 9113 §10.5, denial of service.)

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::server::{JOE, Server};

/// A publish that is done if a server takes it for a request.
fn hidden() -> String {
    let body = r#"{"events":[{"name":"smuggled"}]}"#;
    let head = "Host: localhost\r\nContent-Type: application/json\r\nConnection: close";
    format!("POST {JOE}/events HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What comes back until the server closes, and the statuses in it.
async fn said(server: &Server, request: &[u8]) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(server.address).await.expect("the server accepts");
    // It may have closed before all of it was sent.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let statuses = text.split("HTTP/1.1 ").skip(1);
    let statuses = statuses.filter_map(|rest| rest.get(..3)?.parse().ok()).collect();
    (statuses, text)
}

/// Requests with a body of which two readers could see two ends.
fn of_two_lengths() -> Vec<(&'static str, String)> {
    let hidden = hidden();
    let n = hidden.len();
    let post = |headers: &str, body: &str| {
        let target = format!("POST {JOE}/events HTTP/1.1\r\nHost: localhost");
        format!("{target}\r\nContent-Type: application/json\r\n{headers}\r\n\r\n{body}")
    };
    let chunked = |name: &'static str, coding: &str| {
        (name, post(&format!("Content-Length: {n}\r\n{coding}"), &format!("0\r\n\r\n{hidden}")))
    };
    let length = |name: &'static str, headers: &str| (name, post(headers, &hidden));
    vec![
        chunked("a length and chunks", "Transfer-Encoding: chunked"),
        chunked("chunks by another name", "Transfer-Encoding: xchunked"),
        chunked("chunks that are not last", "Transfer-Encoding: chunked, identity"),
        chunked("chunks and more", "Transfer-Encoding: gzip, chunked"),
        chunked("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        chunked("chunks and none", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        chunked("a space before the colon", "Transfer-Encoding : chunked"),
        chunked("a vertical tab", "Transfer-Encoding:\x0bchunked"),
        chunked("a folded line", "Transfer-Encoding:\r\n chunked"),
        chunked("a quoted coding", "Transfer-Encoding: \"chunked\""),
        length("two lengths", &format!("Content-Length: 0\r\nContent-Length: {n}")),
        length("a list of lengths", &format!("Content-Length: 0, {n}")),
        length("a sign", "Content-Length: +0"),
        length("a negative length", "Content-Length: -1"),
        length("a hexadecimal length", "Content-Length: 0x0"),
        length("a length with a space in it", "Content-Length: 0 0"),
        length("a length beyond all numbers", "Content-Length: 99999999999999999999999"),
        length("a length before a colon", "Content-Length : 0"),
        length("a length in a folded line", "Content-Length:\r\n 0"),
        length("an empty length", "Content-Length:"),
    ]
}

fn of_wrong_chunks() -> Vec<(&'static str, String)> {
    let hidden = hidden();
    let chunks = |body: String| {
        let target = format!("POST {JOE}/events HTTP/1.1\r\nHost: localhost");
        let coding = "Content-Type: application/json\r\nTransfer-Encoding: chunked";
        format!("{target}\r\n{coding}\r\n\r\n{body}")
    };
    vec![
        ("a size that is none", chunks(format!("zz\r\n\r\n{hidden}"))),
        ("a negative size", chunks(format!("-1\r\n\r\n{hidden}"))),
        ("a size with a prefix", chunks(format!("0x0\r\n\r\n{hidden}"))),
        ("a size beyond all numbers", chunks(format!("FFFFFFFFFFFFFFFFF\r\n{hidden}"))),
        ("no end of line after a chunk", chunks(format!("2\r\n{{}}XX0\r\n\r\n{hidden}"))),
        ("a lone line feed after a size", chunks(format!("2\n{{}}\r\n0\r\n\r\n{hidden}"))),
        ("an extension without an end", chunks(format!("2;{}\r\n{{}}", "x".repeat(100_000)))),
        (
            "a lone line feed in an extension",
            chunks(format!("2;a\nb\r\n{{}}\r\n0\r\n\r\n{hidden}")),
        ),
        ("trailers without an end", chunks(format!("0\r\n{}", "a: b\r\n".repeat(50_000)))),
    ]
}

/// Heads that are no heads.
fn of_wrong_heads() -> Vec<(&'static str, String)> {
    let hidden = hidden();
    let get = |line: &str, headers: &str| format!("{line}\r\n{headers}\r\n\r\n");
    let host = "Host: localhost";
    let header = |header: &str| get("GET /v1/logs HTTP/1.1", &format!("{host}\r\n{header}"));
    vec![
        ("no version", get("GET /v1/logs", host)),
        ("a later version", get("GET /v1/logs HTTP/3.0", host)),
        ("a version that is none", get("GET /v1/logs HTTP/1.", host)),
        ("a method that is no token", get("G@{T /v1/logs HTTP/1.1", host)),
        ("a method without a target", get("GET HTTP/1.1", host)),
        ("two targets", get("GET /v1/logs /v1/logs HTTP/1.1", host)),
        ("a control character in the target", get("GET /v1/\x01logs HTTP/1.1", host)),
        ("a target without a slash", get("GET v1/logs HTTP/1.1", host)),
        ("a name that is no token", header("a b: c")),
        ("a name that is empty", header(": c")),
        ("a line that is no header", header("nothing")),
        ("a null in a value", header("a: b\0c")),
        ("a lone carriage return in a value", header("a: b\rc: d")),
        ("a folded header", header("a: b\r\n c")),
        ("two hosts", header("Host: evil.example")),
        ("a header before the first line", format!("a: b\r\n{hidden}")),
        ("very long headers", header(&format!("a: {}", "x".repeat(70_000)))),
        ("very many headers", header(&"a: b\r\n".repeat(1_000))),
        ("a very long target", get(&format!("GET /{} HTTP/1.1", "x".repeat(70_000)), host)),
        ("a tunnel", get("CONNECT localhost:80 HTTP/1.1", host)),
        ("a trace", get("TRACE /v1/logs HTTP/1.1", host)),
        ("another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01".to_owned()),
    ]
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_not_done() {
    let server = Server::start().await;
    let corpus = [of_two_lengths(), of_wrong_chunks(), of_wrong_heads()].concat();
    assert!(corpus.len() > 50);
    for (name, request) in corpus {
        let (statuses, text) = said(&server, request.as_bytes()).await;
        let good: Vec<_> = statuses.iter().filter(|status| **status < 400).collect();
        assert!(good.is_empty() && statuses.len() <= 1, "{name}: {text}");
        assert!(!text.contains("panicked"), "{name}: {text}");
        assert_eq!(server.written().await, 0, "{name}: what was hidden was done");
    }
}

/// The control: where it stands as a request, what is hidden is done, and a second one on a connection is seen.
#[tokio::test]
async fn what_is_hidden_would_be_seen() {
    let server = Server::start().await;
    let first = format!("GET {JOE} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (statuses, text) = said(&server, format!("{first}{}", hidden()).as_bytes()).await;
    assert_eq!(statuses, [404, 201], "{text}");
    let empty = format!(
        "POST {JOE}/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
    );
    let (statuses, text) = said(&server, format!("{empty}{}", hidden()).as_bytes()).await;
    assert_eq!(statuses, [400, 201], "{text}");
    assert_eq!(server.written().await, 2);
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET / http` to an empty authority, in HPACK's static table.
const HEAD: [u8; 3] = [0x82, 0x84, 0x86];

/// Sends frames again and again until the server has had enough; how many it took.
async fn flooded(server: &Server, opening: &[u8], flood: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut stream = TcpStream::connect(server.address).await.expect("the server accepts");
    let preface =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&preface).await.expect("it takes them");
    stream.write_all(opening).await.expect("it takes them");
    let (mut reading, mut writing) = stream.into_split();
    let read = async { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await };
    let write = async {
        let mut sent = 0;
        while sent < FLOOD && writing.write_all(&flood(sent)).await.is_ok() {
            sent += 1;
        }
        sent
    };
    tokio::pin!(read, write);
    // When it closes, no more is taken.
    tokio::select! {
        _ = &mut read => write.await,
        sent = &mut write => sent,
    }
}

const FLOOD: u32 = 200_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_ends_its_connection_and_no_other() {
    let server = Server::start().await;
    let stream = |n: u32| 2 * n + 1;
    let reset = |n: u32| {
        let opened = frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &HEAD);
        [opened, frame(RST_STREAM, 0, stream(n), &8_u32.to_be_bytes())].concat()
    };
    let begun = frame(HEADERS, END_STREAM, 1, &HEAD);
    let sent = flooded(&server, &begun, |_| frame(CONTINUATION, 0, 1, &[0; 1_000])).await;
    assert!(sent < 10_000, "{sent} continuations of one head were taken (RUSTSEC-2024-0332)");
    let sent = flooded(&server, &[], reset).await;
    assert!(sent < 10_000, "{sent} streams were opened and reset (CVE-2023-44487)");
    let sent = flooded(&server, &[], |_| frame(SETTINGS, 0, 1, &[])).await;
    assert!(sent < 10_000, "{sent} settings of a stream were taken");
    let sent = flooded(&server, &[], |n| frame(0xBE, 0, n, &[0; 16_385])).await;
    assert!(sent < 10_000, "{sent} frames were taken that are too long");
    let answer = tokio::time::timeout(Duration::from_secs(10), server.get("/livez")).await;
    answer.expect("the server answers others").expect(200);
}

/// The control: frames that are in order are taken, so many as are sent.
#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_in_order_are_taken() {
    let server = Server::start().await;
    let ping = |n: u32| frame(PING, 0, 0, &u64::from(n).to_be_bytes());
    assert_eq!(flooded(&server, &[], ping).await, FLOOD);
}
