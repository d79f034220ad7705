//! What every client can do, with the one of progenitor: `scenario <url> <log>`.

use std::collections::HashMap;

use program::types::{
    CategoryWrite, Filter, LogInput, EventInput, EventInputId, Operand, ProjectorInput,
    ProjectorSource, Query, Sort, SortOrder, error::ConversionError,
};
use program::{Client, Error};
use serde_json::json;

const PLACED: &str = "0197c3a0-0000-7000-8000-000000000001";
const PAID: &str = "0197c3a0-0000-7000-8000-000000000002";
const LOST: &str = "0197c3a0-0000-7000-8000-000000000003";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, log] = arguments.as_slice() else { panic!("usage: scenario <url> <log>") };
    let (client, log) = (Client::new(url), log.as_str());
    let event = |name, total| EventInput::builder().name(name).payload(json!({ "total": total }));
    let publish = |name, id, total| {
        let event: EventInput = event(name, total).id(EventInputId::try_from(id)?).try_into()?;
        let publish = client.publish_to_stream().log(log).category("orders").stream("o-1");
        Ok::<_, ConversionError>(publish.body_map(|body| body.events([event])))
    };

    client.put_log().log(log).body(LogInput::builder()).send().await?;
    let placed = publish("order-placed", PLACED, 5)?.if_none_match("*").send().await?;
    let still_placed = format!("\"{}\"", placed.position);
    let paid = publish("order-paid", PAID, 5)?.if_match(&still_placed).send().await?;
    assert_eq!((placed.position, paid.position, paid.replayed), (0, 1, false));
    println!("ok publish");

    let lost = publish("order-lost", LOST, 7)?.if_match(&still_placed).send().await;
    let Err(Error::ErrorResponse(problem)) = lost else { panic!("not refused: {lost:?}") };
    assert_eq!(problem.code, "write-condition-failed");
    assert_eq!((problem.status, problem.actual_position), (412, Some(paid.position)));
    println!("ok race");

    let again = publish("order-placed", PLACED, 5)?.if_none_match("*").send().await?;
    assert!(again.replayed, "{again:?}");
    assert_eq!(again.events[0].sequence_number, placed.events[0].sequence_number);
    println!("ok replay");

    let write = |n| -> Result<CategoryWrite, ConversionError> {
        let event: EventInput = event("order-placed", n).try_into()?;
        CategoryWrite::builder().stream(format!("o-{n}")).events([event]).try_into()
    };
    let writes: Vec<_> = (2..6).map(write).collect::<Result<_, _>>()?;
    let publish = client.publish_to_category().log(log).category("orders");
    let written = publish.body_map(|body| body.writes(writes)).send().await?;
    let (mut seen, mut after) = (Vec::new(), Some("0".to_string()));
    while let Some(cursor) = after {
        let read = client.read_category().log(log).category("orders").after(cursor).limit(4_u64);
        let page = read.send().await?.into_inner();
        seen.extend(page.events.iter().map(|event| event.sequence_number));
        after = page.page.after.filter(|_| !page.page.at_end);
    }
    assert_eq!((seen.len(), seen.last()), (6, Some(&written.sequence_number)));
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    println!("ok page");

    let handler = "(state, { payload }) => ({ total: state.total + payload.total })";
    let handlers = HashMap::from([("order-placed".to_string(), handler.to_string())]);
    let source: ProjectorSource =
        ProjectorSource::builder().category("orders".to_string()).try_into()?;
    let definition = ProjectorInput::builder()
        .source(source)
        .handlers(handlers)
        .initial_state(json!({ "total": 0 }));
    let projector =
        client.put_projector().log(log).projector("totals").body(definition).send().await?;
    assert_eq!(projector.projector, "totals");
    println!("ok project");

    let path = "/state/total".to_string();
    let at_least_4: Operand = Operand::builder().path(&path).value(json!(4)).try_into()?;
    let filter: Filter = Filter::builder().ge(at_least_4).try_into()?;
    let sort: Sort = Sort::builder().path(path).order(SortOrder::try_from("desc")?).try_into()?;
    let query = Query::builder().filter(filter).sort([sort]);
    let search = client.search_projection().log(log).projection("totals").body(query);
    let search = search.min_sequence_number(written.sequence_number.get()).wait(30);
    let found = search.send().await?.into_inner().entries;
    assert_eq!(
        (found.len(), &found[0].state["total"], found[2].id.as_str()),
        (3, &json!(5), "o-4")
    );
    println!("ok search");
    Ok(())
}
