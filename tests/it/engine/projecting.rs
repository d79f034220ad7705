//! Projectors that run: each event is applied once, whoever runs them and however many come at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use everlog::{
    engine::{
        changes::Changes, hub::Hubs, logs::Logs, publish::Publisher, runner::halt::Halt,
        runners::Runners, tail::Tails, tasks::Tasks, workers::Workers,
    },
    model::{
        CategoryName, Definition, Form, Limits, Log, Projection, ProjectionName, ProjectorName,
        Revision, Standing, StreamKey, StreamName,
    },
    query::pick::Window,
    storage::{
        find::{Reach, find},
        projectors::Put,
    },
    testing::{NewEventBuilder, PublishBuilder, WriteBuilder, conformance::TestStore, random},
    worker::frames::{Reply, Request, Work},
};
use tokio::task::JoinSet;

use crate::support::{
    memory,
    planted_projectors::{Crowded, Failing, Plant, Torn, planted},
    workers,
};

/// One process over a store, which runs projectors.
pub(super) struct Node {
    publisher: Publisher,
    pub(super) runners: Runners,
    workers: Workers,
    pub(super) tasks: Tasks,
}

pub(super) fn node(store: &TestStore) -> Node {
    let (storage, tasks) = (store.storage.clone(), Tasks::default());
    let hubs = Hubs::new(storage.clone(), tasks.clone());
    let changes = Changes::new(storage.clone(), tasks.clone());
    let workers = workers::some();
    let tails = Tails::new(storage.clone(), hubs.clone(), tasks.clone(), Limits::default());
    let logs = Logs::new(storage.clone(), tasks.clone());
    Node {
        publisher: Publisher::new(storage.clone(), store.clock.clone(), hubs, tasks.clone()),
        runners: Runners::new(
            storage,
            tails,
            logs,
            changes,
            workers.clone(),
            store.clock.clone(),
            &tasks,
        ),
        workers,
        tasks,
    }
}

/// A store with a log, and a node.
pub(super) struct Scene {
    pub(super) store: TestStore,
    pub(super) log: Arc<Log>,
    pub(super) node: Node,
    pub(super) projector: ProjectorName,
    pub(super) category: CategoryName,
}

impl Scene {
    pub(super) async fn new(store: TestStore) -> Self {
        let log = Arc::new(store.log().await);
        let node = node(&store);
        let projector = ProjectorName::stored(random::name(8));
        Self { store, log, node, projector, category: random::category() }
    }

    /// Publishes events of one stream, by their payloads.
    pub(super) async fn publish(&self, stream: &str, name: &str, payloads: &[&str]) {
        let stream = StreamName::stored(stream);
        let stream = StreamKey { category: self.category.clone(), stream };
        let event =
            |payload: &&str| NewEventBuilder::new().with_name(name).with_payload(payload).build();
        let events = payloads.iter().map(event);
        let write = events.fold(WriteBuilder::to(&stream), WriteBuilder::with_event);
        let publish = PublishBuilder::new().with_write(write.build()).build();
        self.node.publisher.publish(&self.log, publish).await.expect("it is published");
    }

    /// Puts a definition, with what a worker says of it.
    pub(super) async fn put(&self, text: &str) -> Revision {
        let allowance = workers::allowance();
        let request = Request {
            key: text,
            is_module: true,
            definition: text,
            allowance,
            work: Work::Describe,
        };
        let description = match self.node.workers.ask(&request).await.expect("it answers") {
            Reply::Described(description) => description,
            other => unreachable!("{other:?}"),
        };
        let description = serde_json::to_string(&description).expect("it is JSON");
        let definition = Definition { form: Form::Module, text: text.to_owned(), description };
        let projectors = &self.store.storage.projectors;
        let put = projectors.put_projector(&self.log, &self.projector, &definition, false).await;
        self.node.runners.kick();
        match put.expect("it is put") {
            Put::New(revision) => revision,
            other => unreachable!("{other:?}"),
        }
    }

    pub(super) async fn revision(&self, id: i64) -> Option<Revision> {
        let listed = self.store.storage.projectors.revisions(0).await.expect("they are told");
        listed.into_iter().map(|listed| listed.revision).find(|revision| revision.id == id)
    }

