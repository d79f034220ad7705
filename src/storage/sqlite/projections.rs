//! Projections in SQLite: its one writer is the lock under which documents are changed.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction, query::Query, sqlite::SqliteArguments};

use super::{
    SqliteStore,
    error::{of_commit, of_query},
};
use crate::{
    model::{
        Direction, Edit, EntryId, Json, Log, Projection, ProjectionName, Source, Timestamp,
        event_text::Quoted,
    },
    query::index::Index,
    storage::{
        Listing, StorageError,
        indexes::{self as declared, Alike, Declared, IndexRow, Keys, Unfinished},
        projections::{
            EditOutcome, Kept, Last, NameEnd, Part, ProjectionSection, ProjectionView, Projections,
            Stretch, decide, last,
        },
        sql::projections::{changed, columns, indexes, kept, names, part, unfinished},
    },
};

/// A transaction. Dropped without a commit, it is rolled back.
pub(super) struct Documents {
    pub(super) log: i64,
    pub(super) transaction: Transaction<'static, Sqlite>,
}

impl Documents {
    async fn all(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<Kept>, StorageError> {
        let rows = query.fetch_all(&mut *self.transaction).await.map_err(of_query)?;
        rows.iter().map(kept).collect::<Result<_, _>>().map_err(of_query)
    }

    /// Runs a statement; how many rows it was about.
    pub(super) async fn run(
        &mut self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<u64, StorageError> {
        let done = query.execute(&mut *self.transaction).await.map_err(of_query)?;
        Ok(done.rows_affected())
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await
    }
}

fn documents(kept: Vec<Kept>) -> Vec<Projection> {
    kept.into_iter().map(|kept| kept.projection).collect()
}

/// Texts as a JSON list.
fn texts(texts: &[String]) -> String {
    Json::Array(texts.iter().cloned().map(Json::String).collect()).to_string()
}

/// Documents that one statement writes.
const KEPT_AT_ONCE: usize = 500;

/// Documents as a JSON list.
fn written(documents: &[Kept]) -> String {
    let mut out = String::from("[");
    for (index, Kept { projection, change, deleted }) in documents.iter().enumerate() {
        let (category, stream) = columns(&projection.source);
        let Projection { version, created_at, updated_at, .. } = projection;
        let texts = [
            projection.name.as_str(),
            projection.id.as_str(),
            category,
            stream,
            &projection.state.to_string(),
            &projection.metadata.to_string(),
        ];
        out.push_str(if index == 0 { "[" } else { ",[" });
        for text in texts {
            out.push_str(&format!("{},", Quoted(text)));
        }
        out.push_str(&format!(
            "{version},{},{},{},{change},{}]",
            projection.sequence_number.unwrap_or(0),
            created_at.micros(),
            updated_at.micros(),
            i64::from(*deleted)
        ));
    }
    out.push(']');
    out
}

/// Rows of indexes as a JSON list.
fn listed(rows: &[IndexRow]) -> String {
    let row = |IndexRow { index, row, id }: &IndexRow| {
        let key: String = row.key.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[{index},\"{key}\",{},{}]", Json::String(id.to_string()), row.pieces)
    };
    format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(","))
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
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let query = sqlx::query(include_str!("sql/projections_with_ids.sql"));
        self.all(query.bind(self.log).bind(name.as_str()).bind(texts(&ids))).await
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
            query.fetch_one(&mut *self.transaction).await.map_err(of_query)?;
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
        let rows = query.bind(limit(most)).fetch(&mut *self.transaction);
        changed(rows, bytes).await.map_err(of_query)
    }

