//! One HTTP/1.1 connection that is kept: the cheapest client there is.
//!
//! Whoever asks also drives the connection, in the same task: no wake-up between the two.

use std::pin::{Pin, pin};

use anyhow::Context;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection to the server.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
    host: HeaderValue,
    bearer: Option<HeaderValue>,
}

/// An answer whose body has not been read.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
}

impl Connection {
    /// Connects, without Nagle's delay.
    pub(super) async fn open(authority: &str, bearer: Option<HeaderValue>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority)
            .await
            .with_context(|| format!("connecting to {authority}"))?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        let host = HeaderValue::from_str(authority)?;
        Ok(Self { sender, driver: Box::pin(driver), host, bearer })
    }

    /// A request to this server.
    pub(super) fn request(&self, method: Method, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(header::HOST, self.host.clone());
        let bearer = self.bearer.clone().map(|key| (header::AUTHORIZATION, key));
        request.headers_mut().extend(bearer);
        request
    }

    /// A publish: JSON to be stored.
    pub(super) fn publish(&self, uri: Uri, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = self.request(Method::POST, uri, body);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        request
    }

    /// Sends a request; its answer's head.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        driven(&mut self.driver, self.sender.ready()).await??;
        let answer = driven(&mut self.driver, self.sender.send_request(request)).await??;
        let (head, body) = Response::into_parts(answer);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The next piece of an answer's body; none at its end.
    pub(super) async fn piece(&mut self, answer: &mut Answer) -> anyhow::Result<Option<Bytes>> {
        loop {
            match driven(&mut self.driver, answer.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame?.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// Reads an answer to its end; its length.
    pub(super) async fn drain(&mut self, answer: &mut Answer) -> anyhow::Result<usize> {
        let mut length = 0;
        while let Some(bytes) = self.piece(answer).await? {
            length += bytes.len();
        }
        Ok(length)
    }

    /// Reads an answer to its end and keeps it.
    pub(super) async fn whole(&mut self, answer: &mut Answer) -> anyhow::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.piece(answer).await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// What stands at a path; any other status than 200 is an error.
    pub(super) async fn get(&mut self, uri: Uri) -> anyhow::Result<Vec<u8>> {
        let request = self.request(Method::GET, uri.clone(), Bytes::new());
        let mut answer = self.send(request).await?;
        let body = self.whole(&mut answer).await?;
        let text = String::from_utf8_lossy(&body);
        anyhow::ensure!(answer.status == StatusCode::OK, "{uri}: {} {text}", answer.status);
        Ok(body)
    }
}

/// What an answer that is no success says, in short.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let problem = serde_json::from_slice(body).unwrap_or(Problem { code: "no problem".to_owned() });
    format!("{} {}", status.as_u16(), problem.code)
}

/// Drives the connection until some work upon it is done.
async fn driven<T>(
    driver: &mut Pin<Box<Driver>>,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        ended = driver.as_mut() => match work.now_or_never() {
            Some(done) => Ok(done),
            None => Err(ended.map_or_else(Into::into, |()| anyhow::anyhow!("closed by the server"))),
        },
        done = &mut work => Ok(done),
    }
}
