//! Projections: saved, read, deleted, one by one, many at once, or all of a name.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::{JsonBody, only_objects},
    caching::{self, Lifetime},
    catalogue::{ListingPage, listing_page},
    conditions::{SourceInput, tags},
    error::{Fault, Kind, Problem},
    extract::{InEntry, InLog, InProjection, MediaType, negotiate},
    links,
    logs::json_answer,
    openapi::{
        EntryPath, ListingQuery, LogPath, ProjectionPath, ReachedQuery, ReadFailures, SaveFailures,
        SaveHeaders,
    },
    projection_indexes::IndexOutput,
    projection_json::{EntryOutput, write_entry},
    query::Query,
    reached::reached,
    state::App,
};
use crate::{
    engine::{edit::EditError, runners::Fed},
    model::{
        Change, Edit, EntryId, Guard, INTEGER_MAX, Json, Log, NameFault, Projection,
        ProjectionName, ProjectorName, Save, Standing, json_scan,
        limits::{JSON_DEPTH_MAX, SAVE_ENTRIES_MAX},
        projection::Broken,
    },
    storage::{
        Listing, StorageError,
        projections::{EditRefusal, Edited, ProjectionView},
    },
};

/// An entry to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = EntryInput, examples(json!({
    "source": {"category": "profiles", "stream": "joe.bloggs"}, "state": {"name": "Joe", "logins": 3}
})))]
pub(super) struct EntryInput {
    /// What it is derived from. Of an entry that exists the source of its first save is kept.
    source: SourceInput,
    /// Any JSON: numbers are kept by value (integers up to 2^63 − 1, others as 64-bit floats), members
    /// sorted by key.
    #[schema(value_type = serde_json::Value)]
    state: Box<RawValue>,
    /// Any JSON; absent is null.
    #[schema(value_type = serde_json::Value, required = false)]
    metadata: Option<Box<RawValue>>,
    /// The last event that it holds, for those who wait for one.
    #[schema(nullable = false, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: Option<i64>,
}

/// An entry of a bulk save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = IdentifiedEntryInput)]
pub(super) struct IdentifiedInput {
    /// What tells it from others of the projection.
    #[schema(min_length = 1, max_length = 255, example = "joe.bloggs")]
    id: String,
    /// What it is derived from. Of an entry that exists the source of its first save is kept.
    source: SourceInput,
    /// Any JSON.
    #[schema(value_type = serde_json::Value)]
    state: Box<RawValue>,
    /// Any JSON; absent is null.
    #[schema(value_type = serde_json::Value, required = false)]
    metadata: Option<Box<RawValue>>,
    /// The last event that it holds, for those who wait for one.
    #[schema(nullable = false, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: Option<i64>,
}

/// Entries to save, all or nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = EntriesInput, examples(json!({"entries": [
    {"id": "joe.bloggs", "source": {"category": "profiles", "stream": "joe.bloggs"}, "state": {"name": "Joe"}}
]})))]
pub(super) struct EntriesInput {
    /// The entries; an id stands here once.
    #[schema(min_items = 1, max_items = 10_000)]
    entries: Vec<IdentifiedInput>,
}

only_objects!(EntryInput, IdentifiedInput, EntriesInput);

/// What was saved of one entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedEntry)]
pub(super) struct SavedOutput {
    /// Its id.
    id: String,
    /// Its version.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    version: i64,
    /// Whether it is new.
    created: bool,
}

/// The answer to a bulk save.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SavedEntries)]
pub(super) struct SavedListOutput {
    /// The entries, in request order.
    entries: Vec<SavedOutput>,
}

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
#[utoipa::path(get, path = "/logs/{log}/projections", tag = "projections",
    params(LogPath, ListingQuery),
    responses((status = 200, description = "The projections.", body = ProjectionsOutput),
              ReadFailures))]
