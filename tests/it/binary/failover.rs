//! A fail-over to a history that lacks the last events: whoever had read them is told.

use everlog::testing::random;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{client::client, cluster::Cluster, frames::Frames, process::Process};

const EVENTS: &str = "/v1/logs/default/categories/c/streams/s/events";
const TAIL: &str = "/v1/logs/default/tail";

struct Scene {
    cluster: Cluster,
    server: Process,
    _folder: TempDir,
}

impl Scene {
    /// Five events, and three more that the snapshot does not have; a tail that has seen them all, and
    /// the cursor of the fifth and of the eighth.
    async fn start() -> (Self, Frames, [String; 2]) {
        let cluster = Cluster::start().expect("a Postgres of its own");
        let folder = TempDir::new().expect("a folder");
        let server = Process::serve(&cluster.url(), folder.path());
        let scene = Self { cluster, server, _folder: folder };
        scene.publish(5).await;
        scene.cluster.keep();
        scene.publish(3).await;
        let mut tail = Frames::of(scene.tail(None).await);
        tail.expect("start").await;
        let seen = tail.events(8).await;
        tail.expect("caught-up").await;
        let id = |index: usize| seen[index].id.clone().expect("an event has an id");
        (scene, tail, [id(4), id(7)])
    }

    /// Publishes, as often as it takes: Postgres is away for a moment.
    async fn publish(&self, count: usize) -> Value {
        let event = |_| json!({"name": "e", "id": random::id().to_string()});
        let body = json!({"events": (0..count).map(event).collect::<Vec<_>>()});
        loop {
            let request = client().post(format!("{}{EVENTS}", self.server.url)).json(&body).send();
            let response = request.await.expect("the server answers");
            if response.status().is_success() {
                return response.json().await.expect("an ack is JSON");
            }
            assert_eq!(response.status(), 503);
        }
    }

    async fn tail(&self, after: Option<&str>) -> reqwest::Response {
        loop {
            let mut request = client().get(format!("{}{TAIL}", self.server.url));
            if let Some(after) = after {
                request = request.header("last-event-id", after);
            }
            let response = request.send().await.expect("the server answers");
            if response.status() != 503 {
                return response;
            }
        }
    }
}

async fn told(tail: &mut Frames) {
    let error = tail.expect("error").await.data;
    assert_eq!((&error["code"], &error["status"]), (&json!("history-diverged"), &json!(410)));
    assert_eq!(tail.next().await, None, "and that is the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_is_told_that_history_is_shorter_though_nothing_happens() {
    let (scene, mut tail, [fifth, eighth]) = Scene::start().await;
    scene.cluster.go_back();
    told(&mut tail).await;
    assert_eq!(scene.tail(Some(&eighth)).await.status(), 410);
    let mut tail = Frames::of(scene.tail(Some(&fifth)).await);
    tail.expect("start").await;
    tail.expect("caught-up").await;
    scene.publish(1).await;
    assert_eq!(tail.events(1).await[0].data["sequence_number"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_is_told_that_history_is_another_however_soon_it_goes_on() {
    let (scene, mut tail, [_, eighth]) = Scene::start().await;
    scene.cluster.go_back();
    let ack = scene.publish(4).await;
    assert_eq!(ack["position"], 8, "the server goes on from what is there");
    told(&mut tail).await;
    assert_eq!(scene.tail(Some(&eighth)).await.status(), 410);
    let stale = client().post(format!("{}{EVENTS}", scene.server.url)).header("if-match", "\"7\"");
    let stale = stale.json(&json!({"events": [{"name": "e"}]})).send().await;
    assert_eq!(stale.expect("the server answers").status(), 412);
}
