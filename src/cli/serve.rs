//! `everlog serve`: opens the store, then the port, then says where it is.

use std::{convert::Infallible, sync::Arc};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use super::line;
use crate::{
    app::{Access, Door, Service},
    config::{AccessSettings, ServeSettings, read_issuers, read_key},
    engine::{
        clock::SystemClock,
        workers::{Program, Silence, Workers},
    },
    http::tls::{Tls, TlsError},
    storage::open,
    telemetry,
};

/// Open files besides the clients' connections.
const FILES_BESIDES: u64 = 100;

pub(super) async fn serve(mut settings: ServeSettings) -> anyhow::Result<()> {
    settings.check()?;
    let door = Door {
        access: access(&settings)?,
        origins: settings.access.cors_origins.clone(),
        allowance: settings.allowance.allowance(settings.publish_events_max),
        trace_ratio: settings.traces.otlp_endpoint.is_some().then_some(settings.traces.trace_ratio),
    };
    let tls = tls(&settings.access)?;
    let telemetry = telemetry::start(&settings.log, settings.log_format, &settings.traces)?;
    rustls::crypto::ring::default_provider().install_default().ok();
    // A connection is a file descriptor; the system's usual soft limit is 1,024.
    let files = rlimit::increase_nofile_limit(u64::MAX)?;
    let sockets = usize::try_from(files.saturating_sub(FILES_BESIDES)).unwrap_or(usize::MAX);
    settings.connections_max = settings.connections_max.min(sockets).max(1);
    let clock = Arc::new(SystemClock);
    let url = &settings.store.store;
    let storage = open::open(url, settings.store.connections(), clock.clone())
        .await
        .with_context(|| format!("--store {url:?} (EVERLOG_STORE) cannot be opened"))?;
    let stored = storage.health.description();
    let workers = Workers::new(Program::own()?, Workers::usual(), Silence::default());
    let service = Service::new(storage, clock, settings.limits(), door, workers).await?;
    let listener = TcpListener::bind(settings.listen).await.with_context(|| {
        format!("--listen {} (EVERLOG_LISTEN) cannot be bound", settings.listen)
    })?;
    // Whoever reads the welcome may send a signal at once.
    let stopped = stopped()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = listener.local_addr()?;
    let reloading = reload(tls.clone())?;
    welcome(&format!("{scheme}://{address}"), &stored, settings.access.authenticates());
    let service = service.with_tls(tls);
    let ran = tokio::select! {
        ran = service.run(listener, stopped) => ran,
        never = reloading => match never {},
    };
    telemetry.end().await;
    ran
}

/// Who is let in.
fn access(settings: &ServeSettings) -> anyhow::Result<Access> {
    let asked = &settings.access;
    if !asked.authenticates() {
        let loopback_only = !asked.allow_unauthenticated;
        return Ok(if loopback_only { Access::Loopback } else { Access::Anyone });
    }
    let root = asked.root_key_file.as_deref().map(|path| {
        let told =
            |why| format!("--root-key-file {} (EVERLOG_ROOT_KEY_FILE): {why}", path.display());
        read_key(path).map_err(|why| anyhow::anyhow!(told(why)))
    });
    let issuers = asked.jwt_issuers.as_deref().map(|path| {
        let told = |why| format!("--jwt-issuers {} (EVERLOG_JWT_ISSUERS): {why}", path.display());
        read_issuers(path).map_err(|why| anyhow::anyhow!(told(why)))
    });
    let (root, issuers) = (root.transpose()?, issuers.transpose()?.unwrap_or_default());
    Ok(Access::Keys { root, issuers })
}

fn welcome(base: &str, stored: &str, keys: bool) {
    let stream = "v1/logs/default/categories/profiles/streams/joe.bloggs/events";
    let (first, key) = if keys {
        (
            "everlog key create --actions read,append > key\n       ",
            "--oauth2-bearer \"$(cat key)\" ",
        )
    } else {
        ("", "")
    };
    line::tell(&format!(
        "everlog {} listens on {base}\n  stores in {stored}\n  try: {first}curl {key}--json \
         '{{\"events\":[{{\"name\":\"profile-created\",\"payload\":{{\"name\":\"Joe\"}}}}]}}' {base}/{stream}\n       \
         curl {key}{base}/{stream}",
        env!("CARGO_PKG_VERSION")
    ));
}

/// The certificate, if there is to be TLS.
fn tls(settings: &AccessSettings) -> Result<Option<Tls>, TlsError> {
    let files = settings.tls_certificate.clone().zip(settings.tls_key.clone());
    files.map(|(certificate, key)| Tls::open(certificate, key)).transpose()
}

/// Reads the certificate again at each SIGHUP. Without one the signal ends the process, as it does when a terminal closes.
fn reload(tls: Option<Tls>) -> anyhow::Result<impl Future<Output = Infallible>> {
    let watched = tls.map(|tls| signal(SignalKind::hangup()).map(|hangups| (tls, hangups)));
    let watched = watched.transpose()?;
    Ok(async move {
        if let Some((tls, mut hangups)) = watched {
            while hangups.recv().await.is_some() {
                match tls.reload() {
                    Ok(()) => tracing::info!("SIGHUP: the certificate was read again"),
                    Err(error) => {
                        tracing::error!(%error, "SIGHUP: the certificate stays as it was");
                    }
                }
            }
        }
        std::future::pending().await
    })
}

/// Resolves at SIGTERM or SIGINT; a second one ends the process at once.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::thread::spawn(move || watch_again(terminate, interrupt));
    })
}

fn watch_again(
    mut terminate: tokio::signal::unix::Signal,
    mut interrupt: tokio::signal::unix::Signal,
) {
    let again = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() {
        runtime.block_on(again);
        std::process::abort();
    }
}
