//! Projectors: their revisions, who holds them, and that documents and progress change together.

use std::time::Duration;

use uuid::Uuid;

use super::{
    indexing::declare,
    queries::query,
    saving::{id, save},
    store::{TestStore, time},
};
use crate::{
    model::{
        Definition, Form, Json, Log, Progress, Projection, ProjectionName, ProjectorName, Revision,
        Source, Standing,
    },
    query::pick::Window,
    storage::{
        projections::Kept,
        projectors::{Advance, Listed, Put},
    },
    testing::random,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn projector() -> ProjectorName {
    ProjectorName::stored(random::name(12))
}

fn definition(text: &str) -> Definition {
    Definition { form: Form::Module, text: text.to_owned(), description: "{}".to_owned() }
}

/// One who may hold revisions.
fn owner(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl TestStore {
    async fn put(&self, log: &Log, projector: &ProjectorName, text: &str) -> Put {
        let put =
            self.storage.projectors.put_projector(log, projector, &definition(text), false).await;
        put.expect("it is answered")
    }

    async fn new_revision(&self, log: &Log, projector: &ProjectorName, text: &str) -> Revision {
        match self.put(log, projector, text).await {
            Put::New(revision) => revision,
            other => unreachable!("{other:?}"),
        }
    }

    /// The revisions of a projector.
    async fn revisions(&self, log: &Log, projector: &ProjectorName) -> Vec<Revision> {
        let all = self.storage.projectors.revisions(0).await.expect("they are told");
        let of = |known: &Listed| known.log == log.name && known.revision.projector == *projector;
        let there = |revision: &Revision| revision.standing != Standing::Dropped;
        let all = all.into_iter().filter(of).map(|known| known.revision);
        let found: Vec<Revision> = all.filter(there).collect();
        let told = self.storage.projectors.revisions_of(log, Some(projector)).await;
        assert_eq!(told.expect("they are told"), found);
        found
    }

    async fn hold(&self, revision: &Revision, owner: Uuid, time: Duration) -> Option<Progress> {
        self.storage.projectors.hold(revision.id, owner, time).await.expect("it is answered")
    }

    async fn advance(&self, log: &Log, step: &Advance) -> bool {
        let steps = std::slice::from_ref(step);
        self.storage.projectors.advance(log, steps).await.expect("it is answered") == [true]
    }

    async fn states(&self, log: &Log, name: &ProjectionName) -> String {
        let window = Window::After { key: None, limit: 100 };
        let found = self.find(log, Some(name), &query("{}"), window).await;
        let states = found.picked.iter().map(|picked| picked.document.state.to_string());
        states.collect::<Vec<_>>().join(" ")
    }
}

/// A document of a revision after so many events.
fn kept(revision: &Revision, text: &str, events: i64) -> Kept {
    let at = time("2026-01-01T00:00:00Z");
    let projection = Projection {
        name: revision.documents(),
        id: id(text),
        source: Source::Log,
        state: Json::Integer(events),
        metadata: Json::Null,
        version: events,
        sequence_number: Some(events),
        created_at: at,
        updated_at: at,
    };
    Kept { projection, change: 0, deleted: false }
}

/// A step over one event.
fn step(revision: &Revision, owner: Uuid, from: i64) -> Advance {
    let place = |n: i64| if n == 0 { String::new() } else { n.to_string() };
    Advance {
        revision: revision.id,
        documents: revision.documents(),
        owner,
        from: place(from),
        to: Progress {
            cursor: place(from + 1),
            sequence_number: from + 1,
            recorded_at: Some(time("2026-01-01T00:00:00Z")),
            events: from + 1,
            ..Progress::default()
        },
        kept: vec![kept(revision, "a", from + 1)],
        parked: Vec::new(),
        done: String::new(),
        halt: None,
    }
}

pub(super) async fn a_changed_definition_is_a_new_revision(store: TestStore) {
    let (log, projector) = (store.log().await, projector());
    let first = store.new_revision(&log, &projector, "one").await;
    assert_eq!((first.number, first.standing), (1, Standing::Active));
    assert_eq!(store.put(&log, &projector, "one").await, Put::Same(first.clone()));
    let second = store.new_revision(&log, &projector, "two").await;
    assert_eq!((second.number, second.standing), (2, Standing::Building));
    assert_ne!(first.documents(), second.documents());
    assert_eq!(second.documents().known(), projector.as_str());
    assert_eq!(store.revisions(&log, &projector).await, [first.clone(), second.clone()]);
    // One that is not active makes way for the next.
    let third = store.new_revision(&log, &projector, "three").await;
    assert_eq!(third.number, 3);
    assert_eq!(store.revisions(&log, &projector).await, [first, third.clone()]);
    let activated = store.storage.projectors.activate(&log, &projector, 3).await;
    assert!(activated.expect("it is answered"));
    let standings = store.revisions(&log, &projector).await;
    let standings: Vec<_> = standings.iter().map(|revision| revision.standing).collect();
    assert_eq!(standings, [Standing::Former, Standing::Active]);
    let unknown = store.storage.projectors.activate(&log, &projector, 2).await;
    assert!(!unknown.expect("it is answered"));
    // Another log has projectors of its own.
    assert_eq!(store.revisions(&store.log().await, &projector).await, []);
    assert!(
        store.storage.projectors.delete_projector(&log, &projector, false).await.expect("it is")
    );
    assert!(
        !store.storage.projectors.delete_projector(&log, &projector, false).await.expect("it is")
    );
    assert_eq!(store.revisions(&log, &projector).await, []);
    let again = store.new_revision(&log, &projector, "three").await;
    assert!(again.id > third.id, "an id is never used again");
}

pub(super) async fn a_name_with_documents_of_clients_has_no_projector(store: TestStore) {
    let (log, projector) = (store.log().await, projector());
    let name = ProjectionName::stored(projector.shared());
    store.save_all(&log, &name, vec![save("a", "{}")]).await;
    assert_eq!(store.put(&log, &projector, "one").await, Put::Occupied);
    store.storage.projections.drop_projection(&log, &name).await.expect("they are dropped");
    store.new_revision(&log, &projector, "one").await;
}

pub(super) async fn a_revision_has_one_owner_at_a_time(store: TestStore) {
    let (log, projector) = (store.log().await, projector());
    let revision = store.new_revision(&log, &projector, "one").await;
    assert_eq!(store.hold(&revision, owner(1), HOUR).await, Some(Progress::default()));
    assert_eq!(store.hold(&revision, owner(2), HOUR).await, None);
    // It is told, and of those that are known no definition.
    let known = store.storage.projectors.revisions(revision.id).await.expect("they are told");
    let known = known.iter().find(|known| known.revision.id == revision.id).expect("it is there");
    assert!(known.held && known.revision.definition.text.is_empty());
    assert!(store.advance(&log, &step(&revision, owner(1), 0)).await);
    // Its own hold goes on, and tells how far it is.
    let progress = store.hold(&revision, owner(1), Duration::ZERO).await.expect("it is its own");
    assert_eq!(progress, step(&revision, owner(1), 0).to);
    // One that has run out is anybody's.
    assert!(store.hold(&revision, owner(2), HOUR).await.is_some());
    assert!(!store.advance(&log, &step(&revision, owner(1), 1)).await, "it lost its hold");
    assert!(store.advance(&log, &step(&revision, owner(2), 1)).await);
    assert_eq!(
        store.hold(&Revision { id: revision.id + 1_000, ..revision }, owner(1), HOUR).await,
        None
    );
}

pub(super) async fn documents_and_progress_change_together(store: TestStore) {
    let (log, projector) = (store.log().await, projector());
    let revision = store.new_revision(&log, &projector, "one").await;
    let name = revision.documents();
    let fields = r#"[{"path":"/version"}]"#;
    let by_version = format!(r#"{{"indexes":[{{"name":"v","fields":{fields}}}]}}"#);
    declare(&store, &log, &name, &by_version).await;
    let me = owner(1);
    assert!(!store.advance(&log, &step(&revision, me, 0)).await, "nobody holds it");
    assert_eq!(store.states(&log, &name).await, "");
    store.hold(&revision, me, HOUR).await.expect("it is free");
    assert!(store.advance(&log, &step(&revision, me, 0)).await);
    assert!(!store.advance(&log, &step(&revision, me, 0)).await, "the event was applied");
    assert!(!store.advance(&log, &step(&revision, me, 3)).await, "it does not stand there");
    assert_eq!(store.states(&log, &name).await, "1");
    assert!(store.advance(&log, &step(&revision, me, 1)).await);
    assert_eq!(store.states(&log, &name).await, "2");
    // A step may pass events over, and keep nothing.
    assert!(store.advance(&log, &Advance { kept: Vec::new(), ..step(&revision, me, 2) }).await);
    assert_eq!(store.revisions(&log, &projector).await[0].progress.sequence_number, 3);
    // Changes are numbered, and indexes kept.
    let window = Window::After { key: None, limit: 10 };
    let sorted = query(r#"{"sort":[{"path":"/version"}]}"#);
    let answer = store.answer(&log, Some(&name), &sorted, window).await;
    assert_eq!((answer.index.as_deref(), answer.found.picked.len()), (Some("v"), 1));
    let mut view = store.storage.projections.projections(&log).await.expect("a view opens");
    let changed = view.changed(&name, 0, 10, usize::MAX).await;
    view.close().await;
    let changed: Vec<i64> =
        changed.expect("they are told").iter().map(|kept| kept.change).collect();
    assert_eq!(changed, [2]);
    // One that is dropped keeps nothing any more, and what it had is removed.
    store
        .storage
        .projectors
        .delete_projector(&log, &projector, false)
        .await
        .expect("it is dropped");
    assert!(!store.advance(&log, &step(&revision, me, 3)).await);
    assert_eq!(store.revisions(&log, &projector).await, []);
    while !store.storage.projectors.sweep(&log, &revision).await.expect("it is swept") {}
    assert_eq!(store.states(&log, &name).await, "");
    assert_eq!(store.storage.projectors.progress(revision.id).await.expect("it is told"), None);
    let listed = store.storage.projectors.revisions(0).await.expect("they are told");
    assert!(!listed.iter().any(|listed| listed.revision.id == revision.id));
}

pub(super) async fn several_revisions_go_on_at_once(store: TestStore) {
    let log = store.log().await;
    let me = owner(1);
    let mut revisions = Vec::new();
    for text in ["one", "two", "three", "four"] {
        let revision = store.new_revision(&log, &projector(), text).await;
        store.hold(&revision, me, HOUR).await.expect("it is free");
        revisions.push(revision);
    }
    let by_version = r#"{"indexes":[{"name":"v","fields":[{"path":"/version"}]}]}"#;
    declare(&store, &log, &revisions[2].documents(), by_version).await;
    let names: Vec<ProjectionName> = revisions.iter().map(Revision::documents).collect();
    let go_on = async |steps: &[Advance]| {
        store.storage.projectors.advance(&log, steps).await.expect("it is answered")
    };
    let all = |from| revisions.iter().map(move |revision| step(revision, me, from));
    let told = async || {
        let mut told = Vec::new();
        for (revision, name) in revisions.iter().zip(&names) {
            let progress = store.storage.projectors.progress(revision.id).await;
            let events = progress.expect("it is told").expect("it is there").events;
            told.push((events, store.states(&log, name).await));
        }
        told
    };
    let is = |events: i64, state: &str| (events, state.to_owned());
    // One does not stand there, one is not its owner's, one keeps nothing: each is answered in its place.
    let mut steps: Vec<Advance> = all(0).collect();
    steps[0].from = "3".to_owned();
    steps[1].kept.clear();
    steps[3].owner = owner(2);
    assert_eq!(go_on(&steps).await, [false, true, true, false]);
    assert_eq!(told().await, [is(0, ""), is(1, ""), is(1, "1"), is(0, "")]);
    assert_eq!(go_on(&all(0).collect::<Vec<_>>()).await, [true, false, false, true]);
    assert_eq!(go_on(&all(1).collect::<Vec<_>>()).await, [true; 4]);
    assert_eq!(told().await, [is(2, "2"), is(2, "2"), is(2, "2"), is(2, "2")]);
    // Each name has changes of its own, and the index of one is kept.
    let window = Window::After { key: None, limit: 10 };
    let sorted = query(r#"{"sort":[{"path":"/version"}]}"#);
    let answer = store.answer(&log, Some(&names[2]), &sorted, window).await;
    assert_eq!((answer.index.as_deref(), answer.found.picked.len()), (Some("v"), 1));
    let mut view = store.storage.projections.projections(&log).await.expect("a view opens");
    let mut changes = Vec::new();
    for name in &names {
        changes.push(view.end(name).await.expect("it is told").change);
    }
    view.close().await;
    assert_eq!(changes, [2, 1, 2, 2]);
    assert_eq!(go_on(&[]).await, [false; 0]);
}

pub(super) async fn a_halted_revision_goes_no_further(store: TestStore) {
    let (log, projector) = (store.log().await, projector());
    let revision = store.new_revision(&log, &projector, "one").await;
    let me = owner(1);
    store.hold(&revision, me, HOUR).await.expect("it is free");
    let halt = Some("{}".to_owned());
    assert!(store.advance(&log, &Advance { halt: halt.clone(), ..step(&revision, me, 0) }).await);
    let halted = store.revisions(&log, &projector).await.remove(0);
    assert_eq!((halted.halt, halted.progress.events), (halt, 1), "what came before is kept");
    assert!(!store.advance(&log, &step(&revision, me, 1)).await);
    assert!(store.storage.projectors.halt(revision.id, None, "").await.expect("it is answered"));
    assert!(store.advance(&log, &step(&revision, me, 1)).await);
    assert!(store.storage.projectors.halt(revision.id, Some("paused"), "").await.expect("it is"));
    assert_eq!(store.revisions(&log, &projector).await[0].halt.as_deref(), Some("paused"));
    assert!(!store.storage.projectors.halt(revision.id + 1_000, None, "").await.expect("it is"));
}
