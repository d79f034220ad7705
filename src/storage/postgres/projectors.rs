//! Projectors in Postgres: the row of a revision is where it stands.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    PostgresStore, Time,
    error::of_query,
    in_time,
    projections::Documents,
    view::{READ, WRITE},
};
use crate::{
    model::{Definition, Log, Progress, ProjectionName, ProjectorName, Revision, Standing},
    storage::{
        StorageError,
        projections::Kept,
        projectors::{self, Advance, Listed, ProjectorSection, Projectors, Put},
        sql::projectors::{listed, progress, revision, told},
    },
};

#[async_trait]
impl ProjectorSection for Documents {
    async fn known(&mut self, projector: &ProjectorName) -> Result<Vec<Revision>, StorageError> {
        let query = sqlx::query(include_str!("sql/revisions_of_projector.sql"));
        let query = query.bind(self.log).bind(projector.as_str());
        let rows = query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        rows.iter().map(revision).collect()
    }

    async fn add_revision(&mut self, fresh: &Revision) -> Result<Revision, StorageError> {
        let Definition { form, text, description } = &fresh.definition;
        let query = sqlx::query_scalar(include_str!("sql/insert_revision.sql"))
            .bind(self.log)
            .bind(fresh.projector.as_str())
            .bind(fresh.number)
            .bind(form.word())
            .bind(text)
            .bind(description)
            .bind(Time::from(fresh.created_at))
            .bind(fresh.standing.word())
            .bind(told(&fresh.progress)?);
        let id = query.fetch_one(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(Revision { id, ..fresh.clone() })
    }

    async fn set_standing(
        &mut self,
        revision: i64,
        standing: Standing,
    ) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/stand_revision.sql"));
        self.run(query.bind(revision).bind(standing.word())).await.map(|_| ())
    }

    async fn drop_revision(&mut self, revision: &Revision) -> Result<(), StorageError> {
        self.set_standing(revision.id, Standing::Dropped).await?;
        let (log, name) = (self.log, revision.documents());
        let query = sqlx::query(include_str!("sql/retire_indexes.sql"));
        self.run(query.bind(log).bind(name.as_str())).await.map(|_| ())
    }

    async fn still(&mut self, projector: &ProjectorName) -> Result<(), StorageError> {
        let query = sqlx::query(include_str!("sql/lock_revisions.sql"));
        self.run(query.bind(self.log).bind(projector.as_str())).await.map(|_| ())
    }

    async fn pass(&mut self, steps: &[Advance]) -> Result<HashSet<i64>, StorageError> {
        let texts = |text: fn(&Advance) -> &str| steps.iter().map(text).collect::<Vec<_>>();
        let told: Vec<String> =
            steps.iter().map(|step| told(&step.to)).collect::<Result<_, _>>()?;
        let query = sqlx::query_scalar(include_str!("sql/pass_revisions.sql"))
            .bind(steps.iter().map(|step| step.revision).collect::<Vec<_>>())
            .bind(steps.iter().map(|step| step.owner.to_string()).collect::<Vec<_>>())
            .bind(texts(|step| &step.from))
            .bind(texts(|step| &step.to.cursor))
            .bind(told)
            .bind(texts(|step| step.halt.as_deref().unwrap_or_default()))
            .bind(texts(|step| &step.done));
        let passed: Vec<i64> =
            query.fetch_all(&mut self.loan.connection).await.map_err(of_query)?;
        Ok(passed.into_iter().collect())
    }
}

impl PostgresStore {
    /// Changes the revisions of a projector, its name locked.
    async fn changed<T>(
        &self,
        log: &Log,
        projector: &ProjectorName,
        change: impl AsyncFnOnce(&mut Documents) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        Box::pin(in_time(async {
            let name = ProjectionName::stored(projector.shared());
            let mut section = self.locked(log, &[&name]).await?;
            let done = change(&mut section).await?;
            section.commit().await.map_err(super::error::of_commit)?;
            Ok(done)
        }))
        .await
    }

