//! Fresh Postgres stores for the suite: a database for each test, which the store enters as its
//! owner and not as a superuser.
//!
//! The server is the one at `TEST_DATABASE_URL` (a role that may create databases), else a
//! throwaway cluster (see [`super::cluster`]). If neither can be had, the tests fail and say why.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use everlog::{
    model::{CategoryName, Event, EventName, Log, RawJson, StreamKey, StreamName},
    storage::{
        Storage,
        postgres::{self, Connections, PostgresStore},
    },
    testing::{
        StaticClock,
        conformance::{Backdoor, TestStore},
    },
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::cluster;

/// The role that owns the test databases. Not a superuser: no `REVOKE` would bind one.
pub(crate) const OWNER: &str = "everlog_test";
const TEMPLATE: &str = "everlog_template";
pub(crate) const CONNECTIONS: Connections =
    Connections { writers: 4, readers: 4, allow_async_commit: false };

pub(crate) async fn open() -> TestStore {
    let database = Database::migrated().await;
    let (store, clock) = database.store().await;
    TestStore {
        storage: Storage::new(store.clone()),
        backdoor: Arc::new(BySql(pool(&store))),
        clock,
        keep: Arc::new(database),
    }
}

/// A database of one test.
pub(crate) struct Database {
    name: String,
    server: Server,
}

impl Database {
    /// With Everlog's schema.
    pub(crate) async fn migrated() -> Self {
        let server = server().await;
        if server.throwaway {
            static TEMPLATED: OnceCell<()> = OnceCell::const_new();
            TEMPLATED.get_or_init(|| template(&server)).await;
            return Self::create(server, &format!("TEMPLATE {TEMPLATE}")).await;
        }
        let database = Self::empty().await;
        postgres::migrate(database.options()).await.expect("a new database is migrated");
        database
    }

    /// Without a table.
    pub(crate) async fn empty() -> Self {
        Self::create(server().await, "TEMPLATE template0").await
    }

    async fn create(server: Server, template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("everlog_test_{}_{number}", std::process::id());
        let owner = server.owner.as_ref().map_or_else(String::new, |o| format!("OWNER {o}"));
        let create = format!("CREATE DATABASE {name} {template} {owner}");
        execute(&server.admin, &create).await.expect("a database is created");
        Self { name, server }
    }

    /// How the store connects: as the owner.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.server.as_owner().database(&self.name)
    }

    /// How a process of its own connects: as the admin, since a URL tells no role.
    pub(crate) fn url(&self) -> String {
        self.server.admin.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// The same with a password, of which a throwaway server takes any.
    pub(crate) fn url_with(&self, password: &str) -> String {
        let admin = self.server.admin.clone().database(&self.name);
        let admin = if self.server.throwaway { admin.password(password) } else { admin };
        admin.to_url_lossy().to_string()
    }

    /// The store in this database.
    pub(crate) async fn store(&self) -> (Arc<PostgresStore>, Arc<StaticClock>) {
        let clock = Arc::new(StaticClock::default());
        let store = PostgresStore::open(self.options(), CONNECTIONS, clock.clone()).await;
        (Arc::new(store.expect("the store opens")), clock)
    }
}

impl Drop for Database {
    /// A server that stays is left as it was. The throwaway one goes as a whole.
    fn drop(&mut self) {
        if self.server.throwaway {
            return;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let admin = self.server.admin.clone();
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(execute(&admin, &drop)))
        });
        // The database is gone, or a later `DROP` by hand takes it: no verdict on the test.
        let _ = dropped.join();
    }
}

/// The server, and who may do what on it.
#[derive(Clone)]
struct Server {
    admin: PgConnectOptions,
    throwaway: bool,
    /// The owner to give to databases, if the admin is a superuser.
    owner: Option<String>,
}

impl Server {
    fn as_owner(&self) -> PgConnectOptions {
        match &self.owner {
            Some(owner) => self.admin.clone().options([("role", owner.as_str())]),
            None => self.admin.clone(),
        }
    }
}

async fn server() -> Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(find).await.clone()
}

