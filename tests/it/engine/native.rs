//! Projectors in Rust: run by the same runner as those in JavaScript, with the same ends.

use std::{error::Error, sync::Arc};

use everlog::{
    engine::runner::halt::Halt,
    model::{Event, Parked, Revision, Source},
    projector::{Native, Outcome, Projector, Settings, definition::OnError},
    storage::projectors::Put,
    testing::conformance::TestStore,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::projecting::{Scene, on_each_store};

#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    n: u64,
    sum: i64,
}

/// Adds payloads up, by streams.
struct Sums {
    settings: Settings,
    by: i64,
}

impl Projector for Sums {
    type State = Sum;

    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn initial_state(&self) -> Sum {
        Sum { n: 0, sum: 0 }
    }

    fn apply(
        &self,
        state: &mut Sum,
        event: &Event,
    ) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
        let payload: i64 = serde_json::from_str(event.payload.as_str())?;
        assert!(payload < 1_000, "too much");
        if payload == 0 {
            return Ok(Outcome::Delete);
        }
        (state.n, state.sum) = (state.n + 1, state.sum + self.by * payload);
        Ok(Outcome::Keep)
    }

    fn update_metadata(&self, state: &Sum, _: Value, event: &Event) -> Value {
        json!({"last": event.position, "n": state.n})
    }
}

impl Scene {
    async fn run(&self, version: u32, on_error: OnError, by: i64) -> Revision {
        let source = Source::Category(self.category.clone());
        let handlers = vec!["added".to_owned()];
        let settings = Settings { version, on_error, handlers, ..Settings::of(source) };
        let native: Arc<dyn Native> = Arc::new(Sums { settings, by });
        let definition = native.settings().definition();
        self.node.runners.register(self.log.name.clone(), self.projector.clone(), native);
        let projectors = &self.store.storage.projectors;
        let put = projectors.put_projector(&self.log, &self.projector, &definition, false).await;
        self.node.runners.look().await.expect("it looks");
        match put.expect("it is put") {
            Put::New(revision) | Put::Same(revision) => revision,
            Put::Occupied => unreachable!("nobody saves documents"),
        }
    }
}

async fn it_makes_what_a_definition_makes(store: TestStore) {
    let scene = Scene::new(store).await;
    for (stream, payloads) in
        [("a", ["1", "2", "3"]), ("b", ["4", "0", "5"]), ("a", ["6", "7", "8"])]
    {
        scene.publish(stream, "added", &payloads).await;
    }
    scene.publish("a", "other", &["9"]).await;
    let revision = scene.run(1, OnError::Halt, 1).await;
    let done = scene.until(revision.id, |of| of.progress.sequence_number == 10).await;
    assert_eq!((done.progress.events, done.progress.ignored["other"]), (9, 1));
    let native = scene.documents(&revision).await;
    let category = scene.category.to_string();
    let script = scene
        .put(&format!(
            "export default {{ source: {{ category: {category:?} }}, initial_state: {{ n: 0, sum: 0 }},
               handlers: {{ added: (s, {{ payload }}) => payload === 0 ? null : {{ n: s.n + 1, sum: s.sum + payload }} }},
               update_metadata: (s, m, e) => ({{ last: e.position, n: s.n }}) }};"
        ))
        .await;
    scene.until(script.id, |of| of.progress.sequence_number == 10).await;
    let mut scripted = scene.documents(&script).await;
    scripted.iter_mut().for_each(|document| document.name = revision.documents());
    assert_eq!(native, scripted);
    scene.node.tasks.stop();
}

async fn another_version_is_another_revision(store: TestStore) {
    let scene = Scene::new(store).await;
    scene.publish("a", "added", &["1", "2"]).await;
    let first = scene.run(1, OnError::Halt, 1).await;
    scene.until(first.id, |of| of.progress.events == 2).await;
    assert_eq!(scene.run(1, OnError::Halt, 1).await.id, first.id);
    let second = scene.run(2, OnError::Halt, 10).await;
    scene.until(second.id, |of| of.progress.events == 2).await;
    let state = |found: Vec<everlog::model::Projection>| found[0].state.to_string();
    assert_eq!(state(scene.documents(&first).await), "{\"n\":2,\"sum\":3}");
    assert_eq!(state(scene.documents(&second).await), "{\"n\":2,\"sum\":30}");
    scene.node.tasks.stop();
}

async fn a_panic_is_the_fault_of_its_event(store: TestStore) {
    let scene = Scene::new(store).await;
    scene.publish("a", "added", &["1", "5000"]).await;
    scene.publish("b", "added", &["2", "\"x\""]).await;
    let revision = scene.run(1, OnError::Halt, 1).await;
    let halted = scene.until(revision.id, |of| of.halt.is_some()).await;
    let halt: Halt = serde_json::from_str(&halted.halt.expect("it is halted")).expect("JSON");
    assert_eq!((halt.event.sequence_number, halt.message.as_str()), (2, "it panicked: too much"));
    let revision = scene.run(2, OnError::Park, 1).await;
    scene.until(revision.id, |of| of.progress.parked == Parked { ids: 2, events: 2 }).await;
    scene.node.tasks.stop();
}

on_each_store!(
    it_makes_what_a_definition_makes,
    another_version_is_another_revision,
    a_panic_is_the_fault_of_its_event
);