pub(super) async fn list_projections(
    State(app): State<App>,
    at: InLog,
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
    let answers = |found: &Found| match found.projection.is_fed() {
        true => app
            .runners
            .fed(&at.log.name, found.projection.known())
            .is_some_and(|fed| fed.documents == found.projection),
        false => true,
    };
    let projections = found
        .into_iter()
        .filter(answers)
        .map(|found| ProjectionOutput {
            projection: found.projection.known().to_owned(),
            entries: found.entries,
            indexes: found.indexes,
        })
        .collect();
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
    Ok(json_answer(&ProjectionOutput { projection, entries, indexes }))
}

/// Get a projection
///
/// How many entries it has, none while nothing was saved; and how far its indexes are built.
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}", tag = "projections",
    params(ProjectionPath),
    responses((status = 200, description = "The projection.", body = ProjectionOutput),
              ReadFailures))]
pub(super) async fn get_projection(
    State(app): State<App>,
    at: InProjection,
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
#[utoipa::path(delete, path = "/logs/{log}/projections/{projection}", tag = "projections",
    params(ProjectionPath),
    responses((status = 200, description = "Dropped.", body = DroppedOutput), SaveFailures))]
pub(super) async fn drop_projection(
    State(app): State<App>,
    at: InProjection,
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

/// Save an entry
///
/// Creates it or replaces its state and metadata; its version counts on. `If-Match: "3"` saves only if the
/// version is 3 still, `If-None-Match: *` only if there is none.
#[utoipa::path(put, path = "/logs/{log}/projections/{projection}/entries/{id}", tag = "projections",
    params(EntryPath, SaveHeaders), request_body = EntryInput,
    responses(
        (status = 201, description = "Created.", body = EntryOutput,
         headers(("ETag" = String, description = "The version, quoted."))),
        (status = 200, description = "Replaced.", body = EntryOutput,
         headers(("ETag" = String, description = "The version, quoted."))),
        SaveFailures))]
pub(super) async fn put_entry(
    State(app): State<App>,
    at: InEntry,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    refuse_fed(at.fed.as_ref())?;
    let input: EntryInput = body.parse(1)?;
    let guard = guard(&headers)?;
    let weak = guard.is_weak();
    let EntryInput { source, state, metadata, sequence_number } = input;
    let content = Content { source, state, metadata, sequence_number };
    let bytes = content.bytes();
    let save = Save { guard, ..content.save(&app, at.id, "")? };
    let edited =
        edit(&app, &at.log, &at.name, Edit { changes: vec![Change::Save(save)], bytes }, weak)
            .await?;
    let created = edited.iter().any(|edited| edited.created);
    answer(&edited, if created { StatusCode::CREATED } else { StatusCode::OK })
}

/// The one entry of an edit, with its tag.
fn answer(edited: &[Edited], status: StatusCode) -> Result<Response, Problem> {
    let [Edited { projection, .. }] = edited else {
        return Err(StorageError::broken("an edit without an answer").into());
    };
    Ok((status, entry_headers(projection.version), written(projection)).into_response())
}

/// Get an entry
///
/// Its `ETag` is its version: send it back in `If-Match` to save only if nobody did meanwhile.
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}/entries/{id}", tag = "projections",
    params(EntryPath, ReachedQuery),
    responses((status = 200, description = "The entry.", body = EntryOutput,
               headers(("ETag" = String, description = "The version, quoted."))),
              ReadFailures))]
pub(super) async fn get_entry(
    State(app): State<App>,
    mut at: InEntry,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let asked = query.reached();
    query.finish()?;
    reached(&app, &at.log, &mut at.name, Some(&at.id), &mut at.fed, asked).await?;
    let ids = std::slice::from_ref(&at.id);
    let found = app.storage.projections.documents(&at.log, &at.name, ids).await?;
    let found = found.into_iter().find(|kept| !kept.deleted);
    let entry = found.ok_or_else(|| not_found(&at.name, &at.id))?.projection;
    let revision = at.fed.map_or(String::new(), |fed| format!("{}.", fed.revision));
    let tag = format!("\"{revision}{}\"", entry.version);
    Ok(caching::answer(&headers, &tag, Lifetime::Revalidate, "application/json", written(&entry)))
}

