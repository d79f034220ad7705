//! What a batch of events makes of documents.
//!
//! What comes of an event depends on the state that it meets, as it was kept, and on nothing else: neither on how many
//! events came at once nor on who was asked.

use std::collections::HashMap;

use super::definition::Rules;
use crate::{
    model::{
        EntryId, Event, Json, Projection, ProjectionName, Source, event_text::write_event,
        limits::JSON_DEPTH_MAX,
    },
    storage::projections::Kept,
    worker::frames::{Entry, Given, Saved, Work},
};

/// A document between batches: as it is kept, and as a worker is given it.
#[derive(Debug, Clone)]
pub struct Document {
    pub kept: Kept,
    state: String,
    metadata: String,
}

impl Document {
    #[must_use]
    pub fn of(kept: Kept) -> Self {
        let (state, metadata) =
            (kept.projection.state.to_string(), kept.projection.metadata.to_string());
        Self { kept, state, metadata }
    }

    /// Its state and its metadata; nothing if it is deleted.
    #[must_use]
    pub fn texts(&self) -> Option<(&str, &str)> {
        (!self.kept.deleted).then_some((self.state.as_str(), self.metadata.as_str()))
    }

    /// About the bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        2 * (self.state.len() + self.metadata.len()) + 512
    }
}

/// Documents by their ids. Nothing stands for one that was looked for and is not there.
pub type Documents = HashMap<EntryId, Option<Document>>;

/// Events that are to be applied, each with its text and the ids of its documents.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    events: Vec<(&'a Event, String, Vec<EntryId>)>,
    /// Whether the ids are known.
    located: bool,
    /// Events, by their index, that are not applied to these documents now.
    aside: Vec<(usize, EntryId)>,
}

