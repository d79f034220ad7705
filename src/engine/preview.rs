//! Runs a definition on events without keeping anything: what each made of its entries, and whether it would be the same
//! if they came one by one.

use std::collections::HashMap;

use super::{
    define::rules,
    ids,
    program::{NoAnswer, Program},
    runner::halt::{Halt, said},
    workers::Workers,
};
pub use crate::projector::definition::Concern;
use crate::{
    model::{Definition, EntryId, Event, Json, ProjectionName, limits::JSON_DEPTH_MAX},
    projector::{Batch, Document, Documents, Rules},
    storage::StorageError,
    worker::frames::{Applied, Fault, Saved},
};

/// Events of one preview.
pub const EVENTS_MAX: usize = 1_000;
/// Bytes of the states that are told.
pub const BYTES_MAX: usize = 8 << 20;
/// Entries that are told of which differ.
const VARIES_MAX: usize = 10;

/// What one event led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Nothing if it was not applied, and why.
    pub concern: Concern,
    /// Its entries after it; nothing where one was deleted.
    pub entries: Vec<(EntryId, Option<Saved>)>,
    pub console: Vec<String>,
    /// CPU time.
    pub micros: u64,
}

/// What a definition makes of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// As far as it came.
    pub steps: Vec<Step>,
    /// What stopped it.
    pub fault: Option<Halt>,
    /// Entries that are others if events come one by one, and from which event on.
    pub varies: Vec<(usize, EntryId)>,
}

/// Why there is none.
#[derive(Debug)]
pub enum PreviewError {
    /// Its states have too many bytes.
    TooLarge,
    /// Nobody is there to run it.
    Unavailable(String),
    Storage(StorageError),
}

/// Runs a definition on events.
pub async fn preview(
    workers: &Workers,
    definition: &Definition,
    events: &[Event],
) -> Result<Preview, PreviewError> {
    let rules = rules(definition).map_err(PreviewError::Storage)?;
    let key = format!("preview:{}", ids::mint());
    let program = Program::script(workers, key, definition, rules.allowance);
    let name = ProjectionName::stored("preview");
    let concern = |event: &Event| match rules.concern(event) {
        Concern::Applied if !rules.source.holds(&event.stream) => Concern::Elsewhere,
        concern => concern,
    };
    let step = |event: &Event| Step {
        concern: concern(event),
        entries: Vec::new(),
        console: Vec::new(),
        micros: 0,
    };
    let mut preview =
        Preview { steps: events.iter().map(step).collect(), fault: None, varies: Vec::new() };
    let is_applied = |index: &usize| preview.steps[*index].concern == Concern::Applied;
    let applied: Vec<usize> = (0..events.len()).filter(is_applied).collect();
    let stage = Stage { program, rules, name, events };
    stage.all_at_once(&applied, &mut preview).await?;
    stage.one_by_one(&applied, &mut preview).await?;
    Ok(preview)
}

/// What is run on what.
struct Stage<'a> {
    program: Program,
    rules: Rules,
    name: ProjectionName,
    events: &'a [Event],
}

