//! A real service on a port of its own, and a small client that tells all it was answered.

use std::{net::SocketAddr, sync::Arc};

use everlog::{
    app::{Access, Door, Service},
    http::{connections::Patience, tls::Tls},
    model::Limits,
    storage::{Storage, memory::MemoryStore},
    testing::StaticClock,
};
use reqwest::{Client, Method, RequestBuilder, header::HeaderMap, redirect::Policy};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// The path of the stream that most tests write to.
pub(crate) const JOE: &str = "/v1/logs/default/categories/profiles/streams/joe";

/// What a service is made of. [`Setup::memory`] is the usual one.
pub(crate) struct Setup {
    pub(crate) storage: Storage,
    pub(crate) clock: Arc<StaticClock>,
    pub(crate) limits: Limits,
    pub(crate) door: Door,
    pub(crate) patience: Patience,
    pub(crate) tls: Option<Tls>,
}

impl Setup {
    /// Over an empty memory store, its clock standing still.
    pub(crate) fn memory() -> Self {
        let clock = Arc::new(StaticClock::default());
        let storage = Storage::new(Arc::new(MemoryStore::new(clock.clone())));
        Self {
            storage,
            clock,
            limits: Limits::default(),
            door: Access::Loopback.into(),
            patience: Patience::default(),
            tls: None,
        }
    }

    /// Over a store that is the same when it is started again, in a folder of its own.
    pub(crate) async fn lasting() -> (Self, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let (store, clock) = super::sqlite::open_in(folder.path()).await;
        (Self { storage: Storage::new(store), clock, ..Self::memory() }, folder)
    }

    /// With other limits.
    pub(crate) fn limits(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self { limits, ..self }
    }

    #[expect(clippy::disallowed_methods, reason = "the service under test is no task of a service")]
    pub(crate) async fn start(self) -> Server {
        let clock = self.clock.clone();
        let service =
            Service::new(self.storage, self.clock, self.limits, self.door, super::workers::some())
                .await;
        let service = service.expect("the service is put together").with_patience(self.patience);
        let service = service.with_tls(self.tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(service.run(listener, async move {
            // An error means that the server was dropped, which stops it too.
            let _ = stopped.await;
        }));
        Server { address, clock, client: client(), stop: Some(stop), run }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests speak to the server as strangers do")]
fn client() -> Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = Client::builder().no_proxy().no_gzip().redirect(Policy::none());
    client.build().expect("a client is built")
}

/// A service that runs until it is stopped or dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<StaticClock>,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    /// Over an empty memory store.
    pub(crate) async fn start() -> Self {
        Setup::memory().start().await
    }

    /// Asks the service to stop, and does not wait.
    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().expect("the server was not stopped before").send(()).ok();
    }

    /// What `run` returned. Waits for it.
    pub(crate) async fn stopped(self) -> anyhow::Result<()> {
        self.run.await.expect("run does not panic")
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.begin_stop();
        self.stopped().await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Call {
        Call(self.client.request(method, format!("http://{}{path}", self.address)))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path).send().await
    }

    pub(crate) fn getting(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    pub(crate) fn posting(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.posting(path).json(body).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.request(Method::PUT, path).json(body).send().await
    }

    /// Publishes so many events to a stream, named `e`, with their number as payload.
    pub(crate) async fn fill(&self, stream: &str, count: usize) {
        let events: Vec<_> =
            (0..count).map(|i| serde_json::json!({"name": "e", "payload": i})).collect();
        let body = serde_json::json!({"events": events});
        self.post(&format!("{stream}/events"), &body).await.expect(201);
    }

    /// How many events the default log has.
    pub(crate) async fn written(&self) -> i64 {
        let log = self.get("/v1/logs/default").await.expect(200).json();
        log["last_sequence_number"].as_i64().expect("a number")
    }
}

/// A request that is not sent yet.
pub(crate) struct Call(RequestBuilder);

impl Call {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// A body that claims to be JSON.
    pub(crate) fn raw(self, body: impl Into<reqwest::Body>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub(crate) fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// The answer, its body not read yet.
    pub(crate) async fn response(self) -> reqwest::Response {
        self.0.send().await.expect("the server answers")
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.response().await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.expect("the answer is complete").to_vec();
        Answer { status, headers, bytes }
    }
}

/// All that was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Itself, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value = serde_json::from_slice(&self.bytes);
        assert!(value.is_ok(), "no JSON: {:?} {}", self.headers, self.text());
        value.unwrap_or_default()
    }

    /// The JSON objects of its lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.text();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// A header's text; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header is text"))
    }

    /// The problem, which must be written as every problem is.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["status"], status);
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{member} is missing: {problem}");
        }
        let id = self.header("request-id");
        assert!(uuid::Uuid::try_parse(id).is_ok(), "no request id: {:?}", self.headers);
        assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
        problem
    }

    /// The problem, which must point at this place: `#/pointer`, a header's or a parameter's name.
    #[track_caller]
    pub(crate) fn fault(&self, status: u16, code: &str, place: &str) -> Value {
        let problem = self.problem(status, code);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let places = ["pointer", "header", "parameter"];
        let named = |fault: &Value| places.iter().any(|member| fault[*member] == place);
        assert!(errors.iter().any(named), "nothing points at {place}: {problem}");
        let said = |fault: &Value| fault["detail"].as_str().is_some_and(|text| !text.is_empty());
        assert!(errors.iter().all(said), "a fault says nothing: {problem}");
        problem
    }
}
