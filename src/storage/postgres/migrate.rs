//! Brings the schema up to date, also when several processes start on one empty database at once.
//!
//! Serialised by a row lock: advisory locks do not work behind every pooler, nor on every engine
//! that speaks Postgres' protocol.

use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, MigrateError, Migrator},
    postgres::PgConnectOptions,
};

use super::error::of_query;
use crate::storage::StorageError;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The unique violations and "already exists" of two processes creating the table at once.
const CREATED_MEANWHILE: [&str; 3] = ["23505", "42P07", "42710"];

pub(super) async fn run(options: PgConnectOptions) -> Result<(), StorageError> {
    let mut guard = PgConnection::connect_with(&options).await.map_err(of_query)?;
    if is_current(&mut guard).await? {
        return guard.close().await.map_err(of_query);
    }
    let table = "CREATE TABLE IF NOT EXISTS everlog_migration (id bigint PRIMARY KEY)";
    if let Err(error) = sqlx::query(table).execute(&mut guard).await {
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        if !CREATED_MEANWHILE.contains(&code.as_ref()) {
            return Err(of_query(error));
        }
    }
    let row = "INSERT INTO everlog_migration (id) VALUES (1) ON CONFLICT DO NOTHING";
    sqlx::query(row).execute(&mut guard).await.map_err(of_query)?;
    let begin = guard.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED");
    let mut turn = begin.await.map_err(of_query)?;
    let lock = "SELECT id FROM everlog_migration WHERE id = 1 FOR UPDATE";
    sqlx::query(lock).execute(&mut *turn).await.map_err(of_query)?;

    let mut worker = PgConnection::connect_with(&options).await.map_err(of_query)?;
    let mut migrator =
        Migrator { ..Migrator::with_migrations(MIGRATIONS.iter().cloned().collect()) };
    migrator.set_locking(false);
    let migrated = migrator.run(&mut worker).await;
    // The worker's transactions are over either way; the guard's held nothing but the turn.
    let _ = worker.close().await;
    let _ = turn.commit().await;
    migrated.map_err(of_migration)
}

/// Whether every migration stands already: then a role without the right to create tables will do.
async fn is_current(connection: &mut PgConnection) -> Result<bool, StorageError> {
    let found: Option<String> = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(of_query)?;
    if found.is_none() {
        return Ok(false);
    }
    let applied =
        connection.list_applied_migrations("_sqlx_migrations").await.map_err(of_migration)?;
    let ours = || MIGRATIONS.iter().filter(|m| m.migration_type.is_up_migration());
    if let Some(newer) = applied.iter().find(|a| ours().all(|m| m.version != a.version)) {
        return Err(of_migration(MigrateError::VersionMissing(newer.version)));
    }
    Ok(ours().all(|m| applied.iter().any(|a| a.version == m.version && a.checksum == m.checksum)))
}

fn of_migration(error: MigrateError) -> StorageError {
    match error {
        MigrateError::VersionMissing(version) => StorageError::broken(format!(
            "the schema is of a later Everlog: migration {version} is not known here"
        )),
        MigrateError::Execute(error) => of_query(error),
        other => StorageError::Broken(other.into()),
    }
}
