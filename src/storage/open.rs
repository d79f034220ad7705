//! Opens a store by its URL. The only file that names all three.

use std::{path::PathBuf, str::FromStr, sync::Arc};

use sqlx::postgres::PgConnectOptions;

use super::{
    Storage, StorageError,
    memory::MemoryStore,
    postgres::{self, Connections, PostgresStore},
    sqlite::SqliteStore,
};
use crate::model::Clock;

/// Where a store is.
#[derive(Clone)]
pub enum StoreUrl {
    Memory,
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

/// Why a text is no store's URL. Never repeats the text: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("expected sqlite:PATH, postgres://USER:PASSWORD@HOST:PORT/DATABASE or memory:{0}")]
pub struct StoreUrlFault(String);

impl FromStr for StoreUrl {
    type Err = StoreUrlFault;

    fn from_str(text: &str) -> Result<Self, StoreUrlFault> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains('?') {
                    return Err(StoreUrlFault(" (the path is missing or has a `?`)".to_owned()));
                }
                Ok(Self::Sqlite(path.into()))
            }
            Some(("postgres" | "postgresql", _)) => text
                .parse()
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|error| StoreUrlFault(format!(" ({error})"))),
            _ => Err(StoreUrlFault(String::new())),
        }
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => {
                write!(f, "postgres://{}:{}", options.get_host(), options.get_port())
            }
        }
    }
}

/// Opens a store for reading and writing, its schema brought up to date.
pub async fn open(
    url: &StoreUrl,
    connections: Connections,
    clock: Arc<dyn Clock>,
) -> Result<Storage, StorageError> {
    Ok(match url {
        StoreUrl::Memory => Storage::new(Arc::new(MemoryStore::new(clock))),
        StoreUrl::Sqlite(path) => Storage::new(Arc::new(SqliteStore::open(path, clock).await?)),
        StoreUrl::Postgres(options) => {
            postgres::migrate(options.as_ref().clone()).await?;
            let store = PostgresStore::open(options.as_ref().clone(), connections, clock).await?;
            Storage::new(Arc::new(store))
        }
    })
}

/// Opens a store beside a server that may run on it: keys are made and revoked in any process.
pub async fn open_beside(
    url: &StoreUrl,
    connections: Connections,
    clock: Arc<dyn Clock>,
) -> Result<Storage, StorageError> {
    match url {
        StoreUrl::Sqlite(path) => {
            Ok(Storage::new(Arc::new(SqliteStore::open_beside(path, clock).await?)))
        }
        _ => open(url, connections, clock).await,
    }
}

/// Opens a store for reading only, beside whoever writes it.
pub async fn open_read_only(
    url: &StoreUrl,
    connections: Connections,
    clock: Arc<dyn Clock>,
) -> Result<Storage, StorageError> {
    Ok(match url {
        StoreUrl::Memory => Storage::new(Arc::new(MemoryStore::new(clock))),
        StoreUrl::Sqlite(path) => {
            Storage::new(Arc::new(SqliteStore::open_read_only(path, clock).await?))
        }
        StoreUrl::Postgres(options) => Storage::new(Arc::new(
            PostgresStore::open(options.as_ref().clone(), connections, clock).await?,
        )),
    })
}

/// Brings a store's schema up to date and does nothing else.
pub async fn migrate(url: &StoreUrl, clock: Arc<dyn Clock>) -> Result<(), StorageError> {
    match url {
        StoreUrl::Memory => Ok(()),
        StoreUrl::Sqlite(path) => SqliteStore::open(path, clock).await.map(|_| ()),
        StoreUrl::Postgres(options) => postgres::migrate(options.as_ref().clone()).await,
    }
}
