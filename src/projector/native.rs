//! Projectors in Rust, for programs that this library is part of.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    batch::{Batch, Documents},
    definition::{Activate, MissingHandler, OnError},
};
use crate::{
    model::{Definition, EntryId, Event, Form, Source},
    worker::frames::{Applied, Description, Fault, Located, Saved},
};

/// Reduces events to entries, as a definition in JavaScript does: the same place in the log, the same transaction, the
/// same revisions and faults.
///
/// It must be pure: an event is applied again whenever an entry is built again, and what it makes of a state must depend
/// on the two alone. A panic is the event's fault.
pub trait Projector: Send + Sync + 'static {
    /// An entry's state, kept as JSON.
    type State: Serialize + DeserializeOwned;

    /// What it reads, and by which rules.
    fn settings(&self) -> Settings;

    /// What an entry begins with.
    fn initial_state(&self) -> Self::State;

    /// Applies an event to an entry.
    fn apply(
        &self,
        state: &mut Self::State,
        event: &Event,
    ) -> Result<Outcome, Box<dyn Error + Send + Sync>>;

    /// The entries that an event is of, by their ids, if the settings say that it gives them.
    fn ids(&self, event: &Event) -> Vec<String> {
        vec![event.stream.stream.to_string()]
    }

    /// An entry's metadata after an event; by default as it was.
    fn update_metadata(&self, state: &Self::State, metadata: Value, event: &Event) -> Value {
        let _ = (state, event);
        metadata
    }
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its state is kept.
    Keep,
    /// It is deleted; the next event begins anew.
    Delete,
}

/// What a projector reads, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Another version is another revision, and is built from the first event on.
    pub version: u32,
    pub source: Source,
    /// The names of the events that it takes; none: all.
    pub handlers: Vec<String>,
    /// Whether `ids` gives the entries of an event; else it is of one, that of its stream.
    pub gives_ids: bool,
    pub missing_handler: MissingHandler,
    pub on_error: OnError,
    pub activate: Activate,
}

impl Settings {
    /// The first version, which takes all events of a source.
    #[must_use]
    pub fn of(source: Source) -> Self {
        Self {
            version: 1,
            source,
            handlers: Vec::new(),
            gives_ids: false,
            missing_handler: MissingHandler::default(),
            on_error: OnError::default(),
            activate: Activate::default(),
        }
    }

    /// As it is kept and told.
    #[must_use]
    pub fn definition(&self) -> Definition {
        let source = match &self.source {
            Source::Log => json!({ "log": true }),
            Source::Category(category) => json!({ "category": category.as_str() }),
            Source::Stream(key) => {
                json!({ "category": key.category.as_str(), "stream": key.stream.as_str() })
            }
        };
        let plain = json!({
            "source": source, "missing_handler": self.missing_handler, "on_error": self.on_error,
            "activate": self.activate,
        });
        let description = Description {
            plain: plain.to_string(),
            handlers: self.handlers.clone(),
            any: self.handlers.is_empty(),
            has_id: self.gives_ids,
        };
        let description = json!(description).to_string();
        Definition { form: Form::Native, text: self.version.to_string(), description }
    }
}

/// A projector whose state is nobody else's business.
pub trait Native: Send + Sync {
    fn settings(&self) -> Settings;
    /// The ids of the events of a batch.
    fn locate(&self, batch: &Batch<'_>) -> Located;
    /// What the events of a batch make of documents.
    fn apply(&self, batch: &Batch<'_>, documents: &Documents) -> Applied;
}

impl fmt::Debug for dyn Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Native({:?})", self.settings())
    }
}

/// Calls code that is not ours.
fn within<T>(call: impl FnOnce() -> Result<T, Box<dyn Error + Send + Sync>>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("it panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn fault(event: usize, entry: Option<u32>, message: String) -> Fault {
    let event = u32::try_from(event).ok();
    Fault { event, entry, message, stack: String::new(), place: None }
}

impl<P: Projector> Native for P {
    fn settings(&self) -> Settings {
        Projector::settings(self)
    }

    fn locate(&self, batch: &Batch<'_>) -> Located {
        let mut located = Located::default();
        for (index, event) in batch.events().enumerate() {
            match within(|| Ok(self.ids(event))) {
                Ok(mut ids) => {
                    ids.sort_unstable();
                    ids.dedup();
                    located.ids.push(ids);
                }
                Err(message) => {
                    located.fault = Some(fault(index, None, message));
                    break;
                }
            }
        }
        located
    }

    fn apply(&self, batch: &Batch<'_>, documents: &Documents) -> Applied {
        let places: BTreeMap<&EntryId, u32> = batch.order().into_iter().zip(0..).collect();
        let mut live: BTreeMap<&EntryId, Option<(P::State, Value)>> = BTreeMap::new();
        let mut applied = Applied::default();
        for (index, event) in batch.events().enumerate() {
            for id in batch.ids_of(index) {
                let done = within(|| {
                    let held = match live.remove(id) {
                        Some(held) => held,
                        None => documents
                            .get(id)
                            .and_then(Option::as_ref)
                            .and_then(|document| document.texts())
                            .map(|(state, metadata)| {
                                Ok::<_, serde_json::Error>((
                                    serde_json::from_str(state)?,
                                    serde_json::from_str(metadata)?,
                                ))
                            })
                            .transpose()?,
                    };
                    let (mut state, metadata) =
                        held.unwrap_or_else(|| (self.initial_state(), json!({})));
                    let outcome = Projector::apply(self, &mut state, event)?;
                    Ok(match outcome {
                        Outcome::Delete => None,
                        Outcome::Keep => {
                            let metadata = self.update_metadata(&state, metadata, event);
                            Some((state, metadata))
                        }
                    })
                });
                match done {
                    Ok(held) => drop(live.insert(id, held)),
                    Err(message) => {
                        let fault = fault(index, places.get(id).copied(), message);
                        return Applied { fault: Some(fault), ..Applied::default() };
                    }
                }
            }
            applied.events += 1;
        }
        for (id, held) in live {
            let Some(place) = places.get(id).copied() else { continue };
            let saved = held.map(|(state, metadata)| {
                let (state, metadata) = (serde_json::to_string(&state)?, metadata.to_string());
                Ok::<_, serde_json::Error>(Saved { state, metadata })
            });
            match saved.transpose() {
                Ok(saved) => applied.entries.push((place, saved)),
                Err(error) => {
                    let mut fault = fault(0, Some(place), format!("its state is no JSON: {error}"));
                    fault.event = fault.event.filter(|_| batch.len() == 1);
                    return Applied { fault: Some(fault), ..Applied::default() };
                }
            }
        }
        applied
    }
}