    /// Runs one statement about a revision; whether it is there.
    async fn told(
        &self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<bool, StorageError> {
        in_time(async {
            let mut loan = self.writers.begin(WRITE).await.map_err(of_query)?;
            let done = query.execute(&mut loan.connection).await.map_err(of_query)?;
            sqlx::raw_sql("COMMIT")
                .execute(&mut loan.connection)
                .await
                .map_err(super::error::of_commit)?;
            loan.give_back();
            Ok(done.rows_affected() == 1)
        })
        .await
    }
}

#[async_trait]
impl Projectors for PostgresStore {
    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError> {
        let mut loan = self.readers.begin(READ).await.map_err(of_query)?;
        let query = sqlx::query(include_str!("sql/projector_revisions.sql")).bind(after);
        let rows = query.fetch_all(&mut loan.connection).await.map_err(of_query)?;
        sqlx::raw_sql("COMMIT").execute(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        rows.iter().map(listed).collect()
    }

    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError> {
        let mut loan = self.readers.begin(READ).await.map_err(of_query)?;
        let query = sqlx::query(include_str!("sql/revisions_of_projector.sql")).bind(log.id);
        let query = query.bind(projector.map_or("", ProjectorName::as_str));
        let rows = query.fetch_all(&mut loan.connection).await.map_err(of_query)?;
        sqlx::raw_sql("COMMIT").execute(&mut loan.connection).await.map_err(of_query)?;
        loan.give_back();
        rows.iter().map(revision).collect::<Result<_, _>>().map(projectors::there)
    }

    async fn put_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        definition: &Definition,
        again: bool,
    ) -> Result<Put, StorageError> {
        let fresh = projectors::fresh(projector, definition, self.clock.now());
        self.changed(log, projector, async |section| projectors::put(section, fresh, again).await)
            .await
    }

    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        in_time(async {
            let mut loan = self.writers.begin(WRITE).await.map_err(of_query)?;
            let query = sqlx::query_as(include_str!("sql/hold_revision.sql"));
            let query = query.bind(revision).bind(owner.to_string());
            let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
            let held = query.bind(micros).fetch_optional(&mut loan.connection).await;
            let held = held.map_err(of_query)?;
            sqlx::raw_sql("COMMIT")
                .execute(&mut loan.connection)
                .await
                .map_err(super::error::of_commit)?;
            loan.give_back();
            held.map(progress).transpose()
        })
        .await
    }

    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError> {
        let sql = include_str!("sql/revision_progress.sql");
        // One statement is a view by itself.
        let mut loan = self.readers.lend().await.map_err(of_query)?;
        let query = sqlx::query_as(sql).bind(revision);
        let found = match query.fetch_optional(&mut loan.connection).await {
            Ok(found) => found,
            // The server may have left the connection: a new one tells.
            Err(_) => {
                // Not two at once: all who read may be here.
                drop(loan);
                loan = self.readers.lend_checked().await.map_err(of_query)?;
                let query = sqlx::query_as(sql).bind(revision);
                query.fetch_optional(&mut loan.connection).await.map_err(of_query)?
            }
        };
        loan.give_back();
        found.map(progress).transpose()
    }

    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError> {
        in_time(async {
            let names = steps.iter().map(|step| &step.documents);
            let mut names: Vec<&ProjectionName> = names.collect();
            names.dedup();
            let mut section = self.locked(log, &names).await?;
            let done = projectors::advance(&mut section, steps).await?;
            section.commit().await.map_err(super::error::of_commit)?;
            Ok(done)
        })
        .await
    }

    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError> {
        let query = sqlx::query(include_str!("sql/halt_revision.sql"));
        self.told(query.bind(revision).bind(why.unwrap_or_default()).bind(order)).await
    }

    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        let change =
            async |section: &mut Documents| projectors::activate(section, projector, number).await;
        self.changed(log, projector, change).await
    }

    async fn take_over(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        let change = async |section: &mut Documents| {
            projectors::take_over(section, log, projector, number).await
        };
        self.changed(log, projector, change).await
    }

    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError> {
        let change =
            async |section: &mut Documents| projectors::delete(section, projector, retain).await;
        self.changed(log, projector, change).await
    }

    async fn keep_snapshots(
        &self,
        log: &Log,
        revision: &Revision,
        snapshots: &[Kept],
    ) -> Result<(), StorageError> {
        let change = async |section: &mut Documents| {
            projectors::keep_snapshots(section, revision, snapshots).await
        };
        self.changed(log, &revision.projector, change).await
    }

    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError> {
        in_time(async {
            let mut section = self.locked(log, &[&revision.documents()]).await?;
            let most = i64::try_from(projectors::SWEPT_AT_ONCE).unwrap_or(i64::MAX);
            let mut gone = true;
            for name in revision.names() {
                let query = sqlx::query(include_str!("sql/sweep_projections.sql")).bind(log.id);
                gone &= section.run(query.bind(name.as_str()).bind(most)).await? == 0;
            }
            if gone {
                for name in revision.names() {
                    let query = sqlx::query(include_str!("sql/delete_projection_name.sql"));
                    section.run(query.bind(log.id).bind(name.as_str())).await?;
                }
                let query = sqlx::query(include_str!("sql/delete_revision.sql"));
                section.run(query.bind(revision.id)).await?;
            }
            section.commit().await.map_err(super::error::of_commit)?;
            Ok(gone)
        })
        .await
    }
}
