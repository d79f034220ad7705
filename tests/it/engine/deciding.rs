//! Events that fail: what waits for a decision, and what comes of it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use everlog::{
    engine::runner::{
        halt::Halt,
        orders::{Order, What},
        parking::{self, EVENTS_MAX, IDS_MAX, Waiting},
    },
    model::{Parked, Revision},
    storage::projectors::{Advance, Put},
    testing::conformance::TestStore,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::projecting::{Scene, node, on_each_store};
use crate::support::{
    memory,
    planted_projectors::{Forgetful, Interrupted, planted},
};

/// How long a control waits for what does not come: so many times as long as it takes to come, and so long at least.
const SLOWER: u32 = 10;
const LEAST: Duration = Duration::from_secs(3);

/// A definition that counts, and fails at what is odd about some payloads.
fn failing(scene: &Scene, fails: &str) -> String {
    let category = scene.category.to_string();
    format!(
        "let tries = 0;
         export default {{ source: {{ category: {category:?} }}, on_error: 'park', initial_state: {{ n: 0 }},
           handlers: {{ added: (s, {{ payload }}) => {{ if ({fails}) throw new Error('odd'); s.n += 1; s.last = payload; }} }} }};"
    )
}

impl Scene {
    /// The states of a revision, in words.
    async fn words(&self, revision: &Revision) -> String {
        let found = self.documents(revision).await;
        let words = found.iter().map(|one| format!("{} {} v{}", one.id, one.state, one.version));
        words.collect::<Vec<_>>().join("; ")
    }

    async fn order(&self, revision: &Revision, what: What) {
        let projectors = &self.store.storage.projectors;
        let told = projectors.halt(revision.id, None, &Order::line(what)).await;
        assert!(told.expect("it is told"));
        self.node.runners.look().await.expect("it looks");
    }

    /// Orders that the event is passed over which an entry waits at.
    async fn skip_parked(&self, revision: &Revision, id: &str) {
        let waiting = self.waiting(revision).await;
        let (_, Waiting { events, .. }) =
            waiting.iter().find(|(of, _)| of == id).expect("it waits");
        self.order(revision, What::SkipParked { id: id.to_owned(), event: events[0] }).await;
    }

    async fn waiting(&self, revision: &Revision) -> Vec<(String, Waiting)> {
        let found = parking::waiting(&self.store.storage, &self.log, revision).await;
        found.expect("they are told").into_iter().map(|(id, of)| (id.to_string(), of)).collect()
    }
}

async fn an_entry_waits_and_others_go_on(store: TestStore) {
    let mut scene = Scene::new(store).await;
    let revision = scene.put(&failing(&scene, "payload < 0")).await;
    scene.publish("a", "added", &["1", "2"]).await;
    scene.publish("b", "added", &["3", "-4", "5"]).await;
    scene.publish("a", "added", &["6"]).await;
    scene.publish("b", "added", &["-7", "8"]).await;
    let waits = |events| move |of: &Revision| of.progress.parked == Parked { ids: 1, events };
    let parked = scene.until(revision.id, waits(4)).await;
    assert_eq!(parked.halt, None);
    let before = "a {\"last\":6,\"n\":3} v3; b {\"last\":3,\"n\":1} v1";
    assert_eq!(scene.words(&revision).await, before);
    let waiting = scene.waiting(&parked).await;
    let (id, Waiting { fault, events }) = &waiting[0];
    assert_eq!((waiting.len(), id.as_str(), events.len()), (1, "b", 4));
    assert_eq!((fault.event.position, fault.event.sequence_number), (1, 4));
    assert!(fault.message.contains("odd") && fault.line.is_some(), "{fault:?}");
    // Whoever runs it next knows what waits.
    scene.node.tasks.stop();
    scene.node = node(&scene.store);
    scene.publish("b", "added", &["9"]).await;
    scene.until(revision.id, waits(5)).await;
    // To retry changes nothing of what is odd.
    scene.order(&revision, What::Retry(None)).await;
    scene.until(revision.id, |of| of.progress.orders.is_empty() && waits(5)(of)).await;
    // What is skipped is passed over, up to the next that is odd.
    scene.skip_parked(&revision, "b").await;
    let parked = scene.until(revision.id, waits(3)).await;
    assert_eq!(
        scene.words(&revision).await,
        "a {\"last\":6,\"n\":3} v3; b {\"last\":5,\"n\":2} v2"
    );
    assert_eq!(scene.waiting(&parked).await[0].1.fault.event.position, 3);
    scene.skip_parked(&revision, "b").await;
    let done = scene.until(revision.id, |of| of.progress.parked == Parked::default()).await;
    let after = "a {\"last\":6,\"n\":3} v3; b {\"last\":9,\"n\":4} v4";
    assert_eq!(scene.words(&revision).await, after);
    assert!(scene.waiting(&done).await.is_empty());
    let skipped = done.progress.skipped.iter();
    let skipped: Vec<_> = skipped.map(|of| (of.sequence_number, of.id.as_deref())).collect();
    assert_eq!(skipped, [(4, Some("b")), (7, Some("b"))]);
    // It goes on as any other.
    scene.publish("b", "added", &["10"]).await;
    scene.until(revision.id, |of| of.progress.sequence_number == 10).await;
    assert!(scene.words(&revision).await.ends_with("b {\"last\":10,\"n\":5} v5"));
    // And what was decided is decided, when it is built again.
    let again = scene.put_again(&failing(&scene, "payload < 0")).await;
    let built = scene.until(again.id, |of| of.progress.sequence_number == 10).await;
    assert_eq!(built.progress.parked, Parked::default());
    assert_eq!(scene.words(&again).await, scene.words(&revision).await);
    scene.node.tasks.stop();
}

