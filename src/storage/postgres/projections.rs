//! Projections in Postgres: the row of a name is the lock under which its documents are changed.

use async_trait::async_trait;
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::{
    PostgresStore, Time,
    error::{of_commit, of_query},
    in_time,
    lending::Loan,
    view::{READ, WRITE},
};
use crate::{
    model::{Direction, Edit, EntryId, Log, Projection, ProjectionName, Source},
    storage::{
        Listing, StorageError,
        projections::{
            EditOutcome, Kept, Last, Part, ProjectionSection, ProjectionView, Projections, Stretch,
            decide,
        },
        sql::projections::{columns, kept, names, part},
    },
};

/// A transaction.
struct Documents {
    log: i64,
    loan: Loan,
    /// What a drop left of the name that is locked.
    left: (i64, i64),
}

impl Documents {
    fn new(log: &Log, loan: Loan) -> Self {
        Self { log: log.id, loan, left: (0, 0) }
    }

    /// Takes the lock of a name, until the transaction ends.
    async fn lock(&mut self, name: &ProjectionName) -> Result<(), sqlx::Error> {
        loop {
            let left = sqlx::query_as(include_str!("sql/lock_projection_name.sql"))
                .bind(self.log)
                .bind(name.as_str())
                .fetch_optional(&mut self.loan.connection)
                .await?;
            if let Some(left) = left {
                self.left = left;
                return Ok(());
            }
            sqlx::query(include_str!("sql/insert_projection_name.sql"))
                .bind(self.log)
                .bind(name.as_str())
                .execute(&mut self.loan.connection)
                .await?;
        }
    }

    async fn all(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<Kept>, StorageError> {
        let rows = query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(of_query)
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut self.loan.connection).await?;
        self.loan.give_back();
        Ok(())
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
        let ids: Vec<&str> = ids.iter().map(EntryId::as_str).collect();
        let query = sqlx::query(include_str!("sql/projections_with_ids.sql"));
        self.all(query.bind(self.log).bind(name.as_str()).bind(ids)).await
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
        let rows = query.bind(limit(stretch.limit)).fetch(&mut self.loan.connection);
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
            .fetch_all(&mut self.loan.connection)
            .await
            .map_err(of_query)?;
        Ok(names(rows, listing))
    }

    async fn close(mut self: Box<Self>) {
        if sqlx::raw_sql("COMMIT").execute(&mut self.loan.connection).await.is_ok() {
            self.loan.give_back();
        }
    }
}

#[async_trait]
impl ProjectionSection for Documents {
    async fn last(&mut self, name: &ProjectionName) -> Result<Last, StorageError> {
        let row: Option<(i64, Time)> = sqlx::query_as(include_str!("sql/projection_last.sql"))
            .bind(self.log)
            .bind(name.as_str())
            .fetch_optional(&mut self.loan.connection)
            .await
            .map_err(of_query)?;
        let (change, version) = self.left;
        Ok(Last {
            change: row.map_or(change, |(last, _)| last),
            version,
            updated_at: row.map(|(_, at)| at.into()),
        })
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        let Some(first) = documents.first() else { return Ok(()) };
        let texts = |text: fn(&Kept) -> String| documents.iter().map(text).collect::<Vec<_>>();
        let numbers = |number: fn(&Kept) -> i64| documents.iter().map(number).collect::<Vec<_>>();
        let times = |time: fn(&Kept) -> Time| documents.iter().map(time).collect::<Vec<_>>();
        sqlx::query(include_str!("sql/keep_projections.sql"))
            .bind(self.log)
            .bind(first.projection.name.as_str())
            .bind(texts(|kept| kept.projection.id.to_string()))
            .bind(texts(|kept| columns(&kept.projection.source).0.to_owned()))
            .bind(texts(|kept| columns(&kept.projection.source).1.to_owned()))
            .bind(texts(|kept| kept.projection.state.to_string()))
            .bind(texts(|kept| kept.projection.metadata.to_string()))
            .bind(numbers(|kept| kept.projection.version))
            .bind(numbers(|kept| kept.projection.sequence_number.unwrap_or(0)))
            .bind(times(|kept| kept.projection.created_at.into()))
            .bind(times(|kept| kept.projection.updated_at.into()))
            .bind(numbers(|kept| kept.change))
            .bind(documents.iter().map(|kept| kept.deleted).collect::<Vec<_>>())
            .execute(&mut self.loan.connection)
            .await
            .map(|_| ())
            .map_err(of_query)
    }
}

#[async_trait]
impl Projections for PostgresStore {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        let loan = self.readers.begin(READ).await.map_err(of_query)?;
        Ok(Box::new(Documents::new(log, loan)))
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        in_time(async {
            let loan = self.writers.begin(WRITE).await.map_err(of_query)?;
            let mut section = Documents::new(log, loan);
            section.lock(name).await.map_err(of_query)?;
            let outcomes = decide(&mut section, name, self.clock.now(), batch).await?;
            section.commit().await.map_err(of_commit)?;
            Ok(outcomes)
        })
        .await
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        in_time(async {
            let loan = self.writers.begin(WRITE).await.map_err(of_query)?;
            let mut section = Documents::new(log, loan);
            section.lock(name).await.map_err(of_query)?;
            let (change, version) = section.left;
            let extent: (i64, i64, i64) =
                sqlx::query_as(include_str!("sql/projections_extent.sql"))
                    .bind(log.id)
                    .bind(name.as_str())
                    .fetch_one(&mut section.loan.connection)
                    .await
                    .map_err(of_query)?;
            sqlx::query(include_str!("sql/update_projection_name.sql"))
                .bind(log.id)
                .bind(name.as_str())
                .bind(change.max(extent.1))
                .bind(version.max(extent.2))
                .execute(&mut section.loan.connection)
                .await
                .map_err(of_query)?;
            sqlx::query(include_str!("sql/delete_projections.sql"))
                .bind(log.id)
                .bind(name.as_str())
                .execute(&mut section.loan.connection)
                .await
                .map_err(of_query)?;
            section.commit().await.map_err(of_commit)?;
            Ok(extent.0)
        })
        .await
    }
}
