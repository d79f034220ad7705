//! Fresh memory stores for the suite.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use everlog::{
    model::{Event, Log},
    storage::{
        Storage,
        memory::{MemoryStore, Shelf},
    },
    testing::{
        StaticClock,
        conformance::{Backdoor, TestStore},
    },
};

pub(crate) async fn open() -> TestStore {
    let clock = Arc::new(StaticClock::default());
    let store = Arc::new(MemoryStore::new(clock.clone()));
    TestStore {
        storage: Storage::new(store.clone()),
        backdoor: Arc::new(ByTheShelf(store)),
        clock,
        keep: Arc::new(()),
    }
}

pub(crate) struct ByTheShelf(pub(crate) Arc<MemoryStore>);

impl ByTheShelf {
    fn shelf<T>(&self, log: &Log, act: impl FnOnce(&mut Shelf) -> T) -> T {
        let shelf = self.0.shelf(log).expect("the log is there");
        act(&mut Mutex::lock(&shelf).unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Backdoor for ByTheShelf {
    async fn insert(&self, log: &Log, event: &Event) -> Result<(), String> {
        self.shelf(log, |shelf| shelf.extend(vec![event.clone()])).map_err(|e| e.to_string())
    }

    async fn events(&self, log: &Log) -> Vec<Event> {
        self.shelf(log, |shelf| shelf.events())
    }
}
