//! Writes projections as JSON. By hand, because state and metadata are JSON already.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    model::{Json, Projection},
    query::eval,
};

/// An entry, as it is read.
#[derive(Debug, ToSchema)]
#[schema(as = Entry, examples(json!({
    "name": "profiles", "id": "joe.bloggs",
    "source": {"category": "profiles", "stream": "joe.bloggs"},
    "state": {"logins": 3, "name": "Joe"}, "metadata": null, "version": 2, "sequence_number": 17,
    "created_at": "2026-11-23T09:00:00.000000Z", "updated_at": "2026-11-23T09:05:00.000000Z"
})))]
#[expect(dead_code, reason = "describes what write_entry writes; a test holds the two together")]
pub(super) struct EntryOutput {
    /// The name of its projection.
    name: String,
    /// Its id.
    id: String,
    /// What it is derived from.
    source: EntrySource,
    /// Any JSON, members sorted by key.
    state: serde_json::Value,
    /// Any JSON, members sorted by key.
    metadata: serde_json::Value,
    /// Counts its saves.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    version: i64,
    /// The last event that it holds, if whoever saved it said so.
    #[schema(required, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: Option<i64>,
    /// When it was saved first.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was saved last.
    #[schema(format = DateTime)]
    updated_at: String,
    /// How alike it is to what the query sorts by, from 0 to 1; only if it sorts by that.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    score: Option<f64>,
}

/// What an entry is derived from: `log` is true, or there is a category, and perhaps a stream of it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes what write_entry writes; a test holds the two together")]
pub(super) struct EntrySource {
    /// The whole log.
    #[schema(nullable = false)]
    log: Option<bool>,
    /// A category, or the category of `stream`.
    #[schema(nullable = false)]
    category: Option<String>,
    /// A stream of `category`.
    #[schema(nullable = false)]
    stream: Option<String>,
}

/// A page of entries.
#[derive(Debug, ToSchema)]
#[schema(as = EntryPage)]
#[expect(dead_code, reason = "describes what write_page writes")]
pub(super) struct EntriesOutput {
    /// The entries, in the order of the query.
    entries: Vec<EntryOutput>,
    /// Where the page stands.
    page: EntryPlace,
    /// How many match the filter; only if `count` was asked for.
    #[schema(nullable = false, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    count: Option<u64>,
    /// How it was come by; only if `explain` was asked for.
    #[schema(nullable = false)]
    plan: Option<QueryPlan>,
}

/// How a query was answered.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueryPlan {
    /// The declared index that served; null if all entries were gone through.
    #[schema(required)]
    pub index: Option<String>,
    /// What was read, in words for people.
    pub plan: String,
    /// How many entries were examined.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub examined: usize,
}

/// Where a page of entries stands in what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryPlace {
    /// The cursor for `page.after`, which gives the next page; null at the end.
    #[schema(required)]
    pub next: Option<String>,
    /// The cursor for `page.before`, which gives the page before; null at the beginning.
    #[schema(required)]
    pub previous: Option<String>,
    /// Whether something comes after this page. Of one asked for with `before` it is true: something did.
    pub has_next: bool,
    /// Whether something comes before this page. Of one asked for with `after` it is true: something did.
    pub has_previous: bool,
}

/// A value as it is written.
pub(super) fn raw(json: &Json) -> Box<RawValue> {
    RawValue::from_string(json.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Appends one entry.
pub(super) fn write_entry(out: &mut String, entry: &Projection, score: Option<f64>) {
    let text = |text: &str| Json::String(text.to_owned());
    let Projection { version, created_at, updated_at, state, metadata, .. } = entry;
    let (name, id) = (text(entry.name.known()), text(entry.id.as_str()));
    let source = eval::source(&entry.source);
    let number = entry.sequence_number.map_or("null".to_owned(), |number| number.to_string());
    out.push_str(&format!(
        "{{\"name\":{name},\"id\":{id},\"source\":{source},\"state\":{state},\
         \"metadata\":{metadata},\"version\":{version},\"sequence_number\":{number},\
         \"created_at\":\"{created_at}\",\"updated_at\":\"{updated_at}\""
    ));
    if let Some(score) = score {
        out.push_str(&format!(",\"score\":{score}"));
    }
    out.push('}');
}

/// A page.
pub(super) fn write_page<'a>(
    entries: impl Iterator<Item = (&'a Projection, Option<f64>)>,
    place: &EntryPlace,
    count: Option<u64>,
    plan: Option<&QueryPlan>,
) -> String {
    let mut out = "{\"entries\":[".to_owned();
    for (index, (entry, score)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_entry(&mut out, entry, score);
    }
    out.push_str("],\"page\":");
    out.push_str(&serde_json::to_string(place).unwrap_or_default());
    if let Some(count) = count {
        out.push_str(&format!(",\"count\":{count}"));
    }
    if let Some(plan) = plan {
        out.push_str(",\"plan\":");
        out.push_str(&serde_json::to_string(plan).unwrap_or_default());
    }
    out.push('}');
    out
}
