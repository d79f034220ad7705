//! The databases hold to the reference in random queries: so many pages as `EVERLOG_TEST_PAGES` says for each, by
//! default 2,000.

use std::io::Write;

use everlog::testing::conformance::{TestStore, agree};

use crate::support::{environment, postgres, sqlite};

async fn agrees(what: &str, store: TestStore) {
    let pages = environment("EVERLOG_TEST_PAGES").map(|text| text.parse().expect("a number"));
    let asked = agree(&store, pages.unwrap_or(2_000)).await;
    writeln!(std::io::stderr(), "{what}: {asked} pages, 0 differences").expect("it is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_agrees_with_the_reference() {
    agrees("Postgres", postgres::open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_agrees_with_the_reference() {
    agrees("SQLite", sqlite::open().await).await;
}
