//! Walks pages from link to link, as a client does, and tells what a walk missed.

use std::collections::HashMap;

use serde_json::Value;

use super::server::{Answer, Server};

/// Where the walker finds its links.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Links {
    Body,
    Header,
}

impl Links {
    /// The link to the next or the previous page.
    pub(crate) fn find(self, answer: &Answer, next: bool) -> Option<String> {
        match self {
            Self::Body => {
                let page = &answer.json()["page"];
                page[if next { "next" } else { "previous" }].as_str().map(str::to_owned)
            }
            Self::Header => {
                let rel = if next { "; rel=\"next\"" } else { "; rel=\"prev\"" };
                let link = answer.header("link").split(", ").find(|link| link.ends_with(rel))?;
                Some(link.strip_suffix(rel)?.trim_matches(['<', '>']).to_owned())
            }
        }
    }
}

/// The pages from here on, through their `next` or their `previous` links.
pub(crate) async fn pages(server: &Server, first: &str, links: Links, next: bool) -> Vec<Answer> {
    let mut pages = Vec::new();
    let mut url = Some(first.to_owned());
    while let Some(here) = url {
        let page = server.get(&here).await.expect(200);
        url = links.find(&page, next);
        pages.push(page);
        assert!(pages.len() < 1_000, "the links go in a circle at {here}");
    }
    pages
}

/// The events of pages, in the order in which they came.
pub(crate) fn events(pages: &[Answer]) -> Vec<Value> {
    let events = |page: &Answer| page.json()["events"].as_array().cloned();
    pages.iter().filter_map(events).flatten().collect()
}

/// What is not once among the events that were walked, or not in their stream's order.
pub(crate) fn faults(wanted: &[Value], walked: &[Value]) -> Vec<String> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut positions: HashMap<(&str, &str), i64> = HashMap::new();
    let mut faults = Vec::new();
    let text = |event: &'static str| move |value: &Value| value[event].as_str().map(str::to_owned);
    for event in walked {
        *seen.entry(event["id"].as_str().unwrap_or_default()).or_default() += 1;
        let (category, stream) = (event["category"].as_str(), event["stream"].as_str());
        let key = (category.unwrap_or_default(), stream.unwrap_or_default());
        let position = event["position"].as_i64().unwrap_or(-1);
        if positions.insert(key, position).is_some_and(|before| before >= position) {
            faults.push(format!("position {position} of {key:?} came late"));
        }
    }
    for id in wanted.iter().filter_map(text("id")) {
        match seen.get(id.as_str()) {
            Some(1) => {}
            Some(times) => faults.push(format!("{id} came {times} times")),
            None => faults.push(format!("{id} was skipped")),
        }
    }
    if walked.len() > wanted.len() {
        faults.push(format!("{} events of {}", walked.len(), wanted.len()));
    }
    faults
}
