//! Every setting of the service: typed, with a doc comment that is its help and its reference.
//!
//! Each is a flag and an `EVERLOG_*` variable; the flag wins. The only reader of the environment.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use clap::Args;
use governor::Quota;

use crate::{
    auth::{Issuer, KeyFault, KeyText},
    engine::allowance::Allowance,
    model::Limits,
    storage::{open::StoreUrl, postgres::Connections},
};

/// Which store.
#[derive(Debug, Clone, Args)]
pub struct StoreSettings {
    /// Where events are kept: sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE or memory:
    #[arg(
        long,
        env = "EVERLOG_STORE",
        default_value = "sqlite:everlog.db",
        value_name = "URL",
        hide_env_values = true
    )]
    pub store: StoreUrl,
    /// Postgres: connections for appends
    #[arg(long, env = "EVERLOG_WRITERS", default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub writers: u32,
    /// Postgres: connections for reads
    #[arg(long, env = "EVERLOG_READERS", default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub readers: u32,
    /// Postgres: serve although synchronous_commit is off, so that a crash may lose acknowledged events
    #[arg(long, env = "EVERLOG_ALLOW_ASYNC_COMMIT")]
    pub allow_async_commit: bool,
}

impl StoreSettings {
    /// How to connect.
    #[must_use]
    pub fn connections(&self) -> Connections {
        Connections {
            writers: self.writers,
            readers: self.readers,
            allow_async_commit: self.allow_async_commit,
        }
    }
}

/// Who is let in, and how they come.
#[derive(Debug, Clone, Args)]
pub struct AccessSettings {
    /// Answer to keys alone; `everlog key create` makes the first one
    #[arg(long, env = "EVERLOG_AUTHENTICATE")]
    pub authenticate: bool,
    /// A file with a key that may do everything and that no store keeps (`everlog key generate` prints one); implies --authenticate
    #[arg(long, env = "EVERLOG_ROOT_KEY_FILE", value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
    /// A file that says whose tokens are good here, as JSON; implies --authenticate
    #[arg(long, env = "EVERLOG_JWT_ISSUERS", value_name = "FILE")]
    pub jwt_issuers: Option<PathBuf>,
    /// A file with the certificate that is shown, in PEM, its chain behind it: the service speaks TLS. SIGHUP has it read again
    #[arg(long, env = "EVERLOG_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// A file with the key of --tls-certificate, in PEM
    #[arg(long, env = "EVERLOG_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Listen without TLS on an address that is not loopback, because nothing but a proxy that ends TLS reaches it
    #[arg(long, env = "EVERLOG_BEHIND_TLS_PROXY")]
    pub behind_tls_proxy: bool,
    /// An origin whose pages may speak to the service from a browser, such as `https://app.example.com`; several with commas
    #[arg(long, env = "EVERLOG_CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGINS", value_parser = origin)]
    pub cors_origins: Vec<String>,
    /// Listen on an address that is not loopback although there is no authentication: whoever reaches it may read and write everything
    #[arg(long, env = "EVERLOG_ALLOW_UNAUTHENTICATED")]
    pub allow_unauthenticated: bool,
}

impl AccessSettings {
    /// Whether a key is asked for.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.authenticate || self.root_key_file.is_some() || self.jwt_issuers.is_some()
    }
}

/// Which traces are sent where.
#[derive(Debug, Clone, Args)]
pub struct TraceSettings {
    /// An OpenTelemetry collector that takes traces (OTLP over HTTP), such as `http://127.0.0.1:4318`
    #[arg(long, env = "EVERLOG_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// How many of the traces that begin here are sent, from 0 to 1; of those that a client began, what the client says
    #[arg(long, env = "EVERLOG_TRACE_RATIO", default_value_t = 0.01, value_name = "RATIO", value_parser = ratio)]
    pub trace_ratio: f64,
}