impl<'a> Batch<'a> {
    /// These events; their documents are those of their streams.
    pub fn of(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let one = |event: &'a Event| {
            let mut text = String::with_capacity(event.bytes());
            write_event(&mut text, event);
            (event, text, vec![EntryId::stored(event.stream.stream.shared())])
        };
        let events = events.into_iter().map(one).collect();
        Self { events, located: false, aside: Vec::new() }
    }

    /// These events, of one document.
    pub fn of_entry(events: impl IntoIterator<Item = &'a Event>, id: &EntryId) -> Self {
        let mut batch = Self::of(events);
        batch.events.iter_mut().for_each(|event| event.2 = vec![id.clone()]);
        Self { located: true, ..batch }
    }

    /// Whether it is known which documents the events are of.
    #[must_use]
    pub fn is_located(&self) -> bool {
        self.located
    }

    /// Leaves out what is not to be applied now: all ids are known, and each is judged.
    pub fn set_aside(&mut self, waits: impl Fn(&Event, &EntryId) -> bool) {
        self.located = true;
        for (index, (event, _, ids)) in self.events.iter_mut().enumerate() {
            ids.retain(|id| {
                let waits = waits(event, id);
                if waits {
                    self.aside.push((index, id.clone()));
                }
                !waits
            });
        }
    }

    /// What was left out of the first so many events.
    pub fn aside(&self, count: usize) -> impl Iterator<Item = (&'a Event, &EntryId)> {
        let aside = self.aside.iter().filter(move |(index, _)| *index < count);
        aside.filter_map(|(index, id)| Some((self.event(*index)?, id)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &'a Event> {
        self.events.iter().map(|(event, ..)| *event)
    }

    /// The event at an index.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<&'a Event> {
        self.events.get(index).map(|(event, ..)| *event)
    }

    /// Keeps so many, the first.
    pub fn truncate(&mut self, count: usize) {
        self.events.truncate(count);
    }

    /// The ids of events in other documents than their streams'. A text that is no id, and whose event it was of.
    pub fn locate(&mut self, ids: Vec<Vec<String>>) -> Result<(), (usize, String)> {
        self.events.truncate(ids.len());
        for (index, (ids, event)) in ids.into_iter().zip(&mut self.events).enumerate() {
            let ids = ids.into_iter().map(|text| {
                text.parse().map_err(|fault| (index, format!("`id` gave {text:?}: {fault}")))
            });
            event.2 = ids.collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// The ids of an event.
    #[must_use]
    pub fn ids_of(&self, index: usize) -> &[EntryId] {
        self.events.get(index).map_or(&[], |(_, _, ids)| ids)
    }

    /// The document that a worker calls by a number.
    #[must_use]
    pub fn id(&self, entry: u32) -> Option<EntryId> {
        self.order().get(entry as usize).map(|id| (*id).clone())
    }

    /// What a worker is asked for the ids.
    #[must_use]
    pub fn where_to(&self) -> Work<'_> {
        Work::Locate { events: self.given(&HashMap::new()) }
    }

    /// All documents that are touched.
    pub fn ids(&self) -> impl Iterator<Item = &EntryId> {
        self.events.iter().flat_map(|(_, _, ids)| ids)
    }

    /// The documents, in the order in which a worker is told of them.
    #[must_use]
    pub fn order(&self) -> Vec<&EntryId> {
        let mut ids: Vec<&EntryId> = self.ids().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn given(&self, places: &HashMap<&EntryId, u32>) -> Vec<Given<'_>> {
        self.events
            .iter()
            .map(|(event, text, ids)| Given {
                name: event.name.as_str(),
                json: text,
                entries: ids.iter().filter_map(|id| places.get(id).copied()).collect(),
            })
            .collect()
    }

    /// What a worker is asked to make of the events.
    #[must_use]
    pub fn work<'b>(&'b self, documents: &'b Documents, traced: bool) -> Work<'b> {
        let order = self.order();
        let entries = order.iter().map(|id| {
            let texts = documents.get(id).and_then(|document| document.as_ref()?.texts());
            Entry { state: texts.map(|(state, _)| state), metadata: texts.map(|(_, of)| of) }
        });
        let entries = entries.collect();
        let places = order.into_iter().zip(0..).collect();
        Work::Apply { entries, events: self.given(&places), traced }
    }

    /// What became of documents, of what a worker answered that applied so many of the events. A state that cannot be
    /// kept is a fault, in words.
    pub fn done(
        &self,
        count: usize,
        name: &ProjectionName,
        rules: &Rules,
        entries: Vec<(u32, Option<Saved>)>,
        documents: &Documents,
    ) -> Result<Vec<Document>, (EntryId, String)> {
        // The places in an answer are those of the question.
        let order = self.order();
        let mut applied: HashMap<&EntryId, Vec<&Event>> = HashMap::new();
        for (event, _, ids) in self.events.iter().take(count) {
            ids.iter().for_each(|id| applied.entry(id).or_default().push(event));
        }
        let mut done = Vec::with_capacity(entries.len());
        for (place, saved) in entries {
            let Some(id) = order.get(place as usize).copied() else { continue };
            let events = applied.get(id).map(Vec::as_slice).unwrap_or_default();
            let before = documents.get(id).and_then(Option::as_ref).map(|document| &document.kept);
            let document = document(name, id, rules, events, before, saved.as_ref());
            done.extend(document.map_err(|fault| (id.clone(), fault))?);
        }
        Ok(done)
    }
}

/// A document after events.
fn document(
    name: &ProjectionName,
    id: &EntryId,
    rules: &Rules,
    events: &[&Event],
    before: Option<&Kept>,
    saved: Option<&Saved>,
) -> Result<Option<Document>, String> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(None) };
    let json = |text: &str, what: &str| {
        Json::parse(text, JSON_DEPTH_MAX).map_err(|fault| {
            format!("the {what} cannot be kept: {} at {:?}", fault.kind, fault.pointer)
        })
    };
    let (state, metadata) = match saved {
        Some(saved) => (json(&saved.state, "state")?, json(&saved.metadata, "metadata")?),
        None => (Json::Null, Json::Null),
    };
    let before = before.map(|kept| &kept.projection);
    let source = || match (&rules.source, rules.has_id) {
        (source, true) => source.clone(),
        (_, false) => Source::Stream(first.stream.clone()),
    };
    let applied = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let projection = Projection {
        name: name.clone(),
        id: id.clone(),
        source: before.map_or_else(source, |before| before.source.clone()),
        state,
        metadata,
        version: before.map_or(0, |before| before.version) + applied,
        sequence_number: Some(last.sequence_number),
        created_at: before.map_or(first.recorded_at, |before| before.created_at),
        updated_at: last.recorded_at,
    };
    Ok(Some(Document::of(Kept { projection, change: 0, deleted: saved.is_none() })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        testing::{NewEventBuilder, random},
        worker::frames::Description,
    };

    fn event(stream: &str, sequence_number: i64) -> Event {
        let new = NewEventBuilder::new().build();
        let at = crate::model::Timestamp::of_stored(1_700_000_000_000_000 + sequence_number);
        let mut key = random::stream();
        key.stream = crate::model::StreamName::stored(stream);
        Event {
            id: new.id,
            name: new.name,
            payload: new.payload,
            metadata: new.metadata,
            occurred_at: at,
            observed_at: at,
            recorded_at: at,
            stream: key,
            position: 0,
            sequence_number,
        }
    }

    /// A worker whose time is over has touched some of the entries that it was given.
    #[test]
    fn a_part_of_an_answer_is_of_the_entries_that_were_asked() {
        let plain = r#"{"source":{"log":true}}"#.to_owned();
        let description = Description { plain, any: true, ..Description::default() };
        let rules = Rules::read(&description).expect("it is a definition");
        let events = [event("b", 1), event("c", 2), event("a", 3)];
        let batch = Batch::of(&events);
        let saved =
            |state: &str| Some(Saved { state: state.to_owned(), metadata: "null".to_owned() });
        // In the order of a, b, c.
        let entries = vec![(1, saved("\"of b\"")), (2, saved("\"of c\""))];
        let name = ProjectionName::stored("any");
        let done = batch.done(2, &name, &rules, entries, &Documents::new());
        let done: Vec<String> = done
            .expect("they can be kept")
            .iter()
            .map(|of| format!("{} {}", of.kept.projection.id, of.kept.projection.state))
            .collect();
        assert_eq!(done, ["b \"of b\"", "c \"of c\""]);
    }
}
