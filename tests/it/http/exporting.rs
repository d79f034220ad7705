//! Exports: all of a source, as it was when the answer began.

use serde_json::json;

use crate::support::server::{JOE, Setup};

#[tokio::test]
async fn an_export_gives_all_events_line_by_line() {
    // Small pages, so that an export is made of many.
    let server = Setup::memory().limits(|limits| limits.page_events = 3).start().await;
    server.fill(JOE, 10).await;
    server.fill("/v1/logs/default/categories/orders/streams/o-1", 4).await;
    for (source, count) in
        [("/v1/logs/default", 14), ("/v1/logs/default/categories/profiles", 10), (JOE, 10)]
    {
        let export = server.get(&format!("{source}/export")).await.expect(200);
        assert_eq!(export.header("content-type"), "application/x-ndjson");
        assert_eq!(export.header("cache-control"), "no-store");
        assert!(export.bytes.ends_with(b"}\n"));
        let lines = export.lines();
        assert_eq!(lines.len(), count);
        let url = format!("{source}/events/latest");
        assert_eq!(lines.last(), Some(&server.get(&url).await.json()));
    }
    let empty = server.get("/v1/logs/default/categories/none/export").await.expect(200);
    assert!(empty.bytes.is_empty());
}

#[tokio::test]
async fn an_export_begins_after_a_place_and_honours_filters() {
    let server = Setup::memory().limits(|limits| limits.page_events = 2).start().await;
    server.fill(JOE, 5).await;
    let body = json!({"events": [{"name": "other"}, {"name": "e"}]});
    server.post(&format!("{JOE}/events"), &body).await.expect(201);
    let positions = async |query: &str| {
        let export = server.get(&format!("{JOE}/export?{query}")).await.expect(200);
        export.lines().iter().map(|e| e["position"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions("after=2").await, [3, 4, 5, 6]);
    assert_eq!(positions("after_sequence_number=2&name=e").await, [2, 3, 4, 6]);
    assert_eq!(positions("name=other").await, [5]);
    assert_eq!(positions("after=6").await, [0; 0]);
    for query in ["limit=3", "direction=backwards", "wait=1"] {
        let name = query.split('=').next().unwrap();
        let answer = server.get(&format!("{JOE}/export?{query}")).await;
        answer.fault(422, "invalid-request", name);
    }
    server.get(&format!("{JOE}/export?before=3")).await.fault(422, "invalid-request", "before");
}

#[tokio::test]
async fn an_export_ends_at_the_head_that_it_had_at_its_first_byte() {
    use everlog::storage::Storage;

    use crate::support::trouble::Troubled;

    let setup = Setup::memory().limits(|limits| limits.page_events = 1);
    let troubled = Troubled::over(setup.storage.clone());
    let server = Setup { storage: Storage::new(troubled.clone()), ..setup }.start().await;
    server.fill(JOE, 20).await;
    troubled.forget_views();
    let url = format!("{JOE}/export");
    // The first view fixes the end; what is published before the later ones is not exported.
    let (export, ()) = tokio::join!(server.get(&url), async {
        troubled.a_view().await;
        server.fill(JOE, 5).await;
    });
    assert_eq!(export.expect(200).lines().len(), 20);
    assert_eq!(server.get(&url).await.expect(200).lines().len(), 25);
}
