//! Projections: saved, changed under guards, deleted, dropped.

use tokio::task::JoinSet;

use super::store::TestStore;
use crate::{
    model::{
        Change, Direction, Edit, EntryId, Guard, Json, Log, Projection, ProjectionName, Save,
        Source, condition::Tags, projection::Broken,
    },
    storage::{
        Listing,
        projections::{EditOutcome, EditRefusal, Edited, Kept, NameEnd, Stretch},
    },
    testing::random,
};

/// A name that no other case uses.
pub(super) fn name() -> ProjectionName {
    ProjectionName::stored(random::name(12))
}

pub(super) fn id(text: &str) -> EntryId {
    EntryId::stored(text)
}

/// A document to be saved, of the whole log.
pub(super) fn save(id: &str, state: &str) -> Save {
    Save {
        id: EntryId::stored(id),
        source: Source::Log,
        state: Json::stored(state),
        metadata: Json::Null,
        sequence_number: None,
        guard: Guard::default(),
    }
}

fn delete(id: &str) -> Change {
    Change::Delete { id: EntryId::stored(id), guard: Guard::default() }
}

fn version(number: i64) -> Option<Tags> {
    Some(Tags { any: false, numbers: vec![number], others: Vec::new(), weak: false })
}

fn any() -> Option<Tags> {
    Some(Tags { any: true, numbers: Vec::new(), others: Vec::new(), weak: false })
}

impl TestStore {
    /// Does edits of a name in one batch.
    async fn edits(&self, log: &Log, name: &ProjectionName, batch: &[Edit]) -> Vec<EditOutcome> {
        let done = self.storage.projections.edit(log, name, batch).await;
        let outcomes = done.expect("the store edits");
        assert_eq!(outcomes.len(), batch.len(), "an outcome for each edit");
        outcomes
    }

    async fn change(&self, log: &Log, name: &ProjectionName, changes: Vec<Change>) -> EditOutcome {
        self.edits(log, name, &[Edit { changes, bytes: 0 }]).await.remove(0)
    }

    /// Saves documents, which must be possible.
    pub(super) async fn save_all(
        &self,
        log: &Log,
        name: &ProjectionName,
        saves: Vec<Save>,
    ) -> Vec<Projection> {
        let done = self.change(log, name, saves.into_iter().map(Change::Save).collect()).await;
        let edited = done.expect("nothing guards them");
        edited.into_iter().map(|edited| edited.projection).collect()
    }

    async fn save_one(&self, log: &Log, name: &ProjectionName, save: Save) -> Edited {
        let done = self.change(log, name, vec![Change::Save(save)]).await;
        done.expect("nothing guards it").remove(0)
    }

    /// The documents of a name, or of all names.
    pub(super) async fn documents(
        &self,
        log: &Log,
        name: Option<&ProjectionName>,
    ) -> Vec<Projection> {
        let mut view = self.storage.projections.projections(log).await.expect("a view opens");
        let stretch = Stretch {
            name: name.cloned(),
            from: None,
            direction: Direction::Forwards,
            limit: 100_000,
            bytes: usize::MAX,
            sieve: None,
        };
        let part = view.stretch(&stretch).await.expect("they are read");
        view.close().await;
        part.documents
    }

    async fn document(&self, log: &Log, name: &ProjectionName, id: &str) -> Option<Projection> {
        let mut view = self.storage.projections.projections(log).await.expect("a view opens");
        let kept = view.kept(name, &[EntryId::stored(id)]).await.expect("it is read");
        view.close().await;
        kept.into_iter().find(|kept| !kept.deleted).map(|kept| kept.projection)
    }
}

pub(super) async fn a_document_comes_back_as_it_was_saved(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let stream = random::stream();
    for (id, source) in [
        ("of a log", Source::Log),
        ("of a category", Source::Category(stream.category.clone())),
        ("of a stream", Source::Stream(stream.clone())),
    ] {
        let state =
            r#"{"b":[1,-2.5,1e300,5e-324,9223372036854775807,true,null,{}],"a":"ü日😀\n\"\\"}"#;
        let sequence_number = Some(9_007_199_254_740_991);
        let metadata = Json::stored("[\"m\"]");
        let save = Save { source: source.clone(), metadata, sequence_number, ..save(id, state) };
        let edited = store.save_one(&log, &name, save.clone()).await;
        assert!(edited.created);
        let saved = edited.projection;
        let expected = Projection {
            name: name.clone(),
            id: save.id,
            source,
            state: save.state,
            metadata: save.metadata,
            version: 1,
            sequence_number,
            created_at: saved.created_at,
            updated_at: saved.created_at,
        };
        assert_eq!(saved, expected);
        assert_eq!(store.document(&log, &name, id).await, Some(expected));
    }
    let longest = "é".repeat(127);
    store.save_one(&log, &name, save(&longest, "null")).await;
    assert!(store.document(&log, &name, &longest).await.is_some());
    assert_eq!(store.document(&log, &name, "nobody").await, None);
}