/// Delete an entry
///
/// Its version is not used again: what is saved under its id later counts on from it.
#[utoipa::path(delete, path = "/logs/{log}/projections/{projection}/entries/{id}",
    tag = "projections", params(EntryPath, SaveHeaders),
    responses((status = 200, description = "Deleted; the entry as it was.", body = EntryOutput),
              SaveFailures))]
pub(super) async fn delete_entry(
    State(app): State<App>,
    at: InEntry,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    refuse_fed(at.fed.as_ref())?;
    let guard = guard(&headers)?;
    let weak = guard.is_weak();
    let changes = vec![Change::Delete { id: at.id, guard }];
    let edited = edit(&app, &at.log, &at.name, Edit { changes, bytes: 0 }, weak).await?;
    answer(&edited, StatusCode::OK)
}

/// Save entries
///
/// All of them, or none.
#[utoipa::path(post, path = "/logs/{log}/projections/{projection}/entries", tag = "projections",
    params(ProjectionPath), request_body = EntriesInput,
    responses((status = 200, description = "Saved.", body = SavedListOutput), SaveFailures))]
pub(super) async fn save_entries(
    State(app): State<App>,
    at: InProjection,
    mut query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    refuse_fed(at.fed.as_ref())?;
    let input: EntriesInput = body.parse(3)?;
    let edits = saves(&app, input)?;
    let edited = edit(&app, &at.log, &at.name, edits, false).await?;
    let output = |edited: &Edited| SavedOutput {
        id: edited.projection.id.to_string(),
        version: edited.projection.version,
        created: edited.created,
    };
    Ok(json_answer(&SavedListOutput { entries: edited.iter().map(output).collect() }))
}

fn saves(app: &App, input: EntriesInput) -> Result<Edit, Problem> {
    let count = input.entries.len();
    if count == 0 {
        let fault = Fault::at("/entries", "expected at least one entry");
        return Err(Problem::invalid(vec![fault]));
    }
    if count > SAVE_ENTRIES_MAX {
        let detail = format!("The request has {count} entries of {SAVE_ENTRIES_MAX}.");
        return Err(Problem::too_large("save_entries", SAVE_ENTRIES_MAX, detail));
    }
    let mut ids = HashSet::new();
    let (mut changes, mut bytes) = (Vec::with_capacity(count), 0);
    for (index, entry) in input.entries.into_iter().enumerate() {
        let pointer = format!("/entries/{index}");
        let at =
            |detail: String| Problem::invalid(vec![Fault::at(&format!("{pointer}/id"), detail)]);
        let id: EntryId = entry.id.parse().map_err(|fault: NameFault| at(fault.to_string()))?;
        if !ids.insert(id.clone()) {
            return Err(at("stands in the request already".to_owned()));
        }
        let IdentifiedInput { source, state, metadata, sequence_number, .. } = entry;
        let content = Content { source, state, metadata, sequence_number };
        bytes += content.bytes();
        changes.push(Change::Save(content.save(app, id, &pointer)?));
    }
    Ok(Edit { changes, bytes })
}

/// What an entry is to hold, before it is read.
struct Content {
    source: SourceInput,
    state: Box<RawValue>,
    metadata: Option<Box<RawValue>>,
    sequence_number: Option<i64>,
}

impl Content {
    fn bytes(&self) -> usize {
        self.state.get().len() + self.metadata.as_ref().map_or(0, |metadata| metadata.get().len())
    }

