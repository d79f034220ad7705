//! Projections in SQLite: its one writer is the lock under which documents are changed.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction, query::Query, sqlite::SqliteArguments};

use super::{
    SqliteStore,
    error::{of_commit, of_query},
};
use crate::{
    model::{Direction, Edit, EntryId, Log, Projection, ProjectionName, Source, Timestamp},
    storage::{
        Listing, StorageError,
        projections::{
            EditOutcome, Kept, Last, Part, ProjectionSection, ProjectionView, Projections, Stretch,
            decide,
        },
        sql::projections::{columns, kept, names, part},
    },
};

/// A transaction. Dropped without a commit, it is rolled back.
struct Documents {
    log: i64,
    transaction: Transaction<'static, Sqlite>,
}

impl Documents {
    async fn all(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<Kept>, StorageError> {
        let rows = query.fetch_all(&mut *self.transaction).await.map_err(of_query)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(of_query)
    }

    /// What a drop of a name left behind.
    async fn left(&mut self, name: &ProjectionName) -> Result<(i64, i64), StorageError> {
        sqlx::query(include_str!("sql/insert_projection_name.sql"))
            .bind(self.log)
            .bind(name.as_str())
            .execute(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        sqlx::query_as(include_str!("sql/projection_name.sql"))
            .bind(self.log)
            .bind(name.as_str())
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(of_query)
    }
}

fn documents(kept: Vec<Kept>) -> Vec<Projection> {
    kept.into_iter().map(|kept| kept.projection).collect()
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[async_trait]
impl ProjectionView for Documents {
    async fn kept(
        &mut self,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError> {
        let mut found = Vec::new();
        for id in ids {
            let query = sqlx::query(include_str!("sql/projection_with_id.sql"));
            let query = query.bind(self.log).bind(name.as_str()).bind(id.as_str());
            found.extend(self.all(query).await?);
        }
        Ok(found)
    }

    async fn stretch(&mut self, stretch: &Stretch) -> Result<Part, StorageError> {
        let (from_name, from_id) = match &stretch.from {
            Some((name, id)) => (name.as_str(), id.as_str()),
            None => ("", ""),
        };
        let (sql, name) = match (&stretch.name, stretch.direction) {
            (Some(name), Direction::Forwards) => {
                (include_str!("sql/projections_of_name.sql"), name.as_str())
            }
            (Some(name), Direction::Backwards) => {
                (include_str!("sql/projections_of_name_backwards.sql"), name.as_str())
            }
            (None, Direction::Forwards) => (include_str!("sql/projections_of_log.sql"), from_name),
            (None, Direction::Backwards) => {
                (include_str!("sql/projections_of_log_backwards.sql"), from_name)
            }
        };
        let query = sqlx::query(sql).bind(self.log).bind(name).bind(from_id);
        let rows = query.bind(limit(stretch.limit)).fetch(&mut *self.transaction);
        part(rows, stretch).await.map_err(of_query)
    }

    async fn of_source(
        &mut self,
        name: &ProjectionName,
        source: &Source,
        most: usize,
    ) -> Result<Vec<Projection>, StorageError> {
        let (category, stream) = columns(source);
        let query = sqlx::query(include_str!("sql/projections_of_source.sql"));
        let query = query.bind(self.log).bind(name.as_str()).bind(category).bind(stream);
        self.all(query.bind(limit(most))).await.map(documents)
    }

    async fn names(
        &mut self,
        listing: &Listing,
    ) -> Result<Vec<(ProjectionName, i64)>, StorageError> {
        let rows = sqlx::query_as(include_str!("sql/projection_names.sql"))
            .bind(self.log)
            .bind(listing.prefix.as_str())
            .bind(listing.after.as_deref().unwrap_or_default())
            .bind(limit(listing.limit))
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        Ok(names(rows, listing))
    }

    async fn close(self: Box<Self>) {
        // Nothing was written; a failed rollback shows at the next use of the connection.
        let _ = self.transaction.rollback().await;
    }
}

#[async_trait]
impl ProjectionSection for Documents {
    async fn last(&mut self, name: &ProjectionName) -> Result<Last, StorageError> {
        let (change, version) = self.left(name).await?;
        let row: Option<(i64, i64)> = sqlx::query_as(include_str!("sql/projection_last.sql"))
            .bind(self.log)
            .bind(name.as_str())
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        Ok(Last {
            change: row.map_or(change, |(last, _)| last),
            version,
            updated_at: row.map(|(_, at)| Timestamp::of_stored(at)),
        })
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        for Kept { projection, change, deleted } in documents {
            let (category, stream) = columns(&projection.source);
            sqlx::query(include_str!("sql/keep_projection.sql"))
                .bind(self.log)
                .bind(projection.name.as_str())
                .bind(projection.id.as_str())
                .bind(category)
                .bind(stream)
                .bind(projection.state.to_string())
                .bind(projection.metadata.to_string())
                .bind(projection.version)
                .bind(projection.sequence_number.unwrap_or(0))
                .bind(projection.created_at.micros())
                .bind(projection.updated_at.micros())
                .bind(change)
                .bind(deleted)
                .execute(&mut *self.transaction)
                .await
                .map_err(of_query)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Projections for SqliteStore {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        let transaction = self.readers.begin().await.map_err(of_query)?;
        Ok(Box::new(Documents { log: log.id, transaction }))
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let mut section = Documents { log: log.id, transaction };
        let outcomes = decide(&mut section, name, self.clock.now(), batch).await?;
        section.transaction.commit().await.map_err(of_commit)?;
        Ok(outcomes)
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        let mut section = Documents { log: log.id, transaction };
        let (change, version) = section.left(name).await?;
        let extent: (i64, i64, i64) = sqlx::query_as(include_str!("sql/projections_extent.sql"))
            .bind(log.id)
            .bind(name.as_str())
            .fetch_one(&mut *section.transaction)
            .await
            .map_err(of_query)?;
        sqlx::query(include_str!("sql/update_projection_name.sql"))
            .bind(log.id)
            .bind(name.as_str())
            .bind(change.max(extent.1))
            .bind(version.max(extent.2))
            .execute(&mut *section.transaction)
            .await
            .map_err(of_query)?;
        sqlx::query(include_str!("sql/delete_projections.sql"))
            .bind(log.id)
            .bind(name.as_str())
            .execute(&mut *section.transaction)
            .await
            .map_err(of_query)?;
        section.transaction.commit().await.map_err(of_commit)?;
        Ok(extent.0)
    }
}
