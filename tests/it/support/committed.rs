//! A store behind the committers, as the service has it: what every publish really goes through.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use everlog::{
    engine::{
        hub::Hubs,
        publish::{PublishError, Publisher},
        tasks::Tasks,
    },
    model::{Event, Lane, Log, Publish, StreamKey},
    storage::{AppendError, End, Events, Known, Outcome, Storage, StorageError, View, heads},
    testing::conformance::TestStore,
};
use futures_util::{StreamExt, future::join_all};
use uuid::Uuid;

struct Committed {
    storage: Storage,
    publisher: Publisher,
}

/// The store with its appends through committers.
pub(crate) fn committed(store: TestStore) -> TestStore {
    committed_within(store, Duration::from_secs(10))
}

/// With a deadline of its own for each publish.
pub(crate) fn committed_within(store: TestStore, patience: Duration) -> TestStore {
    let storage = store.storage.clone();
    let tasks = Tasks::default();
    let hubs = Hubs::new(storage.clone(), tasks.clone());
    let publisher =
        Publisher::new(storage.clone(), store.clock.clone(), hubs, tasks).with_patience(patience);
    let events = Arc::new(Committed { storage: storage.clone(), publisher });
    TestStore { storage: Storage { events, ..storage }, ..store }
}

#[async_trait]
impl Events for Committed {
    async fn view(&self, log: &Log) -> Result<Box<dyn View>, StorageError> {
        self.storage.events.view(log).await
    }

    /// Each publish is queued for itself, in order.
    async fn append(&self, log: &Log, batch: &[Publish]) -> Result<Vec<Outcome>, AppendError> {
        let log = Arc::new(log.clone());
        let publish = |publish: &Publish| self.publisher.publish(&log, publish.clone());
        let answers = if batch.iter().all(|publish| heads::lane_of(&log, publish).is_some()) {
            join_all(batch.iter().map(publish)).await
        } else {
            // Those of several lanes go each by itself.
            futures_util::stream::iter(batch).then(publish).collect().await
        };
        let outcome = |answer| match answer {
            Ok(ack) => Ok(Ok(ack)),
            Err(PublishError::Refused(refusal)) => Ok(Err(*refusal)),
            Err(PublishError::Storage(error)) => Err(AppendError::from(error)),
        };
        answers.into_iter().map(outcome).collect()
    }

    async fn ends(&self, lanes: &[(i64, Lane)]) -> Result<Vec<End>, StorageError> {
        self.storage.events.ends(lanes).await
    }

    async fn look(
        &self,
        log: &Log,
        streams: &[StreamKey],
        ids: &[Uuid],
    ) -> Result<Known, StorageError> {
        self.storage.events.look(log, streams, ids).await
    }

    async fn extend(
        &self,
        log: &Log,
        lane: Lane,
        end: End,
        events: &[Event],
    ) -> Result<bool, StorageError> {
        self.storage.events.extend(log, lane, end, events).await
    }
}

pub(crate) mod memory {
    pub(crate) async fn open() -> super::TestStore {
        super::committed(crate::support::memory::open().await)
    }
}

pub(crate) mod postgres {
    pub(crate) async fn open() -> super::TestStore {
        super::committed(crate::support::postgres::open().await)
    }
}

pub(crate) mod sqlite {
    pub(crate) async fn open() -> super::TestStore {
        super::committed(crate::support::sqlite::open().await)
    }
}