pub(super) async fn many_documents_are_in_the_order_of_their_ids(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let ids = ["b", "a", "é", "Z", "😀", "aa", "$", "a b", "10", "9"];
    let saves = ids.iter().map(|id| save(id, "{}")).collect();
    let saved = store.save_all(&log, &name, saves).await;
    assert_eq!(saved.iter().map(|saved| saved.id.as_str()).collect::<Vec<_>>(), ids);
    let found = store.documents(&log, Some(&name)).await;
    let found: Vec<&str> = found.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(found, ["$", "10", "9", "Z", "a", "a b", "aa", "b", "é", "😀"]);
}

pub(super) async fn an_update_replaces_the_document_and_keeps_its_source(store: TestStore) {
    let (log, name, stream) = (store.log().await, name(), random::stream());
    let source = Source::Stream(stream);
    let first = Save { source: source.clone(), metadata: Json::Bool(true), ..save("1", "[1]") };
    let first = store.save_one(&log, &name, first).await.projection;
    let second = store.save_one(&log, &name, save("1", "{\"a\":2}")).await;
    assert!(!second.created);
    let second = second.projection;
    assert!(second.updated_at > first.updated_at);
    let (state, metadata) = (Json::stored("{\"a\":2}"), Json::Null);
    let updated_at = second.updated_at;
    assert_eq!(second, Projection { state, metadata, version: 2, updated_at, ..first });
    assert_eq!(store.document(&log, &name, "1").await, Some(second));
}

pub(super) async fn times_give_the_order_of_saving(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let saves = (0..20).map(|n| save(&n.to_string(), "{}")).collect();
    let mut saved = store.save_all(&log, &name, saves).await;
    saved.push(store.save_one(&log, &name, save("z", "{}")).await.projection);
    for pair in saved.windows(2) {
        assert!(pair[0].created_at < pair[1].created_at, "{pair:?}");
    }
}

pub(super) async fn a_version_is_never_used_again(store: TestStore) {
    let (log, name) = (store.log().await, name());
    store.save_all(&log, &name, vec![save("1", "1")]).await;
    store.save_all(&log, &name, vec![save("1", "2")]).await;
    let deleted = store.change(&log, &name, vec![delete("1")]).await.expect("it is there");
    assert_eq!(deleted[0].projection.version, 2, "as it was");
    assert_eq!(store.document(&log, &name, "1").await, None);
    assert_eq!(store.documents(&log, Some(&name)).await, []);
    let again = store.save_one(&log, &name, save("1", "3")).await;
    assert!(again.created);
    assert_eq!(again.projection.version, 4);
    store.save_one(&log, &name, save("2", "3")).await;
    let dropped = store.storage.projections.drop_projection(&log, &name).await;
    assert_eq!(dropped.expect("it is dropped"), 2);
    assert_eq!(store.documents(&log, Some(&name)).await, []);
    let after = store.save_one(&log, &name, save("1", "4")).await.projection;
    assert!(after.version > 4, "{after:?}");
    let nothing = store.storage.projections.drop_projection(&log, &self::name()).await;
    assert_eq!(nothing.expect("there is nothing to drop"), 0);
}

pub(super) async fn a_false_guard_changes_nothing(store: TestStore) {
    let (log, name) = (store.log().await, name());
    store.save_all(&log, &name, vec![save("1", "1"), save("2", "1")]).await;
    store.save_all(&log, &name, vec![save("1", "2")]).await;
    let before = store.documents(&log, Some(&name)).await;
    let guarded = |id: &str, if_match: Option<Tags>, if_none_match: Option<Tags>| {
        Change::Save(Save { guard: Guard { if_match, if_none_match }, ..save(id, "3") })
    };
    for (change, broken, actual) in [
        (guarded("1", version(1), None), Broken::IfMatch, Some(2)),
        (guarded("3", any(), None), Broken::IfMatch, None),
        (guarded("3", version(1), None), Broken::IfMatch, None),
        (guarded("1", None, any()), Broken::IfNoneMatch, Some(2)),
        (guarded("1", None, version(2)), Broken::IfNoneMatch, Some(2)),
        (
            Change::Delete {
                id: id("2"),
                guard: Guard { if_match: version(9), if_none_match: None },
            },
            Broken::IfMatch,
            Some(1),
        ),
    ] {
        let alone = store.change(&log, &name, vec![change.clone()]).await;
        let refusal = |index| Err(EditRefusal::Guarded { index, broken, version: actual });
        assert_eq!(alone, refusal(0), "{change:?}");
        // All or nothing.
        let changes = vec![Change::Save(save("4", "3")), change];
        assert_eq!(store.change(&log, &name, changes).await, refusal(1));
    }
    let gone = store.change(&log, &name, vec![delete("3")]).await;
    assert_eq!(gone, Err(EditRefusal::NotFound { id: id("3") }));
    assert_eq!(store.documents(&log, Some(&name)).await, before);
    for change in [
        guarded("1", version(2), None),
        guarded("1", any(), None),
        guarded("5", None, any()),
        guarded("1", None, version(1)),
    ] {
        store.change(&log, &name, vec![change]).await.expect("the guard holds");
    }
}

