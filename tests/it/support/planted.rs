//! A memory store that breaks one promise, to see that the suite notices.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use everlog::{
    auth::{ApiKey, Ticket},
    model::{
        CategoryName, Event, Lane, Log, LogName, LogSettings, Publish, Source, StreamKey,
        StreamName, Timestamp, condition::Facts,
    },
    storage::{
        AppendError, End, Events, Health, Known, Listing, Logs, Outcome, PutLogError, Refusal,
        Span, Storage, StorageError, Tip, Usage, View, keys::Keys, memory::MemoryStore,
    },
    testing::{NewEventBuilder, PublishBuilder, StaticClock, conformance::TestStore, random},
};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::memory::ByTheShelf;

/// The promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    Nothing,
    /// Conditions are not judged.
    ForgetsConditions,
    /// Two judge before either writes.
    JudgesTooEarly,
    /// Stored ids are given new ones instead of being found.
    DoublesReplays,
    /// The first stream of a publish is written before the conditions are judged.
    TearsPublishesApart,
    /// A refused publish takes a number.
    NumbersTheRefused,
    /// The last event of a longer publish is acknowledged and cannot be read.
    LosesTheLast,
    /// Readers see an event before its predecessor, as if that were committed later.
    ShowsThePredecessorLate,
    /// Every second row of a fetch is left out.
    SkipsRows,
    /// All logs are one.
    MixesLogs,
    /// Payloads are parsed and printed.
    PrintsPayloads,
    /// A category gives the events of all.
    MixesCategories,
    /// A condition is refused for what was true when this process last wrote.
    RefusesFromMemory,
    /// What is written in one step to positions that are taken goes to the next free ones.
    MovesWhatIsTaken,
    /// Documents are saved whatever guards them.
    ForgetsGuards,
    /// The second document of what is read is left out.
    SkipsDocuments,
    /// An index is read before all documents are in it.
    ServesHalfBuilt,
    /// An index lacks rows.
    SkipsKeys,
    /// Documents are ordered as people do, whose alphabets have one case.
    OrdersByLocale,
    /// A key that was revoked is good again.
    ForgetsRevocations,
    /// All numbers of documents are floats.
    RoundsIntegers,
}

pub(crate) fn open(plant: Plant) -> TestStore {
    let clock = Arc::new(StaticClock::default());
    over(&Arc::new(MemoryStore::new(clock.clone())), &clock, plant)
}

/// Two processes on one store.
pub(crate) fn two(plant: Plant) -> (TestStore, TestStore) {
    let clock = Arc::new(StaticClock::default());
    let inner = Arc::new(MemoryStore::new(clock.clone()));
    (over(&inner, &clock, plant), over(&inner, &clock, plant))
}

fn over(inner: &Arc<MemoryStore>, clock: &Arc<StaticClock>, plant: Plant) -> TestStore {
    let both = Barrier::new(2);
    let (first, believed) = (Mutex::default(), Mutex::default());
    let planted = Arc::new(Planted { inner: inner.clone(), plant, both, first, believed });
    let storage = Storage {
        logs: planted.clone(),
        events: planted.clone(),
        projections: planted.clone(),
        projectors: inner.clone(),
        keys: planted.clone(),
        health: planted,
    };
    TestStore {
        storage,
        backdoor: Arc::new(ByTheShelf(inner.clone())),
        clock: clock.clone(),
        keep: Arc::new(()),
    }
}

pub(super) struct Planted {
    pub(super) inner: Arc<MemoryStore>,
    pub(super) plant: Plant,
    both: Barrier,
    /// The first log that was used.
    first: Mutex<Option<Log>>,
    /// The position that each stream had when it was last written to.
    believed: Mutex<Facts>,
}

impl Planted {
    pub(super) fn log(&self, log: &Log) -> Log {
        if self.plant != Plant::MixesLogs {
            return log.clone();
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| log.clone()).clone()
    }

