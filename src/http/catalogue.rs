//! Categories and streams: listed by name, and one by one.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caching::{self, Lifetime},
    error::{Kind, Problem},
    events::not_empty,
    extract::{InCategory, InLog, InStream, MediaType, negotiate},
    gate::{Authorized, Read},
    links,
    logs::json_answer,
    openapi::{CategoryPath, CountQuery, ListingQuery, LogPath, ReadFailures, StreamPath},
    query::Query,
    state::App,
};
use crate::{
    model::Source,
    storage::{
        Listing,
        catalogue::{self, CategoryEntry, StreamEntry},
    },
};

/// Where a list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListingPage {
    /// The next page; null at the end.
    #[schema(required)]
    pub next: Option<String>,
}

/// The link to the rest of a list; `last` is the last name given, if there is more.
pub(super) fn listing_page(
    path: &str,
    listing: &Listing,
    last: Option<&str>,
    query: &Query,
) -> ListingPage {
    let next = last.map(|last| {
        let mut parameters = query.filter_pairs.clone();
        parameters.push(("cursor".to_owned(), last.to_owned()));
        parameters.push(("limit".to_owned(), listing.limit.to_string()));
        links::with_query(path, parameters)
    });
    ListingPage { next }
}

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Category)]
pub(super) struct CategoryOutput {
    /// Its name.
    category: String,
    /// How many events it has; with `count=true` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    events: Option<i64>,
    /// When its first event was stored.
    #[schema(format = DateTime)]
    first_recorded_at: String,
    /// When its last event was stored.
    #[schema(format = DateTime)]
    last_recorded_at: String,
    /// The sequence number of its last event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    last_sequence_number: i64,
}

/// A page of categories, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryList)]
pub(super) struct CategoriesOutput {
    /// The categories.
    categories: Vec<CategoryOutput>,
    /// Where the list goes on.
    page: ListingPage,
}

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stream)]
pub(super) struct StreamOutput {
    /// Its category.
    category: String,
    /// Its name.
    stream: String,
    /// The position of its last event.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// How many events it has.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    events: i64,
    /// When its first event was stored.
    #[schema(format = DateTime)]
    first_recorded_at: String,
    /// When its last event was stored.
    #[schema(format = DateTime)]
    last_recorded_at: String,
    /// The sequence number of its last event.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    last_sequence_number: i64,
}

/// A page of streams, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamList)]
pub(super) struct StreamsOutput {
    /// The streams.
    streams: Vec<StreamOutput>,
    /// Where the list goes on.
    page: ListingPage,
}

impl From<CategoryEntry> for CategoryOutput {
    fn from(entry: CategoryEntry) -> Self {
        Self {
            category: entry.category.to_string(),
            events: entry.events,
            first_recorded_at: entry.extent.first_recorded_at.to_string(),
            last_recorded_at: entry.extent.last_recorded_at.to_string(),
            last_sequence_number: entry.extent.last_sequence_number,
        }
    }
}

impl From<StreamEntry> for StreamOutput {
    fn from(entry: StreamEntry) -> Self {
        Self {
            category: entry.key.category.to_string(),
            stream: entry.key.stream.to_string(),
            position: entry.position,
            events: entry.position + 1,
            first_recorded_at: entry.extent.first_recorded_at.to_string(),
            last_recorded_at: entry.extent.last_recorded_at.to_string(),
            last_sequence_number: entry.extent.last_sequence_number,
        }
    }
}

/// List categories
///
/// By name, in byte order.
#[utoipa::path(get, path = "/logs/{log}/categories", tag = "categories and streams", security(("key" = ["read"])),
    params(LogPath, ListingQuery, CountQuery),
    responses((status = 200, description = "The categories.", body = CategoriesOutput),
              ReadFailures))]
pub(super) async fn list_categories(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let (listing, count) = (query.listing(), query.flag("count"));
    query.finish()?;
    let mut view = app.storage.events.view(&at.log).await?;
    let found = catalogue::categories(view.as_mut(), &at.log, &listing, count).await;
    view.close().await;
    let (entries, more) = found?;
    if count {
        query.filter_pairs.push(("count".to_owned(), "true".to_owned()));
    }
    let last = entries.last().filter(|_| more).map(|entry| entry.category.to_string());
    let path = format!("{}/categories", links::path(&at.log, &Source::Log));
    let page = listing_page(&path, &listing, last.as_deref(), &query);
    let categories = entries.into_iter().map(CategoryOutput::from).collect();
    Ok(json_answer(&CategoriesOutput { categories, page }))
}

/// Get a category
///
/// 404 while it has no event.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}", tag = "categories and streams", security(("key" = ["read"])),
    params(CategoryPath, CountQuery),
    responses((status = 200, description = "The category.", body = CategoryOutput), ReadFailures))]
pub(super) async fn get_category(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InCategory>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let count = query.flag("count");
    query.finish()?;
    let mut view = app.storage.events.view(&at.log).await?;
    let found = catalogue::category(view.as_mut(), &at.log, &at.category, count).await;
    view.close().await;
    let output: CategoryOutput = found?.map(Into::into).ok_or_else(|| {
        let detail = format!("Category `{}` has no events.", at.category);
        Problem::new(Kind::CategoryNotFound, detail)
    })?;
    let tag = format!("\"{}\"", output.last_sequence_number);
    let body = serde_json::to_string(&output).unwrap_or_default();
    Ok(caching::answer(&headers, &tag, Lifetime::Revalidate, "application/json", body))
}

/// List the streams of a category
///
/// By name, in byte order.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams",
    tag = "categories and streams", security(("key" = ["read"])), params(CategoryPath, ListingQuery),
    responses((status = 200, description = "The streams.", body = StreamsOutput), ReadFailures))]
pub(super) async fn list_streams(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InCategory>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let listing = query.listing();
    query.finish()?;
    let mut view = app.storage.events.view(&at.log).await?;
    let found = catalogue::streams(view.as_mut(), &at.log, &at.category, &listing).await;
    view.close().await;
    let (entries, more) = found?;
    let last = entries.last().filter(|_| more).map(|entry| entry.key.stream.to_string());
    let path = format!("{}/streams", links::path(&at.log, &Source::Category(at.category)));
    let page = listing_page(&path, &listing, last.as_deref(), &query);
    let streams = entries.into_iter().map(StreamOutput::from).collect();
    Ok(json_answer(&StreamsOutput { streams, page }))
}

/// Get a stream
///
/// Its `ETag` is its last position: send it back in `If-Match` to publish only if nothing was
/// written meanwhile. 404 while the stream is empty.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}",
    tag = "categories and streams", security(("key" = ["read"])), params(StreamPath),
    responses((status = 200, description = "The stream.", body = StreamOutput,
               headers(("ETag" = String, description = "The last position, quoted."))),
              ReadFailures))]
pub(super) async fn get_stream(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InStream>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    let mut view = app.storage.events.view(&at.log).await?;
    let found = catalogue::stream(view.as_mut(), &at.log, &at.key).await;
    view.close().await;
    let Some(entry) = found? else {
        not_empty(&Source::Stream(at.key))?;
        return Err(Problem::new(Kind::StreamNotFound, "The stream has no events."));
    };
    let tag = format!("\"{}\"", entry.position);
    let body = serde_json::to_string(&StreamOutput::from(entry)).unwrap_or_default();
    Ok(caching::answer(&headers, &tag, Lifetime::Revalidate, "application/json", body))
}
