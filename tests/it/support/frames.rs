//! Reads server-sent events as a browser does (WHATWG HTML, §9.2.6).

use futures_util::StreamExt;
use reqwest::{Response, header::HeaderMap};
use serde_json::Value;

use super::server::Call;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Empty where none was named.
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

/// A stream that is read.
pub(crate) struct Frames {
    pub(crate) headers: HeaderMap,
    chunks: futures_util::stream::BoxStream<'static, reqwest::Result<Vec<u8>>>,
    text: Vec<u8>,
    pub(crate) retry_ms: Option<u64>,
}

impl Frames {
    /// Opens a tail, which must begin.
    pub(crate) async fn open(call: Call) -> Self {
        let response = call.response().await;
        assert_eq!(response.status(), 200);
        Self::of(response)
    }

    pub(crate) fn of(response: Response) -> Self {
        let headers = response.headers().clone();
        let chunks = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()));
        Self { headers, chunks: chunks.boxed(), text: Vec::new(), retry_ms: None }
    }

    /// The next event; nothing at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if let Some(frame) = self.parse(&String::from_utf8(block).expect("UTF-8")) {
                    return Some(frame);
                }
            }
            self.text.extend(self.chunks.next().await?.ok()?);
        }
    }

    fn parse(&mut self, block: &str) -> Option<Frame> {
        let mut frame = Frame { event: String::new(), id: None, data: Value::Null };
        let mut any = false;
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(": ").expect("a field and its value");
            match field {
                "event" => value.clone_into(&mut frame.event),
                "id" => frame.id = Some(value.to_owned()),
                "data" => {
                    frame.data = serde_json::from_str(value).expect("data is JSON");
                    any = true;
                }
                "retry" => self.retry_ms = Some(value.parse().expect("milliseconds")),
                other => assert!(other.is_empty(), "an unknown field: {other}"),
            }
        }
        any.then_some(frame)
    }

    /// The next event, which must have this name.
    pub(crate) async fn expect(&mut self, event: &str) -> Frame {
        let frame = self.next().await.expect("the stream goes on");
        assert_eq!(frame.event, event, "{frame:?}");
        frame
    }

    /// The next so many events of the source.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Frame> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.expect("").await);
        }
        events
    }
}