pub(super) async fn edits_of_a_batch_see_their_predecessors(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let only_new = |state: &str| {
        let guard = Guard { if_match: None, if_none_match: any() };
        Edit { changes: vec![Change::Save(Save { guard, ..save("1", state) })], bytes: 0 }
    };
    let plain = Edit { changes: vec![Change::Save(save("1", "3"))], bytes: 0 };
    let gone = Edit { changes: vec![delete("1")], bytes: 0 };
    let batch = [only_new("1"), only_new("2"), plain, gone, only_new("4")];
    let outcomes = store.edits(&log, &name, &batch).await;
    let written: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(written, [true, false, true, true, true]);
    let document = store.document(&log, &name, "1").await.expect("it is there");
    assert_eq!((document.state, document.version), (Json::Integer(4), 4));
}

pub(super) async fn of_those_who_save_at_once_each_is_counted(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (store, log, name) = (store.clone(), log.clone(), name.clone());
        writers.spawn(async move {
            for turn in 0..10 {
                let own = save(&format!("{writer}-{turn}"), "{}");
                store.save_all(&log, &name, vec![save("all", "{}"), own]).await;
            }
        });
    }
    writers.join_all().await;
    let shared = store.document(&log, &name, "all").await.expect("it is there");
    assert_eq!(shared.version, 80);
    assert_eq!(store.documents(&log, Some(&name)).await.len(), 81);
    let mut view = store.storage.projections.projections(&log).await.expect("a view opens");
    let ids: Vec<EntryId> =
        (0..8).flat_map(|w| (0..10).map(move |t| id(&format!("{w}-{t}")))).collect();
    let kept = view.kept(&name, &ids).await.expect("they are read");
    view.close().await;
    let mut changes: Vec<i64> = kept.iter().map(|kept| kept.change).collect();
    changes.sort_unstable();
    changes.dedup();
    assert_eq!(changes.len(), 80, "each change has its own number");
    assert!(changes.iter().all(|change| (1..=160).contains(change)), "{changes:?}");
}

pub(super) async fn names_and_logs_keep_apart_what_has_the_same_id(store: TestStore) {
    let (here, there) = (store.log().await, store.log().await);
    let (one, two) = (name(), name());
    for (log, name, state) in [(&here, &one, "1"), (&here, &two, "2"), (&there, &one, "3")] {
        store.save_one(log, name, save("1", state)).await;
    }
    let state = async |log, name| store.document(log, name, "1").await.map(|d| d.state);
    assert_eq!(state(&here, &one).await, Some(Json::Integer(1)));
    assert_eq!(state(&here, &two).await, Some(Json::Integer(2)));
    assert_eq!(state(&there, &one).await, Some(Json::Integer(3)));
    assert_eq!(store.documents(&here, None).await.len(), 2);
    store.storage.projections.drop_projection(&here, &one).await.expect("it is dropped");
    assert_eq!(state(&here, &one).await, None);
    assert_eq!(state(&there, &one).await, Some(Json::Integer(3)));
}

pub(super) async fn names_are_listed_with_their_counts(store: TestStore) {
    let log = store.log().await;
    for (name, count) in [("b", 2), ("a", 1), ("ab", 3), ("gone", 1)] {
        let saves = (0..count).map(|n| save(&n.to_string(), "{}")).collect();
        store.save_all(&log, &ProjectionName::stored(name), saves).await;
    }
    let gone = ProjectionName::stored("gone");
    store.change(&log, &gone, vec![delete("0")]).await.expect("it is there");
    let listed = async |prefix: &str, after: Option<&str>, limit| {
        let listing = Listing { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit };
        let mut view = store.storage.projections.projections(&log).await.expect("a view opens");
        let names = view.names(&listing).await.expect("they are listed");
        view.close().await;
        names.into_iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>()
    };
    assert_eq!(listed("", None, 10).await, ["a 1", "ab 3", "b 2"]);
    assert_eq!(listed("a", None, 10).await, ["a 1", "ab 3"]);
    assert_eq!(listed("", Some("a"), 1).await, ["ab 3"]);
}