    /// Whether the conditions on positions hold now.
    async fn judge(&self, log: &Log, publish: &Publish) -> Result<bool, StorageError> {
        let streams: Vec<StreamKey> = publish.writes.iter().map(|w| w.stream.clone()).collect();
        let mut view = self.inner.view(log).await?;
        let mut facts = Facts::default();
        facts.positions.extend(view.positions(&streams).await?);
        Ok(publish.conditions.iter().all(|condition| condition.judge(&facts).is_empty()))
    }

    fn believe<'a>(&self, events: impl IntoIterator<Item = &'a Event>) {
        let mut believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            believed.positions.insert(event.stream.clone(), event.position);
        }
    }

    /// Whether it is refused without a look.
    fn refused(&self, publish: &Publish) -> Option<Refusal> {
        let believed = self.believed.lock().unwrap_or_else(PoisonError::into_inner);
        let position = believed.positions.get(&publish.writes.first()?.stream).copied()?;
        let failed: Vec<_> = publish.conditions.iter().flat_map(|c| c.judge(&believed)).collect();
        let refused = self.plant == Plant::RefusesFromMemory && !failed.is_empty();
        refused.then_some(Refusal::ConditionFailed { failed, position: Some(position) })
    }

    /// The batch as the plant would have it.
    async fn spoiled(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Publish>, StorageError> {
        let mut batch = batch.to_vec();
        for publish in &mut batch {
            match self.plant {
                Plant::ForgetsConditions => publish.conditions.clear(),
                Plant::JudgesTooEarly if !publish.conditions.is_empty() => {
                    let holds = self.judge(log, publish).await?;
                    self.both.wait().await;
                    if holds {
                        publish.conditions.clear();
                    }
                }
                Plant::DoublesReplays => {
                    let ids: Vec<Uuid> = publish.events().map(|event| event.id).collect();
                    let stored = self.inner.view(log).await?.with_ids(&ids).await?;
                    let events = publish.writes.iter_mut().flat_map(|write| &mut write.events);
                    for event in events.filter(|new| stored.iter().any(|e| e.id == new.id)) {
                        event.id = random::id();
                    }
                }
                Plant::TearsPublishesApart if publish.writes.len() > 1 => {
                    let early = PublishBuilder::new().with_write(publish.writes.remove(0)).build();
                    self.inner.append(log, &[early]).await?;
                }
                _ => {}
            }
        }
        Ok(batch)
    }
}

#[async_trait]
impl Events for Planted {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        let view = self.inner.view(&self.log(log)).await?;
        Ok(Box::new(PlantedView { view, log: log.clone(), plant: self.plant }))
    }

    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let log = self.log(log);
        let batch = self.spoiled(&log, batch).await?;
        if let [publish] = batch.as_slice()
            && let Some(refusal) = self.refused(publish)
        {
            return Ok(vec![Err(refusal)]);
        }
        let outcomes = self.inner.append(&log, &batch).await?;
        self.believe(outcomes.iter().flatten().flat_map(|ack| &ack.writes).flat_map(|w| &w.events));
        if self.plant == Plant::NumbersTheRefused && outcomes.iter().any(Result::is_err) {
            let filler = NewEventBuilder::new().build();
            let filler = PublishBuilder::of(&random::stream(), filler).build();
            self.inner.append(&log, &[filler]).await?;
        }
        Ok(outcomes)
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        self.inner.ends(lanes).await
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        self.inner.look(&self.log(log), streams, ids).await
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        let log = self.log(log);
        let mut extended = self.inner.extend(&log, lane, end, events).await?;
        if self.plant == Plant::MovesWhatIsTaken && !extended {
            let mut moved = events.to_vec();
            for event in &mut moved {
                let mut view = self.inner.view(&log).await?;
                let last = view.positions(std::slice::from_ref(&event.stream)).await?;
                event.position += last.first().map_or(0, |(_, position)| position + 1);
            }
            extended = self.inner.extend(&log, lane, end, &moved).await?;
        }
        self.believe(events.iter().filter(|_| extended));
        Ok(extended)
    }
}

struct PlantedView {
    view: Box<dyn View>,
    log: Log,
    plant: Plant,
}

