//! Reads the definition of a projector: a worker loads it, and what it says is held against the rules.

use super::workers::{WorkerError, Workers};
pub use crate::worker::frames::Complaint;
use crate::{
    model::{Definition, Form},
    projector::{Rules, definition::usual},
    storage::StorageError,
    worker::frames::{Description, Reply, Request, Work},
};

/// Why a definition was not taken.
#[derive(Debug)]
pub enum DefineError {
    /// It is none.
    Refused(Vec<Complaint>),
    /// Nobody could tell.
    Failed(StorageError),
}

/// Handlers of a definition, and bytes of what it says beside its code.
const HANDLERS_MAX: usize = 1_000;
const DESCRIPTION_BYTES_MAX: usize = 128 << 10;
/// Complaints that are told of one, and bytes of each.
const COMPLAINTS_MAX: usize = 32;
const COMPLAINT_BYTES: usize = 2 << 10;

/// The definition that a text is.
pub async fn define(
    workers: &Workers,
    form: Form,
    text: String,
) -> Result<Definition, DefineError> {
    let description = describe(workers, form, &text).await?;
    if description.handlers.len() > HANDLERS_MAX {
        let message = format!("it has {} handlers of {HANDLERS_MAX}", description.handlers.len());
        let pointer = "/handlers".to_owned();
        return Err(DefineError::Refused(vec![Complaint { pointer, message, place: None }]));
    }
    Rules::read(&description).map_err(|fault| {
        let (pointer, message) = (fault.pointer, fault.detail);
        DefineError::Refused(vec![Complaint { pointer, message, place: None }])
    })?;
    let description = serde_json::to_string(&description)
        .map_err(|error| DefineError::Failed(StorageError::Broken(error.into())))?;
    if description.len() > DESCRIPTION_BYTES_MAX {
        let message =
            format!("its names and settings have more than {DESCRIPTION_BYTES_MAX} bytes");
        let complaint = Complaint { pointer: String::new(), message, place: None };
        return Err(DefineError::Refused(vec![complaint]));
    }
    Ok(Definition { form, text, description })
}

async fn describe(workers: &Workers, form: Form, text: &str) -> Result<Description, DefineError> {
    let key = format!("{}:{text}", form.word());
    let request = Request {
        key: &key,
        is_module: form == Form::Module,
        definition: text,
        allowance: usual(),
        work: Work::Describe,
    };
    match workers.ask(&request).await {
        Ok(Reply::Described(description)) => Ok(description),
        Ok(Reply::Refused(mut complaints)) => {
            complaints.truncate(COMPLAINTS_MAX);
            for Complaint { pointer, message, .. } in &mut complaints {
                pointer.truncate(pointer.floor_char_boundary(COMPLAINT_BYTES));
                message.truncate(message.floor_char_boundary(COMPLAINT_BYTES));
            }
            Err(DefineError::Refused(complaints))
        }
        Ok(_) => {
            let broken = StorageError::broken("a worker answers something else");
            Err(DefineError::Failed(broken))
        }
        Err(error @ (WorkerError::Stuck(_) | WorkerError::Ended(_))) => {
            let message = format!("it cannot be loaded: {error}");
            let complaint = Complaint { pointer: String::new(), message, place: None };
            Err(DefineError::Refused(vec![complaint]))
        }
        Err(error @ WorkerError::Unavailable(_)) => {
            Err(DefineError::Failed(StorageError::Unavailable(error.into())))
        }
    }
}

/// The rules of a definition that is kept.
pub fn rules(definition: &Definition) -> Result<Rules, StorageError> {
    let description = serde_json::from_str(&definition.description)
        .map_err(|error| StorageError::Broken(error.into()))?;
    Rules::read(&description).map_err(|fault| StorageError::broken(fault.detail))
}
