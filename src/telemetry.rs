//! Sets up logging, as lines of text or JSON on standard error, and traces, to an OpenTelemetry collector if one is named.
//! Never payloads, never secrets.

use std::{io::IsTerminal, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, registry,
    util::SubscriberInitExt,
};

use crate::config::{LogFormat, TraceSettings};

/// How long an export may take, and the last one when the service ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// What goes on as long as the service does.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what was not sent yet.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        let ended = move || provider.shutdown_with_timeout(PATIENCE);
        match tokio::task::spawn_blocking(ended).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last traces were not sent"),
            Err(error) => tracing::warn!(%error, "the last traces were not sent"),
        }
    }
}

/// Starts logging and tracing, once for the process.
pub fn start(filter: &str, format: LogFormat, traces: &TraceSettings) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("--log {filter} (EVERLOG_LOG): {error}"))?;
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    // Where nobody reads them, there is nobody to complain to: to complain would be a panic.
    let lines = lines.log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = traces.otlp_endpoint.as_deref().map(provider).transpose()?;
    // Spans for a collector alone, which are made of what is sampled only (`http/spans.rs`).
    let ours = |metadata: &tracing::Metadata<'_>| metadata.target() == "everlog::trace";
    let spans = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("everlog"));
        layer.with_location(false).with_threads(false).with_filter(filter_fn(ours))
    });
    let started = registry().with(lines.with_filter(filter)).with(spans).try_init();
    started.map_err(|error| anyhow::anyhow!("logging was started twice: {error}"))?;
    Ok(Telemetry(provider))
}

/// Sends spans to a collector.
fn provider(url: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new()?)
        .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| anyhow::anyhow!("--otlp-endpoint (EVERLOG_OTLP_ENDPOINT): {error}"))?;
    let resource = Resource::builder().with_service_name("everlog");
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource.with_attribute(version).build())
        .build())
}

/// The HTTP client of exports, which are made on a thread without a runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "collectors are spoken to from here alone")]
    fn new() -> anyhow::Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { client, runtime: Handle::current() })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = request.map(reqwest::Body::from).try_into()?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = sent.await??;
        let mut answer = Response::new(body);
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
        Ok(answer)
    }
}
