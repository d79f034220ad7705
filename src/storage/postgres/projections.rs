//! Projections in Postgres: the row of a name is the lock under which its documents are changed.

use std::collections::HashMap;

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
    model::{Direction, Edit, EntryId, Json, Log, Projection, ProjectionName, Source, Timestamp},
    query::{index::Index, sieve::Sieve},
    storage::{
        Listing, StorageError,
        indexes::{self as declared, Alike, Declared, IndexRow, Keys, Unfinished},
        projections::{
            EditOutcome, Kept, Last, NameEnd, Part, ProjectionSection, ProjectionView, Projections,
            Stretch, decide,
        },
        sql::projections::{changed, columns, indexes, kept, names, part, unfinished},
    },
};

/// So many times as many documents are looked through where the database leaves most of them out.
const LOOKED_AHEAD: usize = 20;

/// A transaction.
pub(super) struct Documents {
    pub(super) log: i64,
    pub(super) loan: Loan,
    /// What drops left of the names that are locked.
    left: HashMap<ProjectionName, (i64, i64)>,
}

impl Documents {
    fn new(log: &Log, loan: Loan) -> Self {
        Self { log: log.id, loan, left: HashMap::new() }
    }

    /// Takes the locks of names, each another one, until the transaction ends.
    async fn lock(&mut self, names: &[&ProjectionName]) -> Result<(), sqlx::Error> {
        let texts: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        loop {
            let left: Vec<(String, i64, i64)> =
                sqlx::query_as(include_str!("sql/lock_projection_names.sql"))
                    .bind(self.log)
                    .bind(&texts)
                    .fetch_all(&mut self.loan.connection)
                    .await?;
            if left.len() == names.len() {
                let left = left.into_iter();
                self.left = left
                    .map(|(name, change, version)| {
                        (ProjectionName::stored(name), (change, version))
                    })
                    .collect();
                return Ok(());
            }
            sqlx::query(include_str!("sql/insert_projection_names.sql"))
                .bind(self.log)
                .bind(&texts)
                .execute(&mut self.loan.connection)
                .await?;
        }
    }

    /// What a drop left of a name that is locked.
    fn left(&self, name: &ProjectionName) -> (i64, i64) {
        self.left.get(name).copied().unwrap_or_default()
    }