/// A part of the whole.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// What each key may ask for.
#[derive(Debug, Clone, Args)]
pub struct AllowanceSettings {
    /// Most requests of one key in a second; 0: any number
    #[arg(long, env = "EVERLOG_KEY_REQUESTS_PER_SECOND", default_value_t = 0, value_name = "N")]
    pub key_requests_per_second: u32,
    /// Most events that one key publishes in a second, but as many as one publish may have at once; 0: any number
    #[arg(long, env = "EVERLOG_KEY_EVENTS_PER_SECOND", default_value_t = 0, value_name = "N")]
    pub key_events_per_second: u32,
    /// Most tails that one key has open at once, on this server
    #[arg(long, env = "EVERLOG_KEY_TAILS_MAX", default_value_t = Allowance::default().tails, value_name = "N", value_parser = bounded(1, 1_000_000))]
    pub key_tails_max: usize,
    /// Most queries that one key has under way at once, on this server
    #[arg(long, env = "EVERLOG_KEY_QUERIES_MAX", default_value_t = Allowance::default().queries, value_name = "N", value_parser = bounded(1, 1_000_000))]
    pub key_queries_max: usize,
}

impl AllowanceSettings {
    /// As the engine takes it.
    #[must_use]
    pub fn allowance(&self, publish_events_max: usize) -> Allowance {
        let quota = |per_second| NonZeroU32::new(per_second).map(Quota::per_second);
        let burst = u32::try_from(publish_events_max).ok().and_then(NonZeroU32::new);
        let events = quota(self.key_events_per_second).map(|quota| match burst {
            Some(burst) => quota.allow_burst(burst.max(quota.burst_size())),
            None => quota,
        });
        Allowance {
            requests: quota(self.key_requests_per_second),
            events,
            tails: self.key_tails_max,
            queries: self.key_queries_max,
        }
    }
}

/// The key that a file holds. What it holds is never repeated.
pub fn read_key(path: &Path) -> Result<KeyText, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|fault: KeyFault| fault.to_string())
}

/// The issuers that a file names.
pub fn read_issuers(path: &Path) -> Result<Vec<Issuer>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let issuers: Vec<Issuer> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    for Issuer { issuer, jwks_file, jwks_url, .. } in &issuers {
        let inside = |url: &String| {
            ["http://127.0.0.1", "http://localhost"].iter().any(|at| url.starts_with(at))
        };
        match (jwks_file, jwks_url) {
            (Some(_), None) => {}
            (None, Some(url)) if url.starts_with("https://") || inside(url) => {}
            (None, Some(_)) => return Err(format!("{issuer}: expected a `jwks_url` of https://")),
            _ => return Err(format!("{issuer}: expected one of `jwks_file` and `jwks_url`")),
        }
    }
    Ok(issuers)
}

/// How the service logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// The settings of `everlog serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Address to listen on
    #[arg(
        long,
        env = "EVERLOG_LISTEN",
        default_value = "127.0.0.1:4100",
        value_name = "HOST:PORT"
    )]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub access: AccessSettings,
    #[command(flatten)]
    pub allowance: AllowanceSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    /// Largest request body, in bytes
    #[arg(long, env = "EVERLOG_REQUEST_BYTES_MAX", default_value_t = Limits::default().request_bytes, value_name = "BYTES", value_parser = bounded(1024, 1 << 30))]
    pub request_bytes_max: usize,
    /// Largest payload and metadata of one event, in bytes
    #[arg(long, env = "EVERLOG_EVENT_BYTES_MAX", default_value_t = Limits::default().event_bytes, value_name = "BYTES", value_parser = bounded(16, 1 << 28))]
    pub event_bytes_max: usize,
    /// Most events in one publish
    #[arg(long, env = "EVERLOG_PUBLISH_EVENTS_MAX", default_value_t = Limits::default().publish_events, value_name = "N", value_parser = bounded(1, 1_000_000))]
    pub publish_events_max: usize,
    /// Most events in one page
    #[arg(long, env = "EVERLOG_PAGE_EVENTS_MAX", default_value_t = Limits::default().page_events, value_name = "N", value_parser = bounded(1, 100_000))]
    pub page_events_max: usize,
    /// Most bytes of events in one page; at least one event is given
    #[arg(long, env = "EVERLOG_PAGE_BYTES_MAX", default_value_t = Limits::default().page_bytes, value_name = "BYTES", value_parser = bounded(1024, 1 << 30))]
    pub page_bytes_max: usize,
    /// Most events that one filtered page examines
    #[arg(long, env = "EVERLOG_PAGE_EXAMINED_MAX", default_value_t = Limits::default().page_examined, value_name = "N", value_parser = bounded(1, 100_000_000))]
    pub page_examined_max: usize,
    /// Most documents that one query examines
    #[arg(long, env = "EVERLOG_QUERY_EXAMINED_MAX", default_value_t = Limits::default().query_examined, value_name = "N", value_parser = bounded(1, 1_000_000_000))]
    pub query_examined_max: usize,
    /// Most connections at once; one more waits until one ends
    #[arg(long, env = "EVERLOG_CONNECTIONS_MAX", default_value_t = Limits::default().connections, value_name = "N", value_parser = bounded(1, 1_000_000))]
    pub connections_max: usize,
    #[command(flatten)]
    pub traces: TraceSettings,
    /// How the service logs, to standard error
    #[arg(long, env = "EVERLOG_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or per target such as info,everlog=debug
    #[arg(long, env = "EVERLOG_LOG", default_value = "info,sqlx=warn", value_name = "FILTER")]
    pub log: String,
}