    async fn indexes(&mut self, name: &ProjectionName) -> Result<Vec<Declared>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/projection_indexes.sql"));
        let query = query.bind(self.log).bind(name.as_str());
        indexes(query.fetch_all(&mut *self.transaction).await.map_err(of_query)?)
    }

    async fn keyed(&mut self, keys: &Keys) -> Result<Part, StorageError> {
        let sql = match keys.direction {
            Direction::Forwards => include_str!("sql/projections_of_keys.sql"),
            Direction::Backwards => include_str!("sql/projections_of_keys_backwards.sql"),
        };
        let query = sqlx::query(sql).bind(self.log).bind(keys.name.as_str()).bind(keys.index);
        let query = query.bind(&keys.from).bind(&keys.to).bind(limit(keys.limit));
        let rows = query.fetch(&mut *self.transaction);
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
        let count: i64 = query.fetch_one(&mut *self.transaction).await.map_err(of_query)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn alike(&mut self, alike: &Alike) -> Result<Vec<EntryId>, StorageError> {
        // No score is above 1.
        let (score, id) =
            alike.after.as_ref().map_or((2.0, ""), |(score, id)| (*score, id.as_str()));
        let query = sqlx::query_scalar(include_str!("sql/projections_alike.sql"))
            .bind(alike.index)
            .bind(texts(&alike.pieces))
            .bind(limit(alike.pieces.len()))
            .bind(alike.at_least)
            .bind(score)
            .bind(id)
            .bind(limit(alike.limit));
        let ids: Vec<String> = query.fetch_all(&mut *self.transaction).await.map_err(of_query)?;
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
    async fn lasts(&mut self, names: &[&ProjectionName]) -> Result<Vec<Last>, StorageError> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let names = texts(&names);
        let query = sqlx::query(include_str!("sql/insert_projection_names.sql"));
        self.run(query.bind(self.log).bind(&names)).await?;
        let query = sqlx::query_as(include_str!("sql/projection_lasts.sql"));
        let rows: Vec<(i64, i64, Option<i64>, Option<i64>, bool)> = query
            .bind(self.log)
            .bind(&names)
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(of_query)?;
        let last =
            |(change, version, last, at, indexed): (_, _, Option<i64>, Option<i64>, _)| Last {
                change: last.unwrap_or(change),
                version,
                updated_at: at.map(Timestamp::of_stored),
                indexed,
            };
        Ok(rows.into_iter().map(last).collect())
    }

    async fn keep(&mut self, documents: &[Kept]) -> Result<(), StorageError> {
        // A statement for each would cost a journey to the database's thread.
        for documents in documents.chunks(KEPT_AT_ONCE) {
            let query = sqlx::query(include_str!("sql/keep_projections.sql")).bind(self.log);
            self.run(query.bind(written(documents))).await?;
        }
        Ok(())
    }

    async fn rekey(
        &mut self,
        removed: &[IndexRow],
        added: &[IndexRow],
    ) -> Result<(), StorageError> {
        // A statement for each row would cost a journey to the database's thread.
        for (sql, rows) in [
            (include_str!("sql/delete_keys.sql"), removed),
            (include_str!("sql/insert_keys.sql"), added),
        ] {
            if !rows.is_empty() {
                self.run(sqlx::query(sql).bind(listed(rows))).await?;
            }
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

impl SqliteStore {
    pub(super) async fn locked(&self, log: &Log) -> Result<Documents, StorageError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(of_query)?;
        Ok(Documents { log: log.id, transaction })
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
        let mut section = self.locked(log).await?;
        let outcomes = decide(&mut section, name, self.clock.now(), batch).await?;
        section.transaction.commit().await.map_err(of_commit)?;
        Ok(outcomes)
    }

    async fn drop_projection(&self, log: &Log, name: &ProjectionName) -> Result<i64, StorageError> {
        let mut section = self.locked(log).await?;
        let Last { change, version, .. } = last(&mut section, name).await?;
        let extent: (i64, i64, i64) = sqlx::query_as(include_str!("sql/projections_extent.sql"))
            .bind(log.id)
            .bind(name.as_str())
            .fetch_one(&mut *section.transaction)
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
        section.transaction.commit().await.map_err(of_commit)?;
        Ok(extent.0)
    }

    async fn declare(
        &self,
        log: &Log,
        name: &ProjectionName,
        wanted: &[Index],
    ) -> Result<(), StorageError> {
        let mut section = self.locked(log).await?;
        declared::declare(&mut section, name, wanted).await?;
        section.transaction.commit().await.map_err(of_commit)
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/unfinished_indexes.sql"));
        let rows = query.fetch_all(&self.readers).await.map_err(of_query)?;
        Ok(unfinished(rows))
    }

    async fn build(&self, log: &Log, work: &Unfinished) -> Result<bool, StorageError> {
        let mut section = self.locked(log).await?;
        let done = declared::build(&mut section, work).await?;
        section.transaction.commit().await.map_err(of_commit)?;
        Ok(done)
    }
}
