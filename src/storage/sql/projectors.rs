//! Rows of revisions as values of the model.

use super::rows::Columns;
use crate::{
    model::{Definition, Form, LogName, Progress, ProjectorName, Revision, Standing},
    storage::{StorageError, projectors::Listed},
};

/// Those of [`revision`], log name, whether somebody holds it
pub(in crate::storage) fn listed(row: &impl Columns) -> Result<Listed, StorageError> {
    let broken = |error: sqlx::Error| StorageError::Broken(error.into());
    Ok(Listed {
        log: LogName::stored(row.text(12).map_err(broken)?),
        held: row.number(13).map_err(broken)? != 0,
        revision: revision(row)?,
    })
}

/// id, projector, number, form, definition, description, created, standing, halt, then those of [`progress`]
pub(in crate::storage) fn revision(row: &impl Columns) -> Result<Revision, StorageError> {
    let broken = || StorageError::broken("a revision has an unknown form or standing");
    let column = |column| row.text(column).map_err(|error| StorageError::Broken(error.into()));
    let number = |column| row.number(column).map_err(|error| StorageError::Broken(error.into()));
    Ok(Revision {
        id: number(0)?,
        projector: ProjectorName::stored(column(1)?),
        number: number(2)?,
        definition: Definition {
            form: Form::stored(column(3)?).ok_or_else(broken)?,
            text: column(4)?.to_owned(),
            description: column(5)?.to_owned(),
        },
        created_at: row.time(6).map_err(|error| StorageError::Broken(error.into()))?,
        standing: Standing::stored(column(7)?).ok_or_else(broken)?,
        halt: Some(column(8)?.to_owned()).filter(|halt| !halt.is_empty()),
        progress: progress((
            column(9)?.to_owned(),
            column(10)?.to_owned(),
            column(11)?.to_owned(),
        ))?,
    })
}

/// cursor, orders, the rest as JSON
pub(in crate::storage) fn progress(
    (cursor, orders, told): (String, String, String),
) -> Result<Progress, StorageError> {
    let told = serde_json::from_str(&told).map_err(|error| StorageError::Broken(error.into()))?;
    Ok(Progress { cursor, orders, ..told })
}

/// What is told of it beside its cursor and its orders, as JSON.
pub(in crate::storage) fn told(progress: &Progress) -> Result<String, StorageError> {
    serde_json::to_string(progress).map_err(|error| StorageError::Broken(error.into()))
}