    async fn all(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<Kept>, StorageError> {
        let rows = query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(of_query)
    }

    /// The documents of a stretch of a name whose state holds something: the database leaves out the others, which it
    /// does faster than it sends them.
    async fn holding(
        &mut self,
        name: &ProjectionName,
        stretch: &Stretch,
        held: &Json,
    ) -> Result<Part, sqlx::Error> {
        let from = stretch.from.as_ref().map_or("", |(_, id)| id.as_str());
        let most = stretch.limit.saturating_mul(LOOKED_AHEAD);
        let query = sqlx::query_as(include_str!("sql/projections_ahead.sql"));
        let query = query.bind(self.log).bind(name.as_str()).bind(from).bind(limit(most));
        let (ahead, to): (i64, String) = query.fetch_one(&mut self.loan.connection).await?;
        let query = sqlx::query(include_str!("sql/projections_holding.sql")).bind(self.log);
        let query = query.bind(name.as_str()).bind(from).bind(&to).bind(held.to_string());
        let rows = query.bind(limit(stretch.limit)).fetch(&mut self.loan.connection);
        let mut part = part(rows, stretch.limit, stretch.bytes, stretch.sieve.as_ref()).await?;
        // One that is full goes on after its last document.
        if part.at_end {
            part.examined = usize::try_from(ahead).unwrap_or(usize::MAX);
            part.at_end = part.examined < most;
            part.last = Some((name.clone(), EntryId::stored(to)));
        }
        Ok(part)
    }

    /// Runs a statement; how many rows it was about.
    pub(super) async fn run(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StorageError> {
        let done = query.execute(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(done.rows_affected())
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
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
        let held = stretch.sieve.as_ref().and_then(Sieve::held);
        if let (Some(name), Direction::Forwards, Some(held)) =
            (&stretch.name, stretch.direction, held)
        {
            return self.holding(name, stretch, &held).await.map_err(of_query);
        }
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
        part(rows, stretch.limit, stretch.bytes, stretch.sieve.as_ref()).await.map_err(of_query)
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

    async fn end(&mut self, name: &ProjectionName) -> Result<NameEnd, StorageError> {
        let query = sqlx::query_as(include_str!("sql/projection_end.sql"));
        let query = query.bind(self.log).bind(name.as_str());
        let (change, dropped, sequence_number): (i64, i64, i64) =
            query.fetch_one(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(NameEnd { change: change.max(dropped), dropped, sequence_number })
    }

    async fn changed(
        &mut self,
        name: &ProjectionName,
        after: i64,
        most: usize,
        bytes: usize,
    ) -> Result<Vec<Kept>, StorageError> {
        let query = sqlx::query(include_str!("sql/projections_changed.sql"));
        let query = query.bind(self.log).bind(name.as_str()).bind(after);
        let rows = query.bind(limit(most)).fetch(&mut self.loan.connection);
        changed(rows, bytes).await.map_err(of_query)
    }

    async fn indexes(&mut self, name: &ProjectionName) -> Result<Vec<Declared>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/projection_indexes.sql"));
        let query = query.bind(self.log).bind(name.as_str());
        indexes(query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?)
    }

    async fn keyed(&mut self, keys: &Keys) -> Result<Part, StorageError> {
        let sql = match keys.direction {
            Direction::Forwards => include_str!("sql/projections_of_keys.sql"),
            Direction::Backwards => include_str!("sql/projections_of_keys_backwards.sql"),
        };
        let query = sqlx::query(sql).bind(self.log).bind(keys.name.as_str()).bind(keys.index);
        let query = query.bind(&keys.from).bind(&keys.to).bind(limit(keys.limit));
        let rows = query.fetch(&mut self.loan.connection);
        part(rows, keys.limit, keys.bytes, None).await.map_err(of_query)
    }

    async fn keys_between(
        &mut self,
        index: i64,
        from: &[u8],
        to: &[u8],
    ) -> Result<u64, StorageError> {
        let query = sqlx::query_scalar(include_str!("sql/count_keys.sql"));
        let query = query.bind(index).bind(from).bind(to);
        let count: i64 = query.fetch_one(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn alike(&mut self, alike: &Alike) -> Result<Vec<EntryId>, StorageError> {
        // No score is above 1.
        let (score, id) =
            alike.after.as_ref().map_or((2.0, ""), |(score, id)| (*score, id.as_str()));
        let query = sqlx::query_scalar(include_str!("sql/projections_alike.sql"))
            .bind(alike.index)
            .bind(alike.pieces.iter().map(String::as_bytes).collect::<Vec<_>>())
            .bind(limit(alike.pieces.len()))
            .bind(alike.at_least)
            .bind(score)
            .bind(id)
            .bind(limit(alike.limit));
        let ids: Vec<String> =
            query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(ids.into_iter().map(EntryId::stored).collect())
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
    async fn lasts(&mut self, names: &[&ProjectionName]) -> Result<Vec<Last>, StorageError> {
        let texts: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let query = sqlx::query_as(include_str!("sql/projection_lasts.sql"));
        let query = query.bind(self.log).bind(texts);
        let rows: Vec<(Option<i64>, Option<Time>, bool)> =
            query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        let last = |(name, (last, at, indexed)): (&&ProjectionName, (_, Option<Time>, _))| {
            let (change, version) = self.left(name);
            let change = Option::unwrap_or(last, change);
            Last { change, version, updated_at: at.map(Timestamp::from), indexed }
        };
        Ok(names.iter().zip(rows).map(last).collect())
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        let texts = |text: fn(&Kept) -> String| documents.iter().map(text).collect::<Vec<_>>();
        let numbers = |number: fn(&Kept) -> i64| documents.iter().map(number).collect::<Vec<_>>();
        let times = |time: fn(&Kept) -> Time| documents.iter().map(time).collect::<Vec<_>>();
        sqlx::query(include_str!("sql/keep_projections.sql"))
            .bind(self.log)
            .bind(texts(|kept| kept.projection.name.to_string()))
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

    async fn rekey(
        &mut self,
        removed: &[IndexRow],
        added: &[IndexRow],
    ) -> Result<(), StorageError> {
        let indexes = |rows: &[IndexRow]| rows.iter().map(|row| row.index).collect::<Vec<_>>();
        let keys =
            |rows: &[IndexRow]| rows.iter().map(|row| row.row.key.clone()).collect::<Vec<_>>();
        let ids = |rows: &[IndexRow]| rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>();
        if !removed.is_empty() {
            let query = sqlx::query(include_str!("sql/delete_keys.sql"));
            self.run(query.bind(indexes(removed)).bind(keys(removed)).bind(ids(removed))).await?;
        }
        if !added.is_empty() {
            let pieces = added.iter().map(|row| row.row.pieces).collect::<Vec<_>>();
            let query = sqlx::query(include_str!("sql/insert_keys.sql"));
            let query = query.bind(indexes(added)).bind(keys(added)).bind(ids(added));
            self.run(query.bind(pieces)).await?;
        }
        Ok(())
    }

    async fn begin_index(
        &mut self,
        name: &ProjectionName,
        index: &Index,
    ) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/insert_index.sql")).bind(self.log);
        let query = query.bind(name.as_str()).bind(index.name.as_str());
        self.run(query.bind(index.of.definition().to_string())).await.map(|_| ())
    }

    async fn advance_index(&mut self, index: &Declared) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/advance_index.sql")).bind(index.id);
        let upto = index.upto.as_ref().map_or("", EntryId::as_str);
        self.run(query.bind(index.built).bind(upto).bind(index.documents)).await.map(|_| ())
    }

    async fn retire_index(&mut self, id: i64) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/retire_index.sql"));
        self.run(query.bind(id)).await.map(|_| ())
    }

    async fn sweep_index(&mut self, id: i64, most: usize) -> Result<bool, StorageError> {
        let query = sqlx::query(include_str!("sql/sweep_keys.sql"));
        if self.run(query.bind(id).bind(limit(most))).await? > 0 {
            return Ok(false);
        }
        let query = sqlx::query(include_str!("sql/delete_index.sql"));
        self.run(query.bind(id)).await.map(|_| true)
    }
}

impl PostgresStore {
    /// A transaction in which documents of these names, each another one, can be changed.
    pub(super) async fn locked(
        &self,
        log: &Log,
        names: &[&ProjectionName],
    ) -> Result<Documents, StorageError> {
        let loan = self.writers.begin(WRITE).await.map_err(of_query)?;
        let mut section = Documents::new(log, loan);
        section.lock(names).await.map_err(of_query)?;
        Ok(section)
    }
}

#[async_trait]
impl Projections for PostgresStore {
    async fn projections(&self, log: &Log) -> Result<Box<dyn ProjectionView>, StorageError> {
        let loan = self.readers.begin(READ).await.map_err(of_query)?;
        Ok(Box::new(Documents::new(log, loan)))
    }

    async fn documents(
        &self,
        log: &Log,
        name: &ProjectionName,
        ids: &[EntryId],
    ) -> Result<Vec<Kept>, StorageError> {
        // One statement is a view by itself.
        let mut single = Documents::new(log, self.readers.lend().await.map_err(of_query)?);
        if let Ok(found) = single.kept(name, ids).await {
            single.loan.give_back();
            return Ok(found);
        }
        // The server may have left the connection: a new one, in its place, tells.
        drop(single);
        let mut view = Documents::new(log, self.readers.begin(READ).await.map_err(of_query)?);
        let found = view.kept(name, ids).await;
        Box::new(view).close().await;
        found
    }

    async fn edit(
        &self,
        log: &Log,
        name: &ProjectionName,
        batch: &[Edit],
    ) -> Result<Vec<EditOutcome>, StorageError> {
        in_time(async {
            let mut section = self.locked(log, &[name]).await?;
            let outcomes = decide(&mut section, name, self.clock.now(), batch).await?;
            section.commit().await.map_err(of_commit)?;
            Ok(outcomes)
        })
        .await
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        in_time(async {
            let mut section = self.locked(log, &[name]).await?;
            let (change, version) = section.left(name);
            let extent: (i64, i64, i64) =
                sqlx::query_as(include_str!("sql/projections_extent.sql"))
                    .bind(log.id)
                    .bind(name.as_str())
                    .fetch_one(&mut section.loan.connection)
                    .await
                    .map_err(of_query)?;
            let query = sqlx::query(include_str!("sql/update_projection_name.sql"));
            let query = query.bind(log.id).bind(name.as_str());
            section.run(query.bind(change.max(extent.1) + 1).bind(version.max(extent.2))).await?;
            for sql in
                [include_str!("sql/retire_indexes.sql"), include_str!("sql/delete_projections.sql")]
            {
                section.run(sqlx::query(sql).bind(log.id).bind(name.as_str())).await?;
            }
            section.commit().await.map_err(of_commit)?;
            Ok(extent.0)
        })
        .await
    }

    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        wanted: &[Index],
    ) -> Result<(), StorageError> {
        in_time(async {
            let mut section = self.locked(log, &[name]).await?;
            declared::declare(&mut section, name, wanted).await?;
            section.commit().await.map_err(of_commit)
        })
        .await
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        let mut loan = self.readers.begin(READ).await.map_err(of_query)?;
        let query = sqlx::query_as(include_str!("sql/unfinished_indexes.sql"));
        let rows = query.fetch_all(&mut loan.connection).await.map_err(of_query)?;
        sqlx::raw_sql("COMMIT").execute(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        Ok(unfinished(rows))
    }

    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError> {
        in_time(async {
            let mut section = self.locked(log, &[&work.name]).await?;
            let done = declared::build(&mut section, work).await?;
            section.commit().await.map_err(of_commit)?;
            Ok(done)
        })
        .await
    }
}
