//! Connections: accepted, kept within their bounds, and ended in good order.
//!
//! A client gets so long to begin and to send a request's head, which bounds idle ones too, and so long
//! without taking a byte of its answer. That deadline stands here and not on bodies: a body is only
//! polled while the socket drains.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, Router};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::Sleep,
};
use tokio_rustls::TlsAcceptor;

use super::tls::Tls;

/// What each connection may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until a request's head is complete, counted from the end of the last answer.
    pub head: Duration,
    /// Without a byte taken of an answer.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(75), stall: Duration::from_secs(30) }
    }
}

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often an HTTP/2 client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long to wait when no connection can be accepted (no file descriptor is free, say).
const RESPITE: Duration = Duration::from_millis(100);

/// Serves at most so many connections at once, until `stop` resolves and those that are there have
/// ended. Whoever drops this future ends them all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    connections_max: usize,
    patience: Patience,
    stop: impl Future<Output = ()>,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.head);
    builder.http1().max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING);
    let (seats, graceful) = (Arc::new(Semaphore::new(connections_max)), GracefulShutdown::new());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let seat = seats.clone().acquire_owned().await;
            (accept(&listener, patience).await, seat)
        };
        let (stream, seat) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let conversation = Conversation {
            builder: builder.clone(),
            service: TowerToHyperService::new(router.clone()),
            watcher: graceful.watcher(),
        };
        let acceptor = tls.as_ref().map(Tls::acceptor);
        connections.spawn(async move {
            let guarded = Guarded::new(stream, patience);
            if let Err(error) = conversation.begin(guarded, acceptor).await {
                tracing::debug!(error, "a connection ended");
            }
            drop(seat);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    graceful.shutdown().await;
    connections.join_all().await;
}

/// One connection, from its first byte to its last.
struct Conversation {
    builder: Builder<TokioExecutor>,
    service: TowerToHyperService<Router>,
    watcher: Watcher,
}

impl Conversation {
    async fn begin(self, stream: Guarded, acceptor: Option<TlsAcceptor>) -> Result<(), BoxError> {
        match acceptor {
            None => self.hold(stream).await,
            Some(acceptor) => {
                let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
                self.hold(stream).await
            }
        }
    }

    async fn hold<S>(self, stream: S) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let held = self.builder.serve_connection(TokioIo::new(stream), self.service).into_owned();
        self.watcher.watch(held).await
    }
}

async fn accept(listener: &TcpListener, patience: Patience) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                prepare(&stream, patience);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }
}

/// Answers leave at once, and a client whose machine is gone is noticed.
fn prepare(stream: &TcpStream, patience: Patience) {
    let socket = socket2::SockRef::from(stream);
    let mut prepared = socket.set_tcp_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        prepared = prepared.and(socket.set_tcp_user_timeout(Some(patience.stall)));
    }
    if let Err(error) = prepared {
        tracing::debug!(%error, "a socket does not take its options");
    }
}

/// A stream that ends when its client does nothing for too long.
struct Guarded {
    stream: TcpStream,
    patience: Patience,
    /// Whether a first byte came: from then on the HTTP layer watches requests' heads.
    begun: bool,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    fn new(stream: TcpStream, patience: Patience) -> Self {
        Self { stream, patience, begun: false, deadline: None }
    }

    /// What was polled, or an error once it has been pending for so long.
    fn within<T>(
        &mut self,
        patience: Duration,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let sleep = || Box::pin(tokio::time::sleep(patience));
        ready!(self.deadline.get_or_insert_with(sleep).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.begun {
            return polled;
        }
        self.begun = polled.is_ready();
        let patience = self.patience.head;
        self.within(patience, polled, cx)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let patience = self.patience.stall;
        self.within(patience, polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        let patience = self.patience.stall;
        self.within(patience, polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
