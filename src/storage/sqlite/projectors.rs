//! Projectors in SQLite.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    SqliteStore,
    error::{of_commit, of_query},
    projections::Documents,
};
use crate::{
    model::{Definition, Log, Progress, ProjectorName, Revision, Standing, event_text::Quoted},
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
        let rows = query.fetch_all(&mut *self.transaction).await.map_err(of_query)?;
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
            .bind(fresh.created_at.micros())
            .bind(fresh.standing.word())
            .bind(told(&fresh.progress)?);
        let id = query.fetch_one(&mut *self.transaction).await.map_err(of_query)?;
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

    async fn still(&mut self, _: &ProjectorName) -> Result<(), StorageError> {
        Ok(())
    }

    async fn pass(&mut self, steps: &[Advance]) -> Result<HashSet<i64>, StorageError> {
        let mut rows = Vec::with_capacity(steps.len());
        for step in steps {
            let (owner, told) = (step.owner.to_string(), told(&step.to)?);
            let halt = step.halt.as_deref().unwrap_or_default();
            let texts = [&owner, &step.from, &step.to.cursor, &told, halt, &step.done];
            let texts = texts.map(|text| Quoted(text).to_string()).join(",");
            rows.push(format!("[{},{texts}]", step.revision));
        }
        let query = sqlx::query_scalar(include_str!("sql/pass_revisions.sql"));
        let query = query.bind(format!("[{}]", rows.join(",")));
        let passed: Vec<i64> = query.fetch_all(&mut *self.transaction).await.map_err(of_query)?;
        Ok(passed.into_iter().collect())
    }
}

impl SqliteStore {
    /// Changes revisions of a log.
    async fn changed<T>(
        &self,
        log: &Log,
        change: impl AsyncFnOnce(&mut Documents) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut section = self.locked(log).await?;
        let done = change(&mut section).await?;
        section.commit().await.map_err(of_commit)?;
        Ok(done)
    }
}

#[async_trait]
impl Projectors for SqliteStore {
    async fn revisions(&self, after: i64) -> Result<Vec<Listed>, StorageError> {
        let query = sqlx::query(include_str!("sql/projector_revisions.sql"))
            .bind(after)
            .bind(self.clock.now().micros());
        let rows = query.fetch_all(&self.readers).await.map_err(of_query)?;
        rows.iter().map(listed).collect()
    }

    async fn revisions_of(
        &self,
        log: &Log,
        projector: Option<&ProjectorName>,
    ) -> Result<Vec<Revision>, StorageError> {
        let query = sqlx::query(include_str!("sql/revisions_of_projector.sql")).bind(log.id);
        let query = query.bind(projector.map_or("", ProjectorName::as_str));
        let rows = query.fetch_all(&self.readers).await.map_err(of_query)?;
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
        self.changed(log, async |section| projectors::put(section, fresh, again).await).await
    }

    async fn hold(
        &self,
        revision: i64,
        owner: Uuid,
        time: Duration,
    ) -> Result<Option<Progress>, StorageError> {
        let now = self.clock.now().micros();
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let query = sqlx::query_as(include_str!("sql/hold_revision.sql")).bind(revision);
        let query = query.bind(owner.to_string()).bind(now.saturating_add(micros)).bind(now);
        query.fetch_optional(&self.writer).await.map_err(of_query)?.map(progress).transpose()
    }

    async fn progress(&self, revision: i64) -> Result<Option<Progress>, StorageError> {
        let query = sqlx::query_as(include_str!("sql/revision_progress.sql")).bind(revision);
        query.fetch_optional(&self.readers).await.map_err(of_query)?.map(progress).transpose()
    }

    async fn advance(&self, log: &Log, steps: &[Advance]) -> Result<Vec<bool>, StorageError> {
        self.changed(log, async |section| projectors::advance(section, steps).await).await
    }

    async fn halt(
        &self,
        revision: i64,
        why: Option<&str>,
        order: &str,
    ) -> Result<bool, StorageError> {
        let query = sqlx::query(include_str!("sql/halt_revision.sql"));
        let query = query.bind(revision).bind(why.unwrap_or_default()).bind(order);
        let done = query.execute(&self.writer).await.map_err(of_query)?;
        Ok(done.rows_affected() == 1)
    }

    async fn activate(
        &self,
        log: &Log,
        projector: &ProjectorName,
        number: i64,
    ) -> Result<bool, StorageError> {
        let change =
            async |section: &mut Documents| projectors::activate(section, projector, number).await;
        self.changed(log, change).await
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
        self.changed(log, change).await
    }

    async fn delete_projector(
        &self,
        log: &Log,
        projector: &ProjectorName,
        retain: bool,
    ) -> Result<bool, StorageError> {
        self.changed(log, async |section: &mut Documents| {
            projectors::delete(section, projector, retain).await
        })
        .await
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
        self.changed(log, change).await
    }

    async fn sweep(&self, log: &Log, revision: &Revision) -> Result<bool, StorageError> {
        self.changed(log, async |section| {
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
            Ok(gone)
        })
        .await
    }
}
