//! A full disk, as clients meet it: 507, while reads and tails go on; and it passes by itself.

use everlog::storage::Storage;
use serde_json::json;

use crate::support::{
    frames::Frames,
    server::{JOE, Setup},
    sqlite,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_publishes_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let (store, clock) = sqlite::open_in(folder.path()).await;
    let pool = store.writer().clone();
    let setup = Setup { storage: Storage::new(store), clock, ..Setup::memory() };
    let server = setup.start().await;
    server.fill(JOE, 3).await;
    let mut tail = Frames::open(server.getting(&format!("{JOE}/tail"))).await;
    tail.expect("start").await;
    tail.events(3).await;
    tail.expect("caught-up").await;

    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&pool).await.expect("pages are counted");
    let limit = |pages: i64| sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    let large = json!({"events": [{"name": "large", "payload": "x".repeat(100_000)}]});
    for _ in 0..3 {
        // Each time, since it is a setting of the connection, which a full disk costs its place.
        sqlx::query(limit(pages + 1)).execute(&pool).await.expect("the disk is small");
        let refused = server.post(&format!("{JOE}/events"), &large).await;
        refused.problem(507, "storage-full");
        let page = server.get(&format!("{JOE}/events")).await.expect(200).json();
        assert_eq!(page["events"].as_array().map(Vec::len), Some(3), "nothing is half-written");
        let mut late = Frames::open(server.getting(&format!("{JOE}/tail?after=1"))).await;
        late.expect("start").await;
        assert_eq!(late.events(1).await[0].data["position"], 2, "tails begin meanwhile");
    }
    sqlx::query(limit(1_000_000)).execute(&pool).await.expect("there is space again");
    server.post(&format!("{JOE}/events"), &large).await.expect(201);
    assert_eq!(tail.events(1).await[0].data["position"], 3, "and the first one goes on");
}
