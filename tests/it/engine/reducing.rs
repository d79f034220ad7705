//! Streams that are reduced on demand: from a snapshot as from the first event.

use std::time::Duration;

use everlog::{
    engine::reduce::{Reduced, SNAPSHOT_EVENTS, Until},
    model::{Filter, Json, Projection, Revision, StreamKey, StreamName, TimeRange, Timestamp},
    storage::projections::Kept,
    testing::conformance::TestStore,
};

use super::projecting::{Scene, on_each_store};

const EVENTS: i64 = 2 * SNAPSHOT_EVENTS + 345;

impl Scene {
    async fn reduced(&self, revision: &Revision, until: &Until, goes_on: bool) -> Option<Reduced> {
        let stream = StreamName::stored("s");
        let stream = StreamKey { category: self.category.clone(), stream };
        let revision = self.revision(revision.id).await.expect("it is there");
        let reduced = self.node.runners.reduced(&self.log, &revision, &stream, until, goes_on);
        reduced.await.expect("it can be reduced")
    }

    /// The snapshots that are kept, by their positions.
    async fn snapshots(&self, revision: &Revision) -> Vec<i64> {
        let found = self.kept_under(&revision.snapshots()).await;
        let position = |state: String| -> i64 {
            let state: serde_json::Value = serde_json::from_str(&state).expect("JSON");
            state["at"]["position"].as_i64().expect("a position")
        };
        let mut positions: Vec<i64> =
            found.iter().map(|kept| position(kept.state.to_string())).collect();
        positions.sort_unstable();
        positions
    }

    async fn until_kept(&self, revision: &Revision, positions: &[i64]) {
        let kept = async {
            while self.snapshots(revision).await != positions {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), kept).await.expect("they are kept");
    }
}

async fn what_comes_of_a_stream_is_the_same_from_a_snapshot(store: TestStore) {
    let scene = Scene::new(store).await;
    let category = scene.category.to_string();
    // Numbers that are no integers, large ones, keys out of order, and two entries, one of which is deleted now and then.
    let text = format!(
        "export default {{ source: {{ category: {category:?} }}, id: (e) => ['x', e.position % 7 ? 'y' : 'z'],
           initial_state: () => ({{ z: 0, a: [], big: 9007199254740993n }}), update_metadata: (s, m, e) => ({{ ...m, last: e.position }}),
           handlers: {{ e: (s, {{ position, payload }}) => {{
             if (position % 701 === 700) return null;
             s.z += payload / 3; s.big += 1n; s.a.push(position); if (s.a.length > 3) s.a.shift(); }} }} }};"
    );
    let revision = scene.put(&text).await;
    let payloads: Vec<String> = (0..EVENTS).map(|n| (n % 10).to_string()).collect();
    for part in payloads.chunks(500) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        scene.publish("s", "e", &part).await;
    }
    let now = Until::default();
    let whole = scene.reduced(&revision, &now, false).await.expect("there are events");
    assert_eq!((whole.position, whole.events, whole.entries.len()), (EVENTS - 1, EVENTS, 3));
    scene.until_kept(&revision, &[SNAPSHOT_EVENTS - 1, 2 * SNAPSHOT_EVENTS - 1]).await;
    // Each of these is reduced from the first event, and from what is kept.
    let at = |position| Until { position: Some(position), ..Until::default() };
    let time = |until: &str| {
        let until = Some(until.parse::<Timestamp>().expect("a time"));
        let recorded = TimeRange { from: None, until };
        Until { position: None, filter: Filter { recorded, ..Filter::default() } }
    };
    let asked = [
        now,
        at(0),
        at(SNAPSHOT_EVENTS - 2),
        at(SNAPSHOT_EVENTS - 1),
        at(SNAPSHOT_EVENTS),
        at(2 * SNAPSHOT_EVENTS + 1),
        at(EVENTS + 5),
        time("2030-01-01T00:00:00Z"),
        time("2020-01-01T00:00:00Z"),
    ];
    for until in asked {
        let whole = scene.reduced(&revision, &until, false).await;
        let goes_on = scene.reduced(&revision, &until, true).await;
        assert_eq!(goes_on, whole, "{until:?}");
    }
    // It is as what the projector has made of it, which is of this stream alone.
    let end = payloads.len();
    scene.until(revision.id, |of| usize::try_from(of.progress.events) == Ok(end)).await;
    assert_eq!(scene.documents(&revision).await, whole.entries);
    // Snapshots go with the revision.
    let projectors = &scene.store.storage.projectors;
    projectors.delete_projector(&scene.log, &scene.projector, false).await.expect("it is gone");
    scene.node.runners.look().await.expect("it looks");
    scene.until_kept(&revision, &[]).await;
    scene.node.tasks.stop();
}

/// The control: a snapshot that is not what the events make is what is answered, unless it ends at another event.
async fn what_is_kept_is_what_is_gone_on_from(store: TestStore) {
    let scene = Scene::new(store).await;
    let category = scene.category.to_string();
    let text = format!(
        "export default {{ source: {{ category: {category:?} }}, initial_state: 0, handlers: {{ e: (s) => s + 1 }} }};"
    );
    let revision = scene.put(&text).await;
    let payloads: Vec<&str> = (0..=SNAPSHOT_EVENTS).map(|_| "1").collect();
    scene.publish("s", "e", &payloads).await;
    let now = Until::default();
    let state =
        |reduced: Option<Reduced>| reduced.expect("it is there").entries[0].state.to_string();
    assert_eq!(state(scene.reduced(&revision, &now, true).await), "1001");
    scene.until_kept(&revision, &[SNAPSHOT_EVENTS - 1]).await;
    let kept = scene.kept_under(&revision.snapshots()).await.remove(0);
    let plant = async |from: &str, to: &str| {
        let text = kept.state.to_string();
        assert!(text.contains(from), "{text}");
        let state = Json::stored(&text.replace(from, to));
        let projection = Projection { state, ..kept.clone() };
        let planted = Kept { projection, change: 0, deleted: false };
        let projectors = &scene.store.storage.projectors;
        projectors.keep_snapshots(&scene.log, &revision, &[planted]).await.expect("it is kept");
    };
    plant("\"state\":1000", "\"state\":7").await;
    assert_eq!(state(scene.reduced(&revision, &now, true).await), "8");
    let check = kept.state.to_string();
    let check = check.split("\"check\":").nth(1).expect("it has one");
    let check = check.split(',').next().expect("a number");
    plant(&format!("\"check\":{check}"), "\"check\":1").await;
    assert_eq!(state(scene.reduced(&revision, &now, true).await), "1001");
    scene.node.tasks.stop();
}

on_each_store!(
    what_comes_of_a_stream_is_the_same_from_a_snapshot,
    what_is_kept_is_what_is_gone_on_from
);
