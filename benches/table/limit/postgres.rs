//! Postgres: one autocommitted insert from arrays, prepared, into Everlog's own table.

use std::str::FromStr;

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::{Row, moment};

/// Everlog's own statement, without its guard.
const INSERT: &str = include_str!("../../../src/storage/postgres/sql/insert_events.sql");

pub(super) async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect_with(&PgConnectOptions::from_str(url)?).await?)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    log: i64,
    rows: &[Row<'_>],
) -> anyhow::Result<()> {
    let times = rows.iter().map(|row| moment(row.at)).collect::<anyhow::Result<Vec<_>>>()?;
    sqlx::query(INSERT)
        .bind(log)
        .bind(vec![0_i64; rows.len()])
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.category))
        .bind(column(rows, |row| row.stream))
        .bind(column(rows, |row| row.position))
        .bind(column(rows, |row| row.id))
        .bind(vec!["bench-event"; rows.len()])
        .bind(column(rows, |row| row.payload))
        .bind(vec!["null"; rows.len()])
        .bind(&times)
        .bind(&times)
        .bind(&times)
        .execute(connection)
        .await?;
    Ok(())
}

fn column<'a, T>(rows: &'a [Row<'a>], of: impl Fn(&Row<'a>) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}
