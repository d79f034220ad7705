//! Group commit of edits: what queues is one batch, and what is not known is not made up.

use std::{sync::Arc, time::Duration};

use everlog::{
    engine::{
        changes::Changes,
        edit::{EditError, Editor},
        tasks::Tasks,
    },
    model::{Change, Direction, Edit, EntryId, Guard, Json, Log, ProjectionName, Save, Source},
    storage::{Storage, StorageError, projections::Stretch},
    testing::{conformance::TestStore, random},
};
use futures_util::future::join_all;

use crate::support::{
    memory,
    trouble::{Trouble, Troubled},
};

/// An editor of a store that can be troubled, a log and a name.
async fn scene() -> (Arc<Troubled>, Editor, Arc<Log>, ProjectionName) {
    let store = memory::open().await;
    let troubled = Troubled::over(store.storage.clone());
    let store = TestStore { storage: Storage::new(troubled.clone()), ..store };
    let changes = Changes::new(store.storage.clone(), Tasks::default());
    let editor = Editor::new(store.storage.clone(), changes, Tasks::default());
    (troubled, editor, Arc::new(store.log().await), ProjectionName::stored(random::name(10)))
}

fn save(id: &str) -> Edit {
    let id = EntryId::stored(id);
    let (state, metadata) = (Json::Null, Json::Null);
    let (source, guard, sequence_number) = (Source::Log, Guard::default(), None);
    Edit {
        changes: vec![Change::Save(Save { id, source, state, metadata, sequence_number, guard })],
        bytes: 0,
    }
}

#[tokio::test]
async fn edits_that_queue_while_a_commit_is_under_way_are_one_batch() {
    let (troubled, editor, log, name) = scene().await;
    troubled.hold();
    let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let first = editor.edit(&log, &name, save("first"));
    let rest = async {
        troubled.an_append().await;
        let rest = join_all(ids.iter().map(|id| editor.edit(&log, &name, save(id))));
        let release = async {
            troubled.release();
            troubled.an_append().await;
            troubled.release();
        };
        tokio::join!(rest, release).0
    };
    let (first, rest) = tokio::join!(first, rest);
    assert!(first.is_ok() && rest.iter().all(Result::is_ok), "{rest:?}");
    assert!(!troubled.had_an_append(), "a hundred edits were one batch");
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes() {
    let (troubled, editor, log, name) = scene().await;
    troubled.hold();
    let large = |id| editor.edit(&log, &name, Edit { bytes: 3 << 20, ..save(id) });
    let release = async {
        for _ in 0..4 {
            troubled.an_append().await;
            troubled.release();
        }
    };
    let ((first, rest), ()) = tokio::join!(
        async { tokio::join!(large("first"), join_all(["1", "2", "3"].map(large))) },
        release
    );
    assert!(first.is_ok() && rest.iter().all(Result::is_ok), "{rest:?}");
    assert!(!troubled.had_an_append(), "each was a batch");
}

#[tokio::test]
async fn an_edit_is_tried_again_until_its_time_is_over() {
    let (troubled, editor, log, name) = scene().await;
    let editor = editor.with_patience(Duration::from_millis(50));
    troubled.set(Trouble::Unavailable);
    let answer = editor.edit(&log, &name, save("1")).await;
    assert!(matches!(answer, Err(EditError::Storage(StorageError::Unavailable(_)))), "{answer:?}");
    troubled.an_append().await;
    troubled.an_append().await;
    troubled.set(Trouble::OutcomeUnknown);
    let answer = editor.edit(&log, &name, save("1")).await;
    assert!(
        matches!(answer, Err(EditError::Storage(StorageError::OutcomeUnknown(_)))),
        "{answer:?}"
    );
    troubled.set(Trouble::None);
    let edited = editor.edit(&log, &name, save("1")).await.expect("it is saved");
    assert_eq!(edited[0].projection.version, 1, "nothing was written before");
    let mut view = troubled.inner().projections.projections(&log).await.expect("a view opens");
    let stretch = Stretch {
        name: None,
        from: None,
        direction: Direction::Forwards,
        limit: 10,
        bytes: 1_000,
        sieve: None,
    };
    assert_eq!(view.stretch(&stretch).await.expect("it is read").documents.len(), 1);
}

#[tokio::test]
async fn a_panic_of_the_store_is_an_error_of_the_batch_alone() {
    let (troubled, editor, log, name) = scene().await;
    troubled.set(Trouble::PanicInAppend);
    let answer = editor.edit(&log, &name, save("1")).await;
    assert!(matches!(answer, Err(EditError::Storage(StorageError::Broken(_)))), "{answer:?}");
    troubled.set(Trouble::None);
    editor.edit(&log, &name, save("1")).await.expect("it is saved");
}

#[tokio::test]
async fn who_waits_hears_of_what_another_process_saves() {
    let (troubled, editor, log, name) = scene().await;
    let here = Changes::new(Storage::new(troubled), Tasks::default());
    let mut following = here.follow(&log, &name);
    let patience = Duration::from_secs(60);
    let began = std::time::Instant::now();
    let mut edit = save("a");
    for change in &mut edit.changes {
        if let Change::Save(save) = change {
            save.sequence_number = Some(5);
        }
    }
    let (held, edited) =
        tokio::join!(following.wait_for(None, 5, patience), editor.edit(&log, &name, edit));
    assert!(edited.is_ok());
    assert_eq!(held.expect("the store answers"), 5);
    assert!(began.elapsed() < patience / 2, "it was told, and not let wait");
}
