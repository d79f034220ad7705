//! Inserting many rows with few statements.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use crate::model::{Event, Lanes};

/// Rows of one statement, largest first; 13 parameters each, of SQLite's 32,766.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// `sql/insert_event.sql` with so many rows of values.
static STATEMENTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    let one = include_str!("sql/insert_event.sql");
    let (insert, row) = one.rsplit_once("VALUES").unwrap_or((one, ""));
    let values = |rows: usize| format!("{insert}VALUES{}", vec![row.trim_end(); rows].join(","));
    ROWS.map(values)
});

/// Inserts new events of a log.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    log: i64,
    lanes: Lanes,
    mut events: &[Event],
) -> Result<(), sqlx::Error> {
    for (rows, statement) in ROWS.iter().zip(&*STATEMENTS) {
        while let Some((now, later)) = events.split_at_checked(*rows) {
            let mut query = sqlx::query(statement.as_str());
            for event in now {
                let (lane, n) = lanes.split(event.sequence_number);
                query = query
                    .bind(log)
                    .bind(lane)
                    .bind(n)
                    .bind(event.stream.category.shared())
                    .bind(event.stream.stream.shared())
                    .bind(event.position)
                    .bind(event.id)
                    .bind(event.name.shared())
                    .bind(event.payload.shared())
                    .bind(event.metadata.shared())
                    .bind(event.observed_at.micros())
                    .bind(event.occurred_at.micros())
                    .bind(event.recorded_at.micros());
            }
            query.execute(&mut *connection).await?;
            events = later;
        }
    }
    Ok(())
}