async fn what_waits_is_applied_in_its_order_when_it_is_retried(store: TestStore) {
    let scene = Scene::new(store).await;
    // It fails twice: when it comes among others, and alone.
    let revision = scene.put(&failing(&scene, "payload === 2 && tries++ < 2")).await;
    scene.publish("a", "added", &["1", "2", "3"]).await;
    scene.until(revision.id, |of| of.progress.parked == Parked { ids: 1, events: 2 }).await;
    scene.order(&revision, What::Retry(Some("a".to_owned()))).await;
    scene.until(revision.id, |of| of.progress.parked == Parked::default()).await;
    assert_eq!(scene.words(&revision).await, "a {\"last\":3,\"n\":3} v3");
    scene.node.tasks.stop();
}

async fn of_an_event_of_several_entries_only_the_one_that_fails_waits(store: TestStore) {
    let scene = Scene::new(store).await;
    let category = scene.category.to_string();
    let text = format!(
        "export default {{ source: {{ category: {category:?} }}, on_error: 'park', id: (e) => e.payload, initial_state: [],
           handlers: {{ added: (s, e) => {{ if (s.length === 1 && s[0] === 0) throw new Error('odd'); return [...s, e.position]; }} }} }};"
    );
    let revision = scene.put(&text).await;
    scene.publish("s", "added", &[r#"["a"]"#, r#"["a","b"]"#, r#"["b","a"]"#]).await;
    scene.until(revision.id, |of| of.progress.parked == Parked { ids: 1, events: 2 }).await;
    assert_eq!(scene.words(&revision).await, "a [0] v1; b [1,2] v2");
    // An event that has no entry stops all of it.
    scene.publish("s", "added", &["7"]).await;
    let halted = scene.until(revision.id, |of| of.halt.is_some()).await;
    assert!(halted.halt.is_some_and(|halt| halt.contains("`id` gave")));
    scene.node.tasks.stop();
}

async fn an_event_that_halts_is_skipped_once(store: TestStore) {
    let scene = Scene::new(store).await;
    let text = failing(&scene, "payload < 0").replace("'park'", "'halt'");
    let revision = scene.put(&text).await;
    scene.publish("a", "added", &["1", "-2", "3"]).await;
    scene.publish("b", "added", &["-4"]).await;
    let halted = scene.until(revision.id, |of| of.halt.is_some()).await;
    let halt = |revision: &Revision| -> Halt {
        serde_json::from_str(revision.halt.as_deref().expect("it is halted")).expect("JSON")
    };
    assert_eq!(halt(&halted).event.sequence_number, 2);
    scene.order(&revision, What::Skip(halt(&halted).event.id)).await;
    let at = |number: i64| {
        move |of: &Revision| of.halt.is_some() && halt(of).event.sequence_number == number
    };
    let halted = scene.until(revision.id, at(4)).await;
    assert_eq!(scene.words(&revision).await, "a {\"last\":3,\"n\":2} v2");
    assert_eq!((halted.progress.skipped.len(), halted.progress.events), (1, 2));
    // An order about an event that is passed is none.
    scene.order(&revision, What::Skip(halted.progress.skipped[0].event)).await;
    let halted = scene.until(revision.id, at(4)).await;
    scene.order(&revision, What::Skip(halt(&halted).event.id)).await;
    let done = scene.until(revision.id, |of| of.progress.sequence_number == 4).await;
    assert_eq!((done.halt, done.progress.skipped.len()), (None, 2));
    scene.node.tasks.stop();
}

async fn too_many_that_wait_halt_it(store: TestStore) {
    let scene = Scene::new(store).await;
    let revision = scene.put(&failing(&scene, "true")).await;
    for stream in 0..=IDS_MAX {
        scene.publish(&format!("s{stream}"), "added", &["1"]).await;
    }
    let halted = scene.until(revision.id, |of| of.halt.is_some()).await;
    let ids = i64::try_from(IDS_MAX).expect("a number");
    assert_eq!(halted.progress.parked, Parked { ids, events: ids });
    assert!(halted.halt.is_some_and(|halt| halt.contains("1000 entries wait of 1000")));
    scene.node.tasks.stop();
}

async fn too_many_events_of_one_entry_halt_it(store: TestStore) {
    let scene = Scene::new(store).await;
    let revision = scene.put(&failing(&scene, "payload < 0")).await;
    scene.publish("a", "added", &["-1"]).await;
    for _ in 0..=EVENTS_MAX / 1_000 {
        scene.publish("a", "added", &["1"; 1_000]).await;
    }
    let halted = scene.until(revision.id, |of| of.halt.is_some()).await;
    assert!(halted.halt.is_some_and(|halt| halt.contains("1 entries wait")));
    let Parked { ids, events } = halted.progress.parked;
    assert!(ids == 1 && usize::try_from(events).is_ok_and(|events| events >= EVENTS_MAX));
    // Once that is decided it goes on.
    scene.skip_parked(&revision, "a").await;
    let done = scene.until(revision.id, |of| of.progress.parked == Parked::default()).await;
    let end = i64::try_from(EVENTS_MAX + 1_001).expect("a number");
    scene.until(done.id, |of| of.progress.sequence_number == end).await;
    assert_eq!(scene.words(&revision).await, "a {\"last\":1,\"n\":11000} v11000");
    scene.node.tasks.stop();
}

impl Scene {
    /// Has a definition that is there built again.
    async fn put_again(&self, text: &str) -> Revision {
        let revisions =
            self.store.storage.projectors.revisions_of(&self.log, Some(&self.projector));
        let found = revisions.await.expect("they are told");
        let same = found.into_iter().find(|of| of.definition.text == text).expect("it is there");
        let projectors = &self.store.storage.projectors;
        let put =
            projectors.put_projector(&self.log, &self.projector, &same.definition, true).await;
        self.node.runners.kick();
        match put.expect("it is put") {
            Put::New(revision) => revision,
            other => unreachable!("{other:?}"),
        }
    }
}

on_each_store!(
    an_entry_waits_and_others_go_on,
    what_waits_is_applied_in_its_order_when_it_is_retried,
    of_an_event_of_several_entries_only_the_one_that_fails_waits,
    an_event_that_halts_is_skipped_once,
    too_many_that_wait_halt_it,
    too_many_events_of_one_entry_halt_it
);

/// An order is carried out in several commits, the last of which fails.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_and_not_noted_is_skipped_once() {
    let store = memory::open().await;
    let plant = Arc::new(Interrupted::default());
    let storage = planted(&store.storage, plant.clone());
    let scene = Scene::new(TestStore { storage, ..store }).await;
    let slow = "if (payload < 0) throw new Error('odd'); for (let i = 0; i < 1e5; i += 1);";
    let text = failing(&scene, "payload < 0")
        .replace("if (payload < 0) throw new Error('odd');", slow)
        .replace("on_error", "limits: { batch_events: 1 }, on_error");
    let revision = scene.put(&text).await;
    scene.publish("a", "added", &["-1"]).await;
    scene.publish("a", "added", &["1"; 200]).await;
    let waits = |of: &Revision| of.progress.parked == Parked { ids: 1, events: 201 };
    scene.until(revision.id, waits).await;
    scene.skip_parked(&revision, "a").await;
    let done = scene.until(revision.id, |of| of.progress.orders.is_empty()).await;
    assert!(plant.partly.load(Ordering::SeqCst), "all of it was one commit");
    assert_eq!(done.progress.skipped.len(), 1);
    assert_eq!(scene.words(&revision).await, "a {\"last\":1,\"n\":200} v200");
    scene.node.tasks.stop();
}

