//! Projections as a whole: listed, looked at, dropped.

use axum::{extract::State, http::HeaderMap, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    catalogue::{ListingPage, listing_page},
    error::{Kind, Problem},
    extract::{InLog, InProjection, MediaType, negotiate},
    gate::{Authorized, Project, Read},
    links,
    logs::json_answer,
    openapi::{ListingQuery, LogPath, ProjectionPath, ReadFailures, SaveFailures},
    projection_indexes::IndexOutput,
    projections::{refuse_fed, unsettled},
    query::Query,
    state::App,
};
use crate::{
    engine::fed::Fed,
    model::{Log, ProjectionName, ProjectorName, Standing},
    storage::{Listing, StorageError, projections::ProjectionView},
};

/// A projection: the entries of one name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Projection)]
pub(super) struct ProjectionOutput {
    /// Its name.
    projection: String,
    /// How many entries it has.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    entries: i64,
    /// Its declared indexes.
    indexes: Vec<IndexOutput>,
    /// The projector that feeds it; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    projector: Option<FedOutput>,
}

/// How far the projector is that feeds a projection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeedingProjector)]
struct FedOutput {
    /// The number of the revision that answers.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    revision: i64,
    /// The last event that it passed, as of a quarter of a second ago at most.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// How many events it has not passed, at most.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    lag: i64,
}

impl From<Fed> for FedOutput {
    fn from(fed: Fed) -> Self {
        Self { revision: fed.number, sequence_number: fed.sequence_number, lag: fed.lag }
    }
}

/// A page of projections, by name.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectionList)]
pub(super) struct ProjectionsOutput {
    /// The projections that have entries.
    projections: Vec<ProjectionOutput>,
    /// Where the list goes on.
    page: ListingPage,
}

/// What was dropped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DroppedProjection)]
pub(super) struct DroppedOutput {
    /// The projection.
    projection: String,
    /// How many entries it had.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    dropped: i64,
}

/// List projections
///
/// Those that have entries, by name, in byte order. They are counted, which takes time.
#[utoipa::path(get, path = "/logs/{log}/projections", tag = "projections", security(("key" = ["read"])),
    params(LogPath, ListingQuery),
    responses((status = 200, description = "The projections.", body = ProjectionsOutput),
              ReadFailures))]
pub(super) async fn list_projections(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let listing = query.listing();
    query.finish()?;
    // Those of a name's projector, which stand right behind it, are told with it.
    let after = listing.after.as_ref().map(|after| format!("{after}{AFTER_FED}"));
    let one_more = Listing { limit: listing.limit + 1, after, ..listing.clone() };
    let mut view = app.storage.projections.projections(&at.log).await?;
    let found = projections(view.as_mut(), &one_more).await;
    view.close().await;
    let mut found = found?;
    let more = found.len() > listing.limit;
    found.truncate(listing.limit);
    let last = found.last().filter(|_| more).map(|found| found.projection.known().to_owned());
    let output = |found: Found| {
        let known = found.projection.known();
        let fed = app.runners.fed(&at.log.name, known);
        let fed = fed.filter(|fed| fed.documents == found.projection);
        // Of a projector one revision answers.
        (fed.is_some() || !found.projection.is_fed()).then(|| ProjectionOutput {
            projection: known.to_owned(),
            entries: found.entries,
            indexes: found.indexes,
            projector: fed.map(FedOutput::from),
        })
    };
    let projections = found.into_iter().filter_map(output).collect();
    let path = format!("{}/projections", links::log(&at.log));
    let page = listing_page(&path, &listing, last.as_deref(), &query);
    Ok(json_answer(&ProjectionsOutput { projections, page }))
}

async fn projections(
    view: &mut dyn ProjectionView,
    listing: &Listing,
) -> Result<Vec<Found>, StorageError> {
    let mut found = Vec::new();
    for (projection, entries) in view.names(listing).await? {
        let indexes = view.indexes(&projection).await?.iter().map(IndexOutput::from).collect();
        found.push(Found { projection, entries, indexes });
    }
    Ok(found)
}

/// A name that has documents.
struct Found {
    projection: ProjectionName,
    entries: i64,
    indexes: Vec<IndexOutput>,
}

/// What is greater than all that stands behind the name of a projector.
const AFTER_FED: char = '\u{2}';

/// A projection as it is now, whether or not it has entries.
pub(super) async fn projection(
    app: &App,
    log: &Log,
    name: &ProjectionName,
) -> Result<Response, Problem> {
    let listing = Listing { prefix: name.to_string(), after: None, limit: 1 };
    let mut view = app.storage.projections.projections(log).await?;
    let found = view.names(&listing).await;
    let indexes = view.indexes(name).await;
    view.close().await;
    let entries = found?.iter().find(|(of, _)| of == name).map_or(0, |(_, count)| *count);
    let indexes = indexes?.iter().map(IndexOutput::from).collect();
    let projection = name.known().to_owned();
    let fed = app.runners.fed(&log.name, &projection).filter(|fed| fed.documents == *name);
    let projector = fed.map(FedOutput::from);
    Ok(json_answer(&ProjectionOutput { projection, entries, indexes, projector }))
}

/// Get a projection
///
/// How many entries it has, none while nothing was saved; and how far its indexes are built.
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}", tag = "projections", security(("key" = ["read"])),
    params(ProjectionPath),
    responses((status = 200, description = "The projection.", body = ProjectionOutput),
              ReadFailures))]
pub(super) async fn get_projection(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InProjection>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    query.finish()?;
    projection(&app, &at.log, &at.name).await
}

/// Drop a projection
///
/// Deletes all of its entries, and its indexes. Versions of entries are not used again.
#[utoipa::path(delete, path = "/logs/{log}/projections/{projection}", tag = "projections", security(("key" = ["project"])),
    params(ProjectionPath),
    responses((status = 200, description = "Dropped.", body = DroppedOutput), SaveFailures))]
pub(super) async fn drop_projection(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjection>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    if at.fed.as_ref().is_some_and(|fed| fed.retained) {
        return drop_retained(&app, &at).await;
    }
    refuse_fed(at.fed.as_ref())?;
    let dropped = app.storage.projections.drop_projection(&at.log, &at.name).await;
    let dropped = dropped.map_err(unsettled)?;
    app.changes.changed(&at.log, &at.name);
    app.indexer.kick();
    Ok(json_answer(&DroppedOutput { projection: at.name.known().to_owned(), dropped }))
}

/// Drops what a projector left behind.
async fn drop_retained(app: &App, at: &InProjection) -> Result<Response, Problem> {
    let projector = ProjectorName::stored(at.name.known());
    let found = app.storage.projectors.revisions_of(&at.log, Some(&projector)).await?;
    if found.iter().any(|found| found.standing != Standing::Retained) {
        let detail = format!("Projector `{projector}` is to feed it, and is being built.");
        return Err(Problem::new(Kind::ProjectionFed, detail));
    }
    let listing = Listing { prefix: at.name.to_string(), after: None, limit: 1 };
    let mut view = app.storage.projections.projections(&at.log).await?;
    let names = view.names(&listing).await;
    view.close().await;
    let dropped = names?.iter().find(|(name, _)| *name == at.name).map_or(0, |(_, count)| *count);
    let deleted = app.storage.projectors.delete_projector(&at.log, &projector, false).await;
    deleted.map_err(unsettled)?;
    app.runners.look().await?;
    Ok(json_answer(&DroppedOutput { projection: projector.to_string(), dropped }))
}
