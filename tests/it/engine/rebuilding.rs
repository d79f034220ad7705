//! Property: what is built anew is what was followed live, byte for byte, whatever comes and however many at once.

use everlog::{
    model::Revision,
    testing::{conformance::TestStore, random},
};

use super::projecting::{Scene, on_each_store};

/// Definitions that use what a language has: deletes, several ids, arrays, large integers, fractions, metadata.
const BODIES: [&str; 4] = [
    "initial_state: { n: 0 }, handlers: { a: (s, { payload }) => { s.n += payload; }, b: (s, e) => ({ ...s, last: e.position }), c: () => null }",
    "initial_state: () => [], id: (e) => e.payload % 3 ? ['x', `p${e.payload}`] : e.payload ? 'x' : null, handlers: { '*': (s, e) => s.length > 4 ? null : [...s, e.name] }",
    "initial_state: 9007199254740993n, update_metadata: (s, m, e) => ({ seen: (m.seen ?? 0) + e.payload / 7, at: e.occurred_at }), handlers: { a: (s) => BigInt(s) + 1n, c: (s) => BigInt(s) * 3n % 1000000007n }",
    "initial_state: {}, handlers: { a: (s, e) => { (s[e.payload] ??= []).push(e.position); }, b: (s, e) => { delete s[e.payload]; }, c: (s, e) => { s.mean = ((s.mean ?? 0) * 3 + e.payload / 3) / 4; } }",
];
const ROUNDS: usize = 6;

fn definition(scene: &Scene, body: &str, batch: usize) -> String {
    let category = scene.category.to_string();
    format!(
        "export default {{ source: {{ category: {category:?} }}, limits: {{ batch_events: {batch} }}, {body} }};"
    )
}

/// Some events of some streams.
async fn publish_some(scene: &Scene) {
    for _ in 0..=random::below(12) {
        let stream = format!("s{}", random::below(4));
        let name = ["a", "b", "c", "d"][random::below(4)];
        let payloads: Vec<String> =
            (0..=random::below(9)).map(|_| random::below(10).to_string()).collect();
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        scene.publish(&stream, name, &payloads).await;
    }
}

async fn passed_all(scene: &Scene, revision: &Revision) -> Vec<String> {
    let end = scene.store.backdoor.events(&scene.log).await.len();
    let end = i64::try_from(end).expect("a count");
    let done = scene.until(revision.id, |of| of.progress.sequence_number == end).await;
    assert_eq!(done.halt, None);
    scene.told(revision).await
}

async fn what_is_built_anew_is_what_was_followed(store: TestStore) {
    let scene = Scene::new(store).await;
    for body in BODIES {
        let mut text = definition(&scene, body, 1 + random::below(9));
        let mut revision = scene.put(&text).await;
        for round in 0..ROUNDS {
            // Followed as it comes: what comes at once is chance.
            publish_some(&scene).await;
            let live = passed_all(&scene, &revision).await;
            // No two in a row are the same.
            let batch = 1 + random::below(40) * ROUNDS + round;
            let anew = definition(&scene, body, batch + 10);
            let built = scene.put(&anew).await;
            assert_eq!(passed_all(&scene, &built).await, live, "{text}\n{anew}");
            (revision, text) = (built, anew);
        }
    }
    scene.node.tasks.stop();
}

/// The control: what depends on where batches end is seen.
async fn what_depends_on_batches_is_caught(store: TestStore) {
    let scene = Scene::new(store).await;
    let body = "initial_state: { n: 0 }, handlers: { a: (s) => { s.n += s.fresh === undefined ? 1 : 0; Object.defineProperty(s, 'fresh', { value: 1, configurable: true }); } }";
    let revision = scene.put(&definition(&scene, body, 1)).await;
    scene.publish("s", "a", &["1"; 20]).await;
    let live = passed_all(&scene, &revision).await;
    let built = scene.put(&definition(&scene, body, 20)).await;
    assert_ne!(passed_all(&scene, &built).await, live);
    scene.node.tasks.stop();
}

on_each_store!(what_is_built_anew_is_what_was_followed, what_depends_on_batches_is_caught);
