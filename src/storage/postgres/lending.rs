//! Connections, lent for one statement or one transaction at a time.
//!
//! A pool would look after each connection whenever it changes hands, which costs a round trip and a
//! task; a group commit has one or two round trips in all. Here a connection is trusted as long as
//! each borrower gave it back in good order, and dropped otherwise.
//!
//! Invariant: a connection that is idle is in no transaction and owes no answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::storage::Pool;

/// How long an idle connection is trusted to be one.
const TRUSTED: Duration = Duration::from_secs(1);
/// How long a borrower waits for a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// At most so many connections, made when they are needed.
#[derive(Debug)]
pub(super) struct Lender {
    options: PgConnectOptions,
    size: usize,
    seats: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// The connections that nobody has, and since when.
#[derive(Debug, Default)]
struct Idle(Mutex<Vec<(PgConnection, Instant)>>);

impl Idle {
    fn with<T>(&self, change: impl FnOnce(&mut Vec<(PgConnection, Instant)>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that is lent. Dropped without [`Loan::give_back`], it is closed.
#[derive(Debug)]
pub(super) struct Loan {
    pub(super) connection: PgConnection,
    /// Whether somebody used it before: then the server may have left it meanwhile.
    used: bool,
    idle: Arc<Idle>,
    _seat: OwnedSemaphorePermit,
}

impl Loan {
    /// Gives the connection back: it is in no transaction and owes no answer.
    pub(super) fn give_back(self) {
        self.idle.with(|idle| idle.push((self.connection, Instant::now())));
    }
}

impl Lender {
    pub(super) fn new(options: PgConnectOptions, size: u32) -> Self {
        let size = usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS);
        let seats = Arc::new(Semaphore::new(size));
        Self { options, size, seats, idle: Arc::default() }
    }

    /// How many are lent.
    pub(super) fn usage(&self, name: &'static str) -> Pool {
        let used = self.size.saturating_sub(self.seats.available_permits());
        Pool { name, used, max: self.size }
    }

    /// A connection, in no transaction.
    pub(super) async fn lend(&self) -> Result<Loan, sqlx::Error> {
        let lent = async {
            let seat = self.seats.clone().acquire_owned().await;
            let seat = seat.map_err(|_| sqlx::Error::PoolClosed)?;
            let idle = self.reusable().await;
            let used = idle.is_some();
            let connection = match idle {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            Ok(Loan { connection, used, idle: self.idle.clone(), _seat: seat })
        };
        let lent = tokio::time::timeout(TURN_TIMEOUT, lent).await;
        lent.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// An idle connection. Whether the server is still there is asked only after a while: an error
    /// on the way would leave the outcome of a statement open.
    async fn reusable(&self) -> Option<PgConnection> {
        let (mut connection, since) = self.idle.with(Vec::pop)?;
        if since.elapsed() > TRUSTED && connection.ping().await.is_err() {
            self.idle.with(Vec::clear);
            return None;
        }
        Some(connection)
    }

    /// A connection in a transaction. One that the server has left is replaced.
    pub(super) async fn begin(&self, begin: &'static str) -> Result<Loan, sqlx::Error> {
        loop {
            let mut loan = self.lend().await?;
            match sqlx::raw_sql(begin).execute(&mut loan.connection).await {
                Ok(_) => return Ok(loan),
                // After a restart of the server none of the idle ones is of use.
                Err(_) if loan.used => self.idle.with(Vec::clear),
                Err(error) => return Err(error),
            }
        }
    }

    /// A connection whose server answers.
    pub(super) async fn lend_checked(&self) -> Result<Loan, sqlx::Error> {
        self.begin("").await
    }

    /// Closes what is idle, and lends nothing any more.
    pub(super) async fn close(&self) {
        self.seats.close();
        for (connection, _) in self.idle.with(std::mem::take) {
            // The server notices either way.
            let _ = connection.close().await;
        }
    }
}
