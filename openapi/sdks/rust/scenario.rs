//! What every client can do, with the one of openapi-generator: `scenario <url> <log>`.

use std::collections::HashMap;

use everlog::apis::Error;
use everlog::apis::configuration::Configuration;
use everlog::apis::logs_api::put_log;
use everlog::apis::projectors_api::put_projector;
use everlog::apis::publish_api::{publish_to_category, publish_to_stream};
use everlog::apis::queries_api::search_projection;
use everlog::apis::read_api::read_category;
use everlog::models::{
    CategoryWrite, Filter, LogInput, EventInput, Operand, Problem, ProjectorInput, ProjectorSource,
    PublishToCategory, PublishToStream, Query, Sort,
};
use serde_json::json;

const PLACED: &str = "0197c3a0-0000-7000-8000-000000000001";
const PAID: &str = "0197c3a0-0000-7000-8000-000000000002";
const LOST: &str = "0197c3a0-0000-7000-8000-000000000003";

fn event(name: &str, total: u32) -> EventInput {
    EventInput { payload: Some(Some(json!({ "total": total }))), ..EventInput::new(name.into()) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, log] = arguments.as_slice() else { panic!("usage: scenario <url> <log>") };
    let server = &Configuration { base_path: url.clone(), ..Configuration::new() };
    let publish = async |name, id: &str, total, if_match: Option<&str>, if_none_match| {
        let event = EventInput { id: Some(id.into()), ..event(name, total) };
        let body = PublishToStream::new(vec![event]);
        publish_to_stream(server, log, "orders", "o-1", body, if_match, if_none_match, None, None)
            .await
    };

    put_log(server, log, Some(LogInput::new())).await?;
    let placed = publish("order-placed", PLACED, 5, None, Some("*")).await?;
    let still_placed = format!("\"{}\"", placed.position);
    let paid = publish("order-paid", PAID, 5, Some(&still_placed), None).await?;
    assert_eq!((placed.position, paid.position, paid.replayed), (0, 1, false));
    println!("ok publish");

    let lost = publish("order-lost", LOST, 7, Some(&still_placed), None).await;
    let Err(Error::ResponseError(lost)) = lost else { panic!("not refused: {lost:?}") };
    let problem: Problem = serde_json::from_str(&lost.content)?;
    assert_eq!(problem.code, "write-condition-failed");
    assert_eq!((problem.status, problem.actual_position), (412, Some(Some(paid.position))));
    println!("ok race");

    let again = publish("order-placed", PLACED, 5, None, Some("*")).await?;
    assert!(again.replayed, "{again:?}");
    assert_eq!(again.events[0].sequence_number, placed.events[0].sequence_number);
    println!("ok replay");

    let write = |n| CategoryWrite::new(vec![event("order-placed", n)], format!("o-{n}"));
    let body = PublishToCategory::new((2..6).map(write).collect());
    let written = publish_to_category(server, log, "orders", body, None, None, None, None).await?;
    let (mut seen, mut after) = (Vec::new(), Some("0".to_string()));
    loop {
        #[rustfmt::skip]
        let page = read_category(
            server, log, "orders", after.as_deref(), None, None, None, Some(4),
            None, None, None, None, None, None, None, None,
        ).await?;
        seen.extend(page.events.iter().map(|event| event.sequence_number));
        if page.page.at_end {
            break;
        }
        after = page.page.after;
    }
    assert_eq!((seen.len(), seen.last()), (6, Some(&written.sequence_number)));
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    println!("ok page");

    let handler = "(state, { payload }) => ({ total: state.total + payload.total })";
    let handlers = HashMap::from([("order-placed".into(), handler.into())]);
    let source = ProjectorSource { category: Some("orders".into()), ..ProjectorSource::new() };
    let initial_state = Some(Some(json!({ "total": 0 })));
    let definition = ProjectorInput { initial_state, ..ProjectorInput::new(handlers, source) };
    let projector = put_projector(server, log, "totals", definition).await?;
    assert_eq!(projector.projector, "totals");
    println!("ok project");

    let path = "/state/total".to_string();
    let at_least_4 = Operand { value: Some(Some(json!(4))), ..Operand::new(path.clone()) };
    let filter = Filter { ge: Some(Box::new(at_least_4)), ..Filter::new() };
    let sort = Sort { path: Some(path), order: Some("desc".into()), ..Sort::new() };
    let query = Query { filter: Some(Box::new(filter)), sort: Some(vec![sort]), ..Query::new() };
    let behind = Some(written.sequence_number);
    let found = search_projection(server, log, "totals", query, behind, Some(30)).await?.entries;
    let total = |entry: usize| found[entry].state.as_ref().map(|state| state["total"].clone());
    assert_eq!((found.len(), total(0), found[2].id.as_str()), (3, Some(json!(5)), "o-4"));
    println!("ok search");
    Ok(())
}
