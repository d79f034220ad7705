//! Requests written byte by byte, for what no HTTP client would send.

use std::net::SocketAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::server::Answer;

/// Sends these bytes, then the end of the stream if asked, and reads until the server closes.
async fn exchange(address: SocketAddr, request: &[u8], end: bool) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.write_all(request).await.expect("the request is sent");
    if end {
        stream.shutdown().await.expect("the stream is ended");
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the answer is read");
    parse(&bytes)
}

/// The answer to a request that waits for it.
pub(crate) async fn send(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    exchange(address, request.as_ref(), false).await
}

/// The answer to a request after which nothing more can come.
pub(crate) async fn send_and_end(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    exchange(address, request.as_ref(), true).await
}

/// A GET of a target that is sent as it is written.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    send(address, request).await
}

/// An answer that has its length, or ends with the connection.
fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("the server answers with headers");
    let (head, body) = bytes.split_at(end);
    let head = String::from_utf8(head.to_vec()).expect("headers are text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a header's name");
        headers.append(name, HeaderValue::from_str(value).expect("a header's value"));
    }
    Answer {
        status: status.and_then(|status| status.parse().ok()).expect("a status"),
        headers,
        bytes: body.get(4..).unwrap_or_default().to_vec(),
    }
}