async fn find() -> Server {
    let (admin, throwaway) = match super::environment("TEST_DATABASE_URL") {
        Some(url) => (url.parse().expect("TEST_DATABASE_URL is a postgres:// URL"), false),
        None => (cluster::options(), true),
    };
    let mut connection = PgConnection::connect_with(&admin).await.expect("Postgres answers");
    let superuser: String = sqlx::query_scalar("SHOW is_superuser")
        .fetch_one(&mut connection)
        .await
        .expect("Postgres tells who we are");
    if superuser == "off" {
        return Server { admin, throwaway, owner: None };
    }
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
            .bind(OWNER)
            .fetch_one(&mut connection)
            .await
            .expect("the roles are read");
    if !exists {
        execute(&admin, &format!("CREATE ROLE {OWNER}")).await.expect("a role is created");
    }
    Server { admin, throwaway, owner: Some(OWNER.to_owned()) }
}

/// A migrated database, from which the others are copied.
async fn template(server: &Server) {
    let create = format!("CREATE DATABASE {TEMPLATE} TEMPLATE template0 OWNER {OWNER}");
    execute(&server.admin, &create).await.expect("the template is created");
    let options = server.as_owner().database(TEMPLATE);
    postgres::migrate(options).await.expect("the template is migrated");
}

async fn execute(options: &PgConnectOptions, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
    connection.close().await
}

/// Connections around the store, made as its own are.
pub(crate) fn pool(store: &PostgresStore) -> PgPool {
    PgPool::connect_lazy_with(store.options().clone())
}

pub(crate) struct BySql(pub(crate) PgPool);

type Time = DateTime<Utc>;
type Row = (i64, i64, String, String, i64, Uuid, String, String, String, Time, Time, Time);

#[async_trait]
impl Backdoor for BySql {
    async fn insert(&self, log: &Log, event: &Event) -> Result<(), String> {
        insert_event(&self.0, log, event).await.map_err(|error| error.to_string())
    }

    async fn events(&self, log: &Log) -> Vec<Event> {
        let select = "SELECT lane, sequence, category, stream, position, event_id, name, payload, \
                      metadata, observed_at, occurred_at, recorded_at FROM event WHERE log_id = $1";
        let rows: Vec<Row> =
            sqlx::query_as(select).bind(log.id).fetch_all(&self.0).await.expect("rows are read");
        let mut events: Vec<Event> = rows.into_iter().map(|row| event(log, row)).collect();
        events.sort_by_key(|event| event.sequence_number);
        events
    }
}

/// Inserts a row as it is.
pub(crate) async fn insert_event(
    executor: impl sqlx::PgExecutor<'_>,
    log: &Log,
    event: &Event,
) -> Result<(), sqlx::Error> {
    let (lane, n) = log.lanes.split(event.sequence_number);
    let insert =
        "INSERT INTO event VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let done = sqlx::query(insert)
        .bind(log.id)
        .bind(lane)
        .bind(n)
        .bind(event.stream.category.as_str())
        .bind(event.stream.stream.as_str())
        .bind(event.position)
        .bind(event.id)
        .bind(event.name.as_str())
        .bind(event.payload.as_str())
        .bind(event.metadata.as_str())
        .bind(Time::from(event.observed_at))
        .bind(Time::from(event.occurred_at))
        .bind(Time::from(event.recorded_at));
    done.execute(executor).await.map(|_| ())
}

fn event(log: &Log, row: Row) -> Event {
    let (lane, n, category, stream, position, id, name, payload, metadata, observed, occurred, at) =
        row;
    let (category, stream) = (CategoryName::stored(category), StreamName::stored(stream));
    Event {
        id,
        name: EventName::stored(name),
        payload: RawJson::stored(payload),
        metadata: RawJson::stored(metadata),
        occurred_at: occurred.into(),
        observed_at: observed.into(),
        recorded_at: at.into(),
        stream: StreamKey { category, stream },
        position,
        sequence_number: if log.lanes.count == 1 { n } else { n * log.lanes.count + lane },
    }
}