impl Stage<'_> {
    /// Runs all events, in as few batches as can be.
    async fn all_at_once(
        &self,
        applied: &[usize],
        preview: &mut Preview,
    ) -> Result<(), PreviewError> {
        let mut documents = Documents::new();
        let (mut rest, mut careful, mut bytes) = (applied, false, 0);
        while let Some(first) = rest.first().copied() {
            let mut batch = Batch::of(rest.iter().map(|index| &self.events[*index]));
            if careful {
                batch.truncate(1);
            }
            let (done, fault) = match self.run(&mut batch, &mut documents).await {
                Ok(done) => done,
                Err(NoAnswer::Unavailable(why)) => return Err(PreviewError::Unavailable(why)),
                // A worker was killed over it: one of them, and which is seen one by one.
                Err(NoAnswer::Fault(_)) if batch.len() > 1 => {
                    careful = true;
                    continue;
                }
                Err(NoAnswer::Fault(fault)) => (Applied::default(), Some(fault)),
            };
            let mut told = 0;
            for traced in done.trace {
                let Some(index) = rest.get(traced.event as usize) else { continue };
                let (step, lines) = (&mut preview.steps[*index], traced.console as usize);
                let console = done.console.get(told..lines).unwrap_or_default();
                step.console.extend(console.iter().cloned());
                told = lines;
                step.micros += traced.micros;
                let saved = traced.saved.as_ref();
                bytes += saved.map_or(0, |saved| saved.state.len() + saved.metadata.len());
                step.entries.extend(batch.id(traced.entry).map(|id| (id, traced.saved)));
            }
            if bytes > BYTES_MAX {
                return Err(PreviewError::TooLarge);
            }
            if let Some(fault) = fault {
                let at = fault.event.and_then(|event| rest.get(event as usize));
                let at = at.copied().unwrap_or(first);
                let step = &mut preview.steps[at];
                step.console.extend(done.console.get(told..).unwrap_or_default().iter().cloned());
                step.entries.clear();
                preview.fault = Some(Halt::of(&self.events[at], fault));
                preview.steps.truncate(at + 1);
                return Ok(());
            }
            rest = &rest[(done.events as usize).min(rest.len())..];
        }
        Ok(())
    }

    /// Runs a batch, once.
    async fn run(
        &self,
        batch: &mut Batch<'_>,
        documents: &mut Documents,
    ) -> Result<(Applied, Option<Fault>), NoAnswer> {
        if self.rules.has_id {
            let located = self.program.locate(batch).await?;
            match located.fault {
                Some(fault) if located.ids.is_empty() => {
                    return Ok((Applied::default(), Some(fault)));
                }
                _ => {}
            }
            if let Err((event, message)) = batch.locate(located.ids) {
                let event = u32::try_from(event).ok();
                return Ok((Applied::default(), Some(Fault { event, ..said(message) })));
            }
        }
        let mut applied = self.program.apply(batch, documents, true).await?;
        if let Some(fault) = applied.fault.take() {
            return Ok((applied, Some(fault)));
        }
        let (events, entries) = (applied.events as usize, std::mem::take(&mut applied.entries));
        match batch.done(events, &self.name, &self.rules, entries, documents) {
            Ok(done) => keep(documents, done),
            // Which event it was is known if it was one.
            Err((_, message)) if batch.len() == 1 => return Ok((applied, Some(said(message)))),
            Err((_, message)) => return Err(NoAnswer::Fault(said(message))),
        }
        Ok((applied, None))
    }

    /// Runs the events again, each by itself, and holds what comes of them against what came before.
    async fn one_by_one(
        &self,
        applied: &[usize],
        preview: &mut Preview,
    ) -> Result<(), PreviewError> {
        let mut documents = Documents::new();
        let end = preview.steps.len() - usize::from(preview.fault.is_some());
        for index in applied.iter().copied().filter(|index| *index < end) {
            let mut batch = Batch::of([&self.events[index]]);
            let mut expected: HashMap<EntryId, Option<Saved>> = HashMap::new();
            expected.extend(preview.steps[index].entries.iter().cloned());
            match self.run(&mut batch, &mut documents).await {
                Ok((_, None)) => {}
                Err(NoAnswer::Unavailable(why)) => return Err(PreviewError::Unavailable(why)),
                // It fails only so.
                Ok((_, Some(_))) | Err(NoAnswer::Fault(_)) => {
                    preview.varies.extend(expected.into_keys().map(|id| (index, id)));
                    return Ok(());
                }
            }
            for (id, saved) in expected {
                let document = documents.get(&id).and_then(Option::as_ref);
                let differs = !is_same(document, saved.as_ref());
                if differs && !preview.varies.iter().any(|(_, known)| *known == id) {
                    preview.varies.push((index, id));
                }
            }
            if preview.varies.len() >= VARIES_MAX {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn keep(documents: &mut Documents, done: Vec<Document>) {
    documents.extend(
        done.into_iter().map(|document| (document.kept.projection.id.clone(), Some(document))),
    );
}

/// Whether a document is what was saved.
fn is_same(document: Option<&Document>, saved: Option<&Saved>) -> bool {
    let live = document.filter(|document| !document.kept.deleted);
    let (Some(document), Some(saved)) = (live, saved) else {
        return live.is_none() && saved.is_none();
    };
    let same = |kept: &Json, text: &str| {
        Json::parse(text, JSON_DEPTH_MAX).is_ok_and(|parsed| parsed == *kept)
    };
    let projection = &document.kept.projection;
    same(&projection.state, &saved.state) && same(&projection.metadata, &saved.metadata)
}