    /// The revision, once something holds of it.
    pub(super) async fn until(&self, id: i64, holds: impl Fn(&Revision) -> bool) -> Revision {
        let mut last = None;
        let waited = async {
            loop {
                last = self.revision(id).await;
                if let Some(revision) = last.take_if(|revision| holds(revision)) {
                    return revision;
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waited).await;
        let why = self.node.runners.failing(id);
        waited.unwrap_or_else(|_| unreachable!("it does not come: {why:?} {last:?}"))
    }

    /// The documents of a revision.
    pub(super) async fn documents(&self, revision: &Revision) -> Vec<Projection> {
        self.kept_under(&revision.documents()).await
    }

    /// The documents of a name.
    pub(super) async fn kept_under(&self, name: &ProjectionName) -> Vec<Projection> {
        let query = everlog::query::parse(&everlog::model::Json::stored("{}")).expect("a query");
        let window = Window::After { key: None, limit: 100_000 };
        let projections = &self.store.storage.projections;
        let mut view = projections.projections(&self.log).await.expect("a view opens");
        let found = find(view.as_mut(), Some(name), &query, window, Reach::default()).await;
        view.close().await;
        let found = found.expect("they are found").found.picked;
        found.into_iter().map(|picked| picked.document).collect()
    }

    /// The revision, once it has passed all that was published.
    pub(super) async fn passed_all(&self, revision: &Revision) -> Revision {
        let all = self.store.backdoor.events(&self.log).await;
        let end = all.last().expect("there are events").sequence_number;
        self.until(revision.id, |revision| revision.progress.sequence_number == end).await
    }

    /// The documents of a counting projector that are not what its events make of them.
    pub(super) async fn miscounted(&self, revision: &Revision) -> Vec<String> {
        let all = self.store.backdoor.events(&self.log).await;
        let mut model: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
        for event in all.iter().filter(|event| event.name.as_str() == "added") {
            let (n, sum, last) = model.entry(event.stream.stream.to_string()).or_default();
            let by: i64 = event.payload.as_str().parse().expect("a number");
            (*n, *sum, *last) = (*n + 1, *sum + by, event.position);
        }
        let due = model.into_iter().map(|(id, (n, sum, last))| {
            format!("{id} {{\"n\":{n},\"sum\":{sum}}} {{\"last\":{last}}} v{n}")
        });
        let told = |found: &Projection| {
            format!("{} {} {} v{}", found.id, found.state, found.metadata, found.version)
        };
        let found: Vec<String> = self.documents(revision).await.iter().map(told).collect();
        let due: Vec<String> = due.collect();
        let all = found.iter().chain(&due);
        all.filter(|one| !found.contains(one) || !due.contains(one)).cloned().collect()
    }

    /// As one would compare what two revisions made: without the names of what they keep it under.
    pub(super) async fn told(&self, revision: &Revision) -> Vec<String> {
        let documents = self.documents(revision).await;
        let one = |Projection {
                       id,
                       source,
                       state,
                       metadata,
                       version,
                       sequence_number,
                       created_at,
                       updated_at,
                       ..
                   }| {
            format!(
                "{id} {source:?} {state} {metadata} {version} {sequence_number:?} {created_at} {updated_at}"
            )
        };
        documents.into_iter().map(one).collect()
    }
}

pub(super) fn counting(category: &CategoryName, more: &str) -> String {
    format!(
        "export default {{ source: {{ category: {:?} }}, initial_state: {{ n: 0, sum: 0 }},
          handlers: {{ added: (s, {{ payload }}) => ({{ n: s.n + 1, sum: s.sum + payload }}), cleared: () => null }},
          update_metadata: (s, m, e) => ({{ last: e.position }}), {more} }};",
        category.as_str()
    )
}

async fn each_event_is_applied_once(store: TestStore) {
    let scene = Arc::new(Scene::new(store).await);
    scene.publish("s0", "added", &["1", "2"]).await;
    let revision = scene.put(&counting(&scene.category, "")).await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let scene = scene.clone();
        writers.spawn(async move {
            for round in 0..40 {
                let stream = format!("s{}", (writer * 7 + round) % 10);
                scene.publish(&stream, "added", &["3", "4", "5"]).await;
                if round % 10 == 9 {
                    scene.publish(&stream, "other", &["0"]).await;
                }
            }
        });
    }
    writers.join_all().await;
    let done = scene.passed_all(&revision).await;
    assert_eq!((done.progress.events, done.standing), (482, Standing::Active));
    assert_eq!(done.progress.ignored, BTreeMap::from([("other".to_owned(), 16)]));
    assert_eq!(scene.miscounted(&revision).await, Vec::<String>::new());
    scene.node.tasks.stop();
}