/// Runs a case on a store of which something of each commit is forgotten, for so long at most; whether it came to its end.
async fn passes<F>(case: fn(TestStore) -> F, forgets: fn(&mut Advance), time: Duration) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    let store = memory::open().await;
    let storage = planted(&store.storage, Arc::new(Forgetful(forgets)));
    let mut tasks = JoinSet::new();
    tasks.spawn(case(TestStore { storage, ..store }));
    let ended = timeout(time, tasks.join_next()).await;
    matches!(ended, Ok(Some(Ok(()))))
}

/// The controls: what is forgotten is noticed.
macro_rules! forgets {
    ($($test:ident: $forgets:expr, fails $case:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let began = Instant::now();
            assert!(passes($case, |_| {}, Duration::MAX).await, "without the plant");
            let time = LEAST.max(began.elapsed() * SLOWER);
            assert!(!passes($case, $forgets, time).await, "with the plant");
        })*
    };
}

forgets! {
    what_waits_and_is_forgotten_is_noticed:
        |step| step.parked.clear(), fails an_entry_waits_and_others_go_on;
    an_order_that_is_carried_out_and_kept_is_noticed:
        |step| step.done.clear(), fails an_entry_waits_and_others_go_on;
    what_was_skipped_and_is_forgotten_is_noticed:
        |step| step.to.skipped.clear(), fails an_event_that_halts_is_skipped_once;
    a_fault_that_is_forgotten_is_noticed:
        |step| step.halt = None, fails an_event_that_halts_is_skipped_once;
}