#[async_trait]
impl View for PlantedView {
    async fn rows(&mut self, span: &Span) -> Result<Vec<Event>, StorageError> {
        let span = match (&span.source, self.plant) {
            (Source::Category(_), Plant::MixesCategories) => {
                &Span { source: Source::Log, ..span.clone() }
            }
            _ => span,
        };
        let mut rows = self.view.rows(span).await?;
        let tip = self.view.tip(&Source::Log, span.lane).await?.map_or(0, |tip| tip.n);
        let lanes = self.log.lanes;
        match self.plant {
            Plant::LosesTheLast if tip > 1 => {
                rows.retain(|event| lanes.split(event.sequence_number).1 < tip);
            }
            Plant::ShowsThePredecessorLate => {
                rows.retain(|event| lanes.split(event.sequence_number).1 + 1 != tip);
            }
            Plant::SkipsRows if rows.len() > 2 => {
                rows.remove(1);
            }
            Plant::PrintsPayloads => {
                for row in &mut rows {
                    let value: serde_json::Value =
                        serde_json::from_str(row.payload.as_str()).unwrap_or_default();
                    row.payload = everlog::model::RawJson::stored(value.to_string());
                }
            }
            _ => {}
        }
        Ok(rows)
    }

    async fn tip(&mut self, source: &Source, lane: Lane) -> Result<Option<Tip>, StorageError> {
        self.view.tip(source, lane).await
    }

    async fn positions(
        &mut self,
        streams: &[StreamKey],
    ) -> Result<Vec<(StreamKey, i64)>, StorageError> {
        self.view.positions(streams).await
    }

    async fn with_ids(&mut self, ids: &[Uuid]) -> Result<Vec<Event>, StorageError> {
        self.view.with_ids(ids).await
    }

    async fn categories(&mut self, listing: &Listing) -> Result<Vec<CategoryName>, StorageError> {
        self.view.categories(listing).await
    }

    async fn streams(
        &mut self,
        category: &CategoryName,
        listing: &Listing,
    ) -> Result<Vec<StreamName>, StorageError> {
        self.view.streams(category, listing).await
    }

    async fn count(&mut self, category: &CategoryName) -> Result<i64, StorageError> {
        self.view.count(category).await
    }

    async fn close(self: Box<Self>) {
        self.view.close().await;
    }
}

#[async_trait]
impl Logs for Planted {
    async fn put_log(
        &self,
        settings: &LogSettings,
        fresh: Log,
    ) -> Result<(Log, bool), PutLogError> {
        self.inner.put_log(settings, fresh).await
    }

    async fn log(&self, name: &LogName) -> Result<Option<Log>, StorageError> {
        Logs::log(&*self.inner, name).await
    }

    async fn logs(&self, listing: &Listing) -> Result<Vec<Log>, StorageError> {
        self.inner.logs(listing).await
    }
}

#[async_trait]
impl Keys for Planted {
    async fn add_key(&self, key: &ApiKey) -> Result<(), StorageError> {
        self.inner.add_key(key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StorageError> {
        let mut key = self.inner.key(id).await?;
        if self.plant == Plant::ForgetsRevocations {
            key.iter_mut().for_each(|key| key.revoked_at = None);
        }
        Ok(key)
    }

    async fn keys(&self, after: &str, limit: usize) -> Result<Vec<ApiKey>, StorageError> {
        self.inner.keys(after, limit).await
    }

    async fn revoke_key(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        self.inner.revoke_key(id, at).await
    }

    async fn add_ticket(&self, ticket: &Ticket, before: Timestamp) -> Result<(), StorageError> {
        self.inner.add_ticket(ticket, before).await
    }

    async fn ticket(&self, id: &str) -> Result<Option<Ticket>, StorageError> {
        self.inner.ticket(id).await
    }

    async fn use_ticket(&self, id: &str, at: Timestamp) -> Result<(), StorageError> {
        self.inner.use_ticket(id, at).await
    }
}

#[async_trait]
impl Health for Planted {
    async fn ready(&self) -> Result<(), StorageError> {
        self.inner.ready().await
    }

    fn description(&self) -> String {
        format!("memory, which breaks a promise: {:?}", self.plant)
    }

    async fn usage(&self) -> Result<Usage, StorageError> {
        self.inner.usage().await
    }

    fn outlives_process(&self) -> bool {
        false
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