/// Publishes while commits fail, then tells the documents that are not what they should be.
async fn miscounted_with_failing_commits(plant: impl Plant) -> Vec<String> {
    let store = memory::open().await;
    let storage = planted(&store.storage, Arc::new(plant));
    let scene = Scene::new(TestStore { storage, ..store }).await;
    let revision = scene.put(&counting(&scene.category, "limits: {batch_events: 2}")).await;
    for round in 0..12 {
        scene.publish(&format!("s{}", round % 3), "added", &["1", "2", "3"]).await;
        scene.passed_all(&revision).await;
    }
    scene.node.tasks.stop();
    scene.miscounted(&revision).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_counts_nothing_twice() {
    assert_eq!(miscounted_with_failing_commits(Failing::default()).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_several_at_once_goes_on_alone() {
    let store = memory::open().await;
    let crowded = Arc::new(Crowded::default());
    let storage = planted(&store.storage, crowded.clone());
    let mut scene = Scene::new(TestStore { storage, ..store }).await;
    let mut revisions = Vec::new();
    for _ in 0..5 {
        scene.projector = ProjectorName::stored(random::name(8));
        revisions.push(scene.put(&counting(&scene.category, "")).await);
    }
    let mut rounds = 0..10_000;
    while crowded.0.load(Ordering::SeqCst) < 6 {
        let round = rounds.next().expect("they meet");
        scene.publish(&format!("s{}", round % 3), "added", &["1", "2", "3"]).await;
    }
    for revision in &revisions {
        scene.passed_all(revision).await;
        assert_eq!(scene.miscounted(revision).await, Vec::<String>::new());
    }
    scene.node.tasks.stop();
}

/// The control.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_kept_apart_is_caught() {
    assert_ne!(miscounted_with_failing_commits(Torn::default()).await, Vec::<String>::new());
}

async fn a_rebuild_gives_the_same_whatever_comes_at_once(store: TestStore) {
    let scene = Scene::new(store).await;
    let mut revision = scene.put(&counting(&scene.category, "limits: {batch_events: 3}")).await;
    for round in 0..60 {
        let stream = format!("s{}", round * 7 % 11);
        scene.publish(&stream, "added", &["1", "-2.5", "1e300"]).await;
        if round % 9 == 4 {
            scene.publish(&stream, "cleared", &["null"]).await;
        }
    }
    let end = scene.store.backdoor.events(&scene.log).await.len();
    let end = i64::try_from(end).expect("a count");
    let at_end = |revision: &Revision| revision.progress.sequence_number == end;
    scene.until(revision.id, at_end).await;
    let live = scene.told(&revision).await;
    assert!(live.len() > 5, "{live:?}");
    for batch in [1, 2, 50, 500] {
        let text = counting(&scene.category, &format!("limits: {{batch_events: {batch}}}"));
        let next = scene.put(&text).await;
        assert_eq!(next.standing, Standing::Building);
        let active =
            |revision: &Revision| at_end(revision) && revision.standing == Standing::Active;
        scene.until(next.id, active).await;
        assert_eq!(scene.told(&next).await, live, "in batches of {batch}");
        let before = scene.revision(revision.id).await.expect("it is kept");
        assert_eq!(before.standing, Standing::Former);
        revision = next;
    }
    scene.node.tasks.stop();
}

async fn an_event_that_fails_halts_it_there(store: TestStore) {
    let scene = Scene::new(store).await;
    let text = |body: &str| {
        let category = scene.category.as_str();
        format!(
            "export default {{\n source: {{category: {category:?}}},\n initial_state: {{n: 0}},\n handlers: {{\n  added: (s, {{payload}}) => {{\n   {body}\n   s.n += 1;\n  }} }} }};"
        )
    };
    scene.publish("a", "added", &["1", "2"]).await;
    scene.publish("b", "added", &["3", "4"]).await;
    scene.publish("a", "added", &["5"]).await;
    for (body, expected) in [
        ("if (payload === 4) throw new Error('four');", "Error: four"),
        ("if (payload === 4) while (true) {}", "it took more than 50 ms of CPU time"),
        // What cannot be kept is found out at the end of the batch.
        ("if (payload === 4) s.at = new Date(0);", "TypeError: a Date cannot be part of a state"),
        ("if (payload === 4) s.big = 2n ** 70n;", "the state cannot be kept"),
        // A worker is killed over it.
        ("if (payload === 4) [].reverse.call({length: 2 ** 53 - 1});", "it did not come to an end"),
    ] {
        let revision = scene.put(&text(body)).await;
        let halted = scene.until(revision.id, |revision| revision.halt.is_some()).await;
        let halt: Halt = serde_json::from_str(&halted.halt.expect("it is halted")).expect("JSON");
        assert_eq!((halt.event.sequence_number, halt.event.stream.as_str()), (4, "b"), "{body}");
        assert!(halt.message.starts_with(expected), "{body}: {}", halt.message);
        let progress = &halted.progress;
        assert_eq!(
            (progress.events, progress.sequence_number),
            (3, 3),
            "what comes before is kept"
        );
        let states = scene.told(&revision).await;
        assert!(
            states.len() == 2 && states[0].contains("{\"n\":2}") && states[1].contains("{\"n\":1}"),
            "{states:?}"
        );
    }
    let good = scene.put(&text("")).await;
    let done = scene.until(good.id, |revision| revision.progress.sequence_number == 5).await;
    assert_eq!((done.halt, done.progress.events), (None, 5));
    scene.node.tasks.stop();
}

async fn ids_are_what_the_definition_says(store: TestStore) {
    let scene = Scene::new(store).await;
    let text =
        "export default { source: { log: true }, id: (e) => e.payload.ids, initial_state: () => [],
          handlers: { '*': (s, e) => [...s, e.position] } };";
    let revision = scene.put(text).await;
    scene
        .publish("a", "x", &[r#"{"ids":"one"}"#, r#"{"ids":["one","two"]}"#, r#"{"ids":null}"#])
        .await;
    scene.publish("a", "y", &[r#"{"ids":["two"]}"#, r#"{"ids":"$any"}"#]).await;
    scene.until(revision.id, |revision| revision.progress.sequence_number == 5).await;
    let states = scene.documents(&revision).await;
    let states: Vec<String> = states
        .iter()
        .map(|found| format!("{} {} v{}", found.id, found.state, found.version))
        .collect();
    assert_eq!(states, ["$any [4] v1", "one [0,1] v2", "two [1,3] v2"]);
    scene.publish("a", "x", &[r#"{"ids":"."}"#]).await;
    let halted = scene.until(revision.id, |revision| revision.halt.is_some()).await;
    assert!(halted.halt.is_some_and(|halt| halt.contains("`id` gave")));
    scene.node.tasks.stop();
}

async fn another_process_goes_on(store: TestStore) {
    let scene = Scene::new(store).await;
    let revision = scene.put(&counting(&scene.category, "")).await;
    scene.publish("a", "added", &["1"]).await;
    scene.until(revision.id, |revision| revision.progress.events == 1).await;
    let other = node(&scene.store);
    scene.publish("a", "added", &["1"]).await;
    scene.until(revision.id, |revision| revision.progress.events == 2).await;
    assert!(scene.node.runners.is_live(revision.id) && !other.runners.is_live(revision.id));
    scene.node.tasks.stop();
    scene.publish("a", "added", &["1"]).await;
    scene.until(revision.id, |revision| revision.progress.events == 3).await;
    let states = scene.told(&revision).await;
    assert!(states.len() == 1 && states[0].contains("{\"n\":3,\"sum\":3}"), "{states:?}");
    other.tasks.stop();
}

/// Cases, each of which has a test on each store.
macro_rules! on_each_store {
    ($($case:ident),*) => {
        mod on_memory {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(crate::support::memory::open().await).await; }
        )*}
        mod on_sqlite {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(crate::support::sqlite::open().await).await; }
        )*}
        mod on_postgres {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case(crate::support::postgres::open().await).await; }
        )*}
    };
}

pub(crate) use on_each_store;

on_each_store!(
    each_event_is_applied_once,
    a_rebuild_gives_the_same_whatever_comes_at_once,
    an_event_that_fails_halts_it_there,
    ids_are_what_the_definition_says,
    another_process_goes_on
);
