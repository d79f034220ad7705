//! The one HTTP client of the commands that speak to a server.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use reqwest::{
    Client, RequestBuilder, Response,
    header::{self, HeaderValue},
};
use serde_json::Value;

use crate::{
    config::read_key,
    http::{PREFIX, encode},
};

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct Server {
    /// The server
    #[arg(long, env = "EVERLOG_URL", default_value = "http://127.0.0.1:4100", value_name = "URL")]
    url: String,
    /// A file with the key that the server asks for
    #[arg(long, env = "EVERLOG_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Server {
    /// Its URL, without a slash at the end.
    pub(super) fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

/// Which server and which log.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    #[command(flatten)]
    server: Server,
    /// The log
    #[arg(long, default_value = "default", value_name = "NAME")]
    log: String,
}

impl Target {
    /// A client for the server.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        self.server.client()
    }

    /// What tells the server who asks.
    pub(super) fn bearer(&self) -> anyhow::Result<Option<HeaderValue>> {
        self.server.bearer()
    }

    /// The name of the log.
    pub(super) fn log(&self) -> &str {
        &self.log
    }

    /// The URL of the log.
    pub(super) fn log_url(&self) -> String {
        format!("{}{PREFIX}/logs/{}", self.server.base(), encode(&self.log))
    }
}

impl Server {
    /// What tells the server who asks.
    fn bearer(&self) -> anyhow::Result<Option<HeaderValue>> {
        let Some(path) = &self.key_file else { return Ok(None) };
        let key = read_key(path).map_err(|why| {
            anyhow::anyhow!("--key-file {} (EVERLOG_KEY_FILE): {why}", path.display())
        })?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// A client for this server. Plain HTTP needs no certificates, which a bare system lacks.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to outbound HTTP")]
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let headers = self.bearer()?.map(|key| (header::AUTHORIZATION, key));
        let mut client = Client::builder()
            .default_headers(headers.into_iter().collect())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120));
        if self.url.starts_with("http://") {
            client = client.tls_certs_only([]);
        }
        client.build().context("making an HTTP client")
    }
}

/// Sends the first request of a command: if nobody answers, the URL may be wrong.
pub(super) async fn first(request: RequestBuilder) -> anyhow::Result<Response> {
    let hint = "; is one running? --url or EVERLOG_URL names another";
    request.send().await.map_err(|error| silence(error, hint))
}

/// Sends a request to a server that has answered before.
pub(super) async fn next(request: RequestBuilder) -> anyhow::Result<Response> {
    request.send().await.map_err(|error| silence(error, ""))
}

/// Why no answer came.
fn silence(error: reqwest::Error, hint: &str) -> anyhow::Error {
    let url = error.url().map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let (misnamed, unreached) = (error.is_builder(), error.is_connect());
    let error = anyhow::Error::from(error);
    let cause = error.root_cause();
    if misnamed {
        anyhow::anyhow!("--url or EVERLOG_URL: expected http://HOST:PORT: {cause}")
    } else if unreached {
        anyhow::anyhow!("no server can be reached at {url}: {cause}{hint}")
    } else {
        anyhow::anyhow!("no answer came from {url}: {cause}")
    }
}

/// What a problem says, in a line.
pub(super) async fn problem(response: Response) -> anyhow::Error {
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let part = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    anyhow::anyhow!("{status}: {} {}", part("code"), part("detail"))
}
