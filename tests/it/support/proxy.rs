//! A wire to Postgres that can be cut at a chosen moment.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
};

const SERVE: u8 = 0;
const CUT_BEFORE_COMMIT: u8 = 1;
const CUT_AFTER_COMMIT: u8 = 2;

/// The end of the query that commits, and of the server's word that it did.
const COMMIT: &[u8] = b"COMMIT\0";

/// A proxy before a server, which ends with its owner.
pub(crate) struct Proxy {
    options: PgConnectOptions,
    orders: Arc<Orders>,
    _listening: JoinSet<()>,
}

struct Orders {
    /// What to do with the next commit.
    cut: AtomicU8,
    /// Whether connections are refused, and those that are open cut.
    refuse: watch::Sender<bool>,
    server: Server,
    /// The statements that were passed on.
    heard: Mutex<BTreeSet<String>>,
}

enum Server {
    Socket(PathBuf),
    Address(String, u16),
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Proxy {
    /// Before the server that these options lead to.
    pub(crate) async fn before(options: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("the port is known").port();
        let server = match options.get_socket() {
            Some(folder) => Server::Socket(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Server::Address(options.get_host().to_owned(), options.get_port()),
        };
        let base = match &server {
            Server::Socket(_) => PgConnectOptions::new_without_pgpass()
                .username(options.get_username())
                .database(options.get_database().unwrap_or_default())
                .options([("role", super::postgres::OWNER)]),
            Server::Address(..) => options.clone(),
        };
        let options = base.host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable);
        let (cut, refuse) = (AtomicU8::new(SERVE), watch::Sender::new(false));
        let orders = Arc::new(Orders { cut, refuse, server, heard: Mutex::default() });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, orders.clone()));
        Self { options, orders, _listening: listening }
    }

    /// How to connect through the proxy.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The next commit is not passed on, and its connection is cut.
    pub(crate) fn cut_before_commit(&self) {
        self.orders.cut.store(CUT_BEFORE_COMMIT, Ordering::SeqCst);
    }

    /// The next commit is passed on; its connection is cut when the server has answered.
    pub(crate) fn cut_after_commit(&self) {
        self.orders.cut.store(CUT_AFTER_COMMIT, Ordering::SeqCst);
    }

    /// Whether the cut that was ordered was made.
    pub(crate) fn has_cut(&self) -> bool {
        self.orders.cut.load(Ordering::SeqCst) == SERVE
    }

    /// The texts of all statements that were passed on.
    pub(crate) fn heard(&self) -> BTreeSet<String> {
        self.orders.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Cuts all connections and takes no new ones, or takes them again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.orders.refuse.send_replace(refuse);
    }
}

async fn listen(listener: TcpListener, orders: Arc<Orders>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, orders.clone()));
    }
}

/// Passes bytes on until either side ends, or an order says otherwise.
async fn connection(mut client: TcpStream, orders: Arc<Orders>) {
    let mut refuse = orders.refuse.subscribe();
    if *refuse.borrow_and_update() {
        return;
    }
    let mut server: Box<dyn Wire> = match &orders.server {
        Server::Socket(path) => Box::new(UnixStream::connect(path).await.expect("Postgres")),
        Server::Address(host, port) => {
            Box::new(TcpStream::connect((host.as_str(), *port)).await.expect("Postgres"))
        }
    };
    let (mut asked, mut told) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut messages = Messages::default();
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(asked) = read.ok().and_then(|count| asked.get(..count)) else { return };
                if asked.is_empty() {
                    return;
                }
                orders.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(messages.statements(asked));
                let commits = asked.ends_with(COMMIT);
                if commits && taken(&orders, CUT_BEFORE_COMMIT) {
                    return;
                }
                if server.write_all(asked).await.is_err() {
                    return;
                }
                if commits && taken(&orders, CUT_AFTER_COMMIT) {
                    let mut answer = Vec::new();
                    while !answer.windows(COMMIT.len()).any(|part| part == COMMIT) {
                        if server.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    return;
                }
            }
            read = server.read(&mut told) => {
                let Some(told) = read.ok().and_then(|count| told.get(..count)) else { return };
                if told.is_empty() || client.write_all(told).await.is_err() {
                    return;
                }
            }
            _ = refuse.changed() => return,
        }
    }
}

/// What a client sends, message by message (PostgreSQL, \"Message Formats\").
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    /// Whether the first one has passed, which has no type.
    begun: bool,
}

impl Messages {
    /// The statements of the messages that end with these bytes.
    fn statements(&mut self, asked: &[u8]) -> Vec<String> {
        self.bytes.extend_from_slice(asked);
        let mut statements = Vec::new();
        loop {
            let head = usize::from(self.begun);
            let Some(length) = self.bytes.get(head..head + 4) else { return statements };
            let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
            let end = head + usize::try_from(length).expect("it fits");
            if self.bytes.len() < end {
                return statements;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            let mut texts = message[head + 4..].split(|byte| *byte == 0);
            let statement = match message.first().filter(|_| self.begun) {
                // Parse: its name, its text.
                Some(b'P') => texts.nth(1),
                Some(b'Q') => texts.next(),
                _ => None,
            };
            statements.extend(statement.map(|text| String::from_utf8_lossy(text).into_owned()));
            self.begun = true;
        }
    }
}

/// Takes the order if it is this one.
fn taken(orders: &Orders, order: u8) -> bool {
    orders.cut.compare_exchange(order, SERVE, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}