    fn save(self, app: &App, id: EntryId, pointer: &str) -> Result<Save, Problem> {
        let bytes = self.bytes();
        let max = app.limits.event_bytes;
        if bytes > max {
            let detail = format!("State and metadata of #{pointer} have {bytes} bytes of {max}.");
            return Err(Problem::too_large("event_bytes", max, detail));
        }
        let at = |member: &str| format!("{pointer}/{member}");
        let json = |member: &str, value: &RawValue| {
            Json::parse(value.get(), JSON_DEPTH_MAX).map_err(|fault: json_scan::Fault| {
                let place = format!("{}{}", at(member), fault.pointer);
                Problem::invalid(vec![Fault::at(&place, fault.kind.to_string())])
            })
        };
        let refuse = |fault| Problem::invalid(vec![fault]);
        if self.sequence_number.is_some_and(|number| !(1..=INTEGER_MAX).contains(&number)) {
            let expected = "expected 1 to 9007199254740991";
            return Err(refuse(Fault::at(&at("sequence_number"), expected)));
        }
        Ok(Save {
            id,
            source: self.source.source(&at("source")).map_err(refuse)?,
            state: json("state", &self.state)?,
            metadata: self.metadata.as_deref().map_or(Ok(Json::Null), |m| json("metadata", m))?,
            sequence_number: self.sequence_number,
            guard: Guard::default(),
        })
    }
}

fn guard(headers: &HeaderMap) -> Result<Guard, Problem> {
    Ok(Guard {
        if_match: tags(headers, &header::IF_MATCH)?,
        if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
    })
}

async fn edit(
    app: &App,
    log: &Arc<Log>,
    name: &ProjectionName,
    edit: Edit,
    weak: bool,
) -> Result<Vec<Edited>, Problem> {
    app.editor.edit(log, name, edit).await.map_err(|error| match error {
        EditError::Storage(error) => unsettled(error),
        EditError::Refused(EditRefusal::NotFound { id }) => not_found(name, &id),
        EditError::Refused(EditRefusal::Guarded { broken, version, .. }) => {
            guarded(broken, version, weak)
        }
    })
}

/// A failure of the store. An edit has no ids by which a retry would be known, so a client has to look.
pub(super) fn unsettled(error: StorageError) -> Problem {
    let unknown = matches!(error, StorageError::OutcomeUnknown(_));
    let mut problem = Problem::from(error);
    if unknown {
        problem.body.detail =
            "The store did not answer the commit. Read the projection to see what was \
            done; what is saved again without If-Match has the same state and one version more."
                .to_owned();
    }
    problem
}

/// What a projector feeds, no client changes.
fn refuse_fed(fed: Option<&Fed>) -> Result<(), Problem> {
    let Some(Fed { documents, retained, .. }) = fed else { return Ok(()) };
    let name = documents.known();
    let detail = match retained {
        false => format!("Projector `{name}` feeds it, and nobody else changes it."),
        true => {
            format!("Projector `{name}`, which was deleted, fed it: drop the projection first.")
        }
    };
    Err(Problem::new(Kind::ProjectionFed, detail))
}

/// That there is no such entry.
pub(super) fn not_found(name: &ProjectionName, id: &EntryId) -> Problem {
    let name = name.known();
    Problem::new(Kind::EntryNotFound, format!("Projection `{name}` has no entry `{id}`."))
}

fn guarded(broken: Broken, version: Option<i64>, weak: bool) -> Problem {
    let header = match broken {
        Broken::IfMatch => header::IF_MATCH,
        Broken::IfNoneMatch => header::IF_NONE_MATCH,
    };
    let actual = version.map_or("there is no such entry".to_owned(), |version| {
        format!("the entry has version {version}")
    });
    let actual = match broken {
        Broken::IfMatch if weak => format!("{actual}, and a weak tag never matches"),
        _ => actual,
    };
    let mut problem = Problem::new(
        Kind::EntryConditionFailed,
        format!("{} is false: {actual}.", links::header_case(header.as_str())),
    );
    problem.body.errors = vec![Fault::header(&header, actual)];
    problem.body.actual_version = Some(version);
    if let Some(version) = version {
        problem.header(header::ETAG, &format!("\"{version}\""));
    }
    problem
}

/// The entry as JSON.
pub(super) fn written(entry: &Projection) -> String {
    let mut out = String::new();
    write_entry(&mut out, entry, None);
    out
}

fn entry_headers(version: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let tag = HeaderValue::from_str(&format!("\"{version}\""));
    headers.extend(tag.ok().map(|tag| (header::ETAG, tag)));
    headers
}