pub(super) async fn documents_are_located_by_their_source(store: TestStore) {
    let (log, name, stream) = (store.log().await, name(), random::stream());
    let category = Source::Category(stream.category.clone());
    let of = |id: &str, source: &Source| Save { source: source.clone(), ..save(id, "{}") };
    let stream = Source::Stream(stream);
    let saves =
        vec![of("1", &stream), of("2", &category), of("3", &category), of("4", &Source::Log)];
    store.save_all(&log, &name, saves).await;
    let located = async |source: &Source| {
        let mut view = store.storage.projections.projections(&log).await.expect("a view opens");
        let found = view.of_source(&name, source, 10).await.expect("they are looked for");
        view.close().await;
        found.iter().map(|found| found.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(located(&stream).await, ["1"]);
    assert_eq!(located(&category).await, ["2", "3"]);
    assert_eq!(located(&Source::Log).await, ["4"]);
    assert_eq!(located(&Source::Stream(random::stream())).await, [""; 0]);
}

impl TestStore {
    /// Where a name's changes end, and what changed after one.
    async fn changed(
        &self,
        log: &Log,
        name: &ProjectionName,
        after: i64,
        limit: usize,
    ) -> (NameEnd, Vec<Kept>) {
        let mut view = self.storage.projections.projections(log).await.expect("a view opens");
        let end = view.end(name).await.expect("it is told");
        let changed = view.changed(name, after, limit, 100).await.expect("they are read");
        view.close().await;
        (end, changed)
    }
}

pub(super) async fn changes_are_read_in_their_order(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let (end, changed) = store.changed(&log, &name, 0, 10).await;
    assert_eq!((end, changed), (NameEnd::default(), Vec::new()));
    store.save_all(&log, &name, vec![save("b", "1"), save("a", "1"), save("c", "1")]).await;
    store.save_all(&log, &name, vec![save("b", "2")]).await;
    store.change(&log, &name, vec![delete("a")]).await.expect("it is there");
    store.save_all(&log, &self::name(), vec![save("other", "1")]).await;
    let told = |changed: &[Kept]| {
        let one = |kept: &Kept| (kept.change, kept.projection.id.to_string(), kept.deleted);
        changed.iter().map(one).collect::<Vec<_>>()
    };
    let of = |change, id: &str, deleted| (change, id.to_owned(), deleted);
    let (end, changed) = store.changed(&log, &name, 0, 10).await;
    assert_eq!((end.change, end.dropped), (5, 0));
    assert_eq!(told(&changed), [of(3, "c", false), of(4, "b", false), of(5, "a", true)]);
    let (_, changed) = store.changed(&log, &name, 3, 1).await;
    assert_eq!(told(&changed), [of(4, "b", false)]);
    store.storage.projections.drop_projection(&log, &name).await.expect("it is dropped");
    let (end, changed) = store.changed(&log, &name, 0, 10).await;
    assert_eq!((end.change, end.dropped, changed.len()), (6, 6, 0), "a drop is a change");
    store.save_all(&log, &name, vec![save("c", "1")]).await;
    let (end, changed) = store.changed(&log, &name, end.dropped, 10).await;
    assert_eq!((end.change, end.dropped), (7, 6));
    assert_eq!(told(&changed), [of(7, "c", false)]);
}

pub(super) async fn changes_are_read_without_a_skip_while_others_save(store: TestStore) {
    const SAVERS: usize = 4;
    const SAVES: usize = 25;
    let (log, name) = (store.log().await, name());
    let mut savers = JoinSet::new();
    for saver in 0..SAVERS {
        let (store, log, name) = (store.clone(), log.clone(), name.clone());
        savers.spawn(async move {
            for n in 0..SAVES {
                store.save_all(&log, &name, vec![save(&format!("{saver} {n}"), "1")]).await;
            }
        });
    }
    let (mut after, mut seen) = (0, Vec::new());
    while seen.len() < SAVERS * SAVES {
        let (_, changed) = store.changed(&log, &name, after, 7).await;
        after = changed.last().map_or(after, |last| last.change);
        seen.extend(changed.into_iter().map(|kept| kept.change));
        tokio::task::yield_now().await;
    }
    while let Some(saver) = savers.join_next().await {
        saver.expect("they save");
    }
    assert_eq!(seen, (1..=100).collect::<Vec<i64>>());
}

pub(super) async fn a_projection_knows_the_last_event_that_it_holds(store: TestStore) {
    let (log, name) = (store.log().await, name());
    let holding = |id: &str, number| Save { sequence_number: number, ..save(id, "1") };
    let end = async || store.changed(&log, &name, 0, 1).await.0.sequence_number;
    store.save_all(&log, &name, vec![holding("a", None)]).await;
    assert_eq!(end().await, 0);
    store.save_all(&log, &name, vec![holding("a", Some(7)), holding("b", Some(5))]).await;
    assert_eq!(end().await, 7);
    store.save_all(&log, &self::name(), vec![holding("a", Some(9))]).await;
    assert_eq!(end().await, 7);
}
