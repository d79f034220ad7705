//! One who is overtaken while it has events to commit: cut off from the store until another has gone on.

use std::sync::Arc;

use everlog::testing::conformance::TestStore;

use super::projecting::{Scene, counting, node, on_each_store};
use crate::support::planted_projectors::{Late, planted};

/// Whether what comes late is taken, and what is miscounted then.
async fn overtaken(store: TestStore, fenced: bool) -> (bool, Vec<String>) {
    let (late, projectors) = (Arc::new(Late::new(fenced)), store.storage.projectors.clone());
    let storage = planted(&store.storage, late.clone());
    let scene = Scene::new(TestStore { storage, ..store }).await;
    let revision = scene.put(&counting(&scene.category, "")).await;
    scene.publish("a", "added", &["1"]).await;
    scene.until(revision.id, |of| of.progress.events == 1).await;
    late.cut_off();
    scene.publish("a", "added", &["2"]).await;
    late.loses(&projectors, revision.id).await;
    let other = node(&scene.store);
    scene.publish("b", "added", &["3"]).await;
    scene.until(revision.id, |of| of.progress.events == 3).await;
    let taken = late.is_taken().await;
    scene.publish("b", "added", &["4"]).await;
    scene.passed_all(&revision).await;
    scene.node.tasks.stop();
    other.tasks.stop();
    (taken, scene.miscounted(&revision).await)
}

async fn what_comes_late_is_refused(store: TestStore) {
    assert_eq!(overtaken(store, true).await, (false, Vec::new()));
}

/// The control.
async fn a_store_that_takes_what_comes_late_is_caught(store: TestStore) {
    let (taken, miscounted) = overtaken(store, false).await;
    assert!(taken && !miscounted.is_empty(), "{miscounted:?}");
}

on_each_store!(what_comes_late_is_refused, a_store_that_takes_what_comes_late_is_caught);
