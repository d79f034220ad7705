//! SQLite: BEGIN IMMEDIATE, prepared inserts, COMMIT, with the settings that Everlog has.

use std::{path::Path, sync::LazyLock, time::Duration};

use sqlx::{
    Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::Row;

/// Everlog's own statement, for one row.
const INSERT: &str = include_str!("../../../src/storage/sqlite/sql/insert_event.sql");
/// Rows of one statement, largest first. A statement is a trip to the connection's thread: rows one
/// by one would be a limit that Everlog, which writes many at once, could pass.
const ROWS: [usize; 4] = [64, 16, 4, 1];

static STATEMENTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    let (insert, row) = INSERT.rsplit_once("VALUES").unwrap_or((INSERT, ""));
    ROWS.map(|rows| format!("{insert}VALUES{}", vec![row.trim_end(); rows].join(",")))
});

/// As `src/storage/sqlite/mod.rs` connects.
pub(super) async fn connect(path: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("mmap_size", "0")
        .pragma("cell_size_check", "ON")
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .pragma("recursive_triggers", "ON");
    Ok(SqliteConnection::connect_with(&options).await?)
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    mut rows: &[Row<'_>],
) -> anyhow::Result<()> {
    let mut turn = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (count, statement) in ROWS.iter().zip(&*STATEMENTS) {
        while let Some((now, later)) = rows.split_at_checked(*count) {
            let mut query = sqlx::query(statement.as_str());
            for row in now {
                query = query
                    .bind(row.log)
                    .bind(0_i64)
                    .bind(row.sequence)
                    .bind(row.category)
                    .bind(row.stream)
                    .bind(row.position)
                    .bind(row.id)
                    .bind("bench-event")
                    .bind(row.payload)
                    .bind("null")
                    .bind(row.at)
                    .bind(row.at)
                    .bind(row.at);
            }
            query.execute(&mut *turn).await?;
            rows = later;
        }
    }
    turn.commit().await?;
    Ok(())
}