/// Settings with which the service does not start: why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unsafe(String);

/// An origin (RFC 6454): a scheme, a host and perhaps a port, as browsers write it, and nothing behind. Never `*`.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let of_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(of_host) => Ok(text.to_owned()),
        _ => Err("expected an origin such as https://app.example.com, without a path".to_owned()),
    }
}

/// A parser of numbers within bounds, which names them.
fn bounded(min: usize, max: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|n| (min..=max).contains(n));
        number.ok_or_else(|| format!("expected a whole number from {min} to {max}"))
    }
}

impl ServeSettings {
    /// The limits on requests and answers.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            event_bytes: self.event_bytes_max,
            request_bytes: self.request_bytes_max,
            publish_events: self.publish_events_max,
            page_events: self.page_events_max,
            page_bytes: self.page_bytes_max,
            page_examined: self.page_examined_max,
            query_examined: self.query_examined_max,
            connections: self.connections_max,
        }
    }

    /// Refuses what must not be served.
    pub fn check(&self) -> Result<(), Unsafe> {
        let Self { listen, access, .. } = self;
        if access.authenticates() && access.allow_unauthenticated {
            return Err(Unsafe("--allow-unauthenticated (EVERLOG_ALLOW_UNAUTHENTICATED) says that no key is asked for, and \
                 --authenticate or --root-key-file that one is: leave one of them out."
                .to_owned()));
        }
        let keyless =
            access.authenticate && access.root_key_file.is_none() && access.jwt_issuers.is_none();
        if keyless && matches!(self.store.store, StoreUrl::Memory) {
            return Err(Unsafe(
                "--store memory: (EVERLOG_STORE) has no key yet, and nobody could make one: name one with \
                 --root-key-file (EVERLOG_ROOT_KEY_FILE)."
                    .to_owned(),
            ));
        }
        if listen.ip().is_loopback() || access.allow_unauthenticated {
            return Ok(());
        }
        if !access.authenticates() {
            return Err(Unsafe(format!(
                "--listen {listen} (EVERLOG_LISTEN) is not a loopback address and there is no authentication: anyone \
                 who reaches it could read and write every event. Say --authenticate and make a key with `everlog key \
                 create`; or listen on 127.0.0.1; or say --allow-unauthenticated if the network is yours alone."
            )));
        }
        if !access.behind_tls_proxy && access.tls_certificate.is_none() {
            return Err(Unsafe(format!(
                "--listen {listen} (EVERLOG_LISTEN) is not a loopback address and the service speaks plain HTTP: keys \
                 and events could be read on their way. Say --tls-certificate and --tls-key; or listen on 127.0.0.1; or say --behind-tls-proxy if nothing but \
                 a proxy that ends TLS reaches this address."
            )));
        }
        Ok(())
    }
}
