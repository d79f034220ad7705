//! Rows of revisions as values of the model.

use super::rows::Columns;
use crate::{
    model::{Definition, Form, LogName, Progress, ProjectorName, Revision, Standing, Timestamp},
    storage::{StorageError, projectors::Listed},
};

/// Those of [`revision`], log name, whether somebody holds it
pub(in crate::storage) fn listed(row: &impl Columns) -> Result<Listed, StorageError> {
    let broken = |error: sqlx::Error| StorageError::Broken(error.into());
    Ok(Listed {
        log: LogName::stored(row.text(14).map_err(broken)?),
        held: row.number(15).map_err(broken)? != 0,
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
            number(10)?,
            number(11)?,
            number(12)?,
            column(13)?.to_owned(),
        )),
    })
}

/// cursor, sequence number, recorded, events, ignored
pub(in crate::storage) fn progress(
    (cursor, sequence_number, recorded, events, ignored): (String, i64, i64, i64, String),
) -> Progress {
    let recorded_at = (recorded > 0).then(|| Timestamp::of_stored(recorded));
    Progress { cursor, sequence_number, recorded_at, events, ignored }
}
