//! What applies events to documents: the code of a definition, in a worker, or a projector in Rust.

use std::sync::Arc;

use super::{
    runner::halt::said,
    workers::{WorkerError, Workers},
};
use crate::{
    model::{Definition, Form},
    projector::{Batch, Documents, native::Native},
    worker::frames::{Allowance, Applied, Fault, Located, Reply, Request, Work},
};

/// A program that applies events.
#[derive(Debug, Clone)]
pub(super) enum Program {
    Script(Script),
    Native(Arc<dyn Native>),
}

/// The code of a definition.
#[derive(Debug, Clone)]
pub(super) struct Script {
    workers: Workers,
    key: String,
    form: Form,
    text: Arc<str>,
    allowance: Allowance,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It is the fault of what was asked.
    Fault(Fault),
    /// Nobody is there to ask.
    Unavailable(String),
}

impl Program {
    /// The code of a definition; those with one key are the same.
    pub(super) fn script(
        workers: &Workers,
        key: String,
        definition: &Definition,
        allowance: Allowance,
    ) -> Self {
        Self::Script(Script {
            workers: workers.clone(),
            key,
            form: definition.form,
            text: definition.text.as_str().into(),
            allowance,
        })
    }

    /// The ids of events.
    pub(super) async fn locate(&self, batch: &Batch<'_>) -> Result<Located, NoAnswer> {
        match self {
            Self::Native(native) => Ok(native.locate(batch)),
            Self::Script(script) => match script.ask(batch.where_to()).await? {
                Reply::Located(located) => Ok(located),
                _ => Err(something_else()),
            },
        }
    }

    /// What events make of documents.
    pub(super) async fn apply(
        &self,
        batch: &Batch<'_>,
        documents: &Documents,
        traced: bool,
    ) -> Result<Applied, NoAnswer> {
        match self {
            Self::Native(native) => Ok(native.apply(batch, documents)),
            Self::Script(script) => match script.ask(batch.work(documents, traced)).await? {
                Reply::Applied(applied) => Ok(applied),
                _ => Err(something_else()),
            },
        }
    }
}

fn something_else() -> NoAnswer {
    NoAnswer::Fault(said("the worker answers something else"))
}

impl Script {
    /// Asks a worker; what it did wrong, or came to grief by, is the fault of what was asked.
    async fn ask(&self, work: Work<'_>) -> Result<Reply, NoAnswer> {
        let request = Request {
            key: &self.key,
            is_module: self.form == Form::Module,
            definition: &self.text,
            allowance: self.allowance,
            work,
        };
        match self.workers.ask(&request).await {
            Ok(Reply::Refused(complaints)) => {
                let first = complaints.into_iter().next();
                let message = first.map_or_else(String::new, |complaint| complaint.message);
                let message = format!("the definition cannot be loaded any more: {message}");
                Err(NoAnswer::Fault(said(message)))
            }
            Ok(reply) => Ok(reply),
            Err(error @ (WorkerError::Stuck(_) | WorkerError::Ended(_))) => {
                Err(NoAnswer::Fault(said(error.to_string())))
            }
            Err(error @ WorkerError::Unavailable(_)) => {
                Err(NoAnswer::Unavailable(error.to_string()))
            }
        }
    }
}
