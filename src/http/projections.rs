//! Entries of projections: saved, read, deleted, one by one or many at once.

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
    conditions::{SourceInput, tags},
    error::{Fault, Kind, Problem},
    extract::{InEntry, InProjection, MediaType, negotiate},
    gate::{Authorized, Project, Read},
    links,
    logs::json_answer,
    openapi::{EntryPath, ProjectionPath, ReachedQuery, ReadFailures, SaveFailures, SaveHeaders},
    projection_json::{EntryOutput, write_entry},
    query::Query,
    reached::{placed, reached},
    state::App,
};
use crate::{
    engine::{edit::EditError, fed::Fed},
    model::{
        Change, Edit, EntryId, Guard, INTEGER_MAX, Json, Log, NameFault, Projection,
        ProjectionName, Save, json_scan,
        limits::{JSON_DEPTH_MAX, SAVE_ENTRIES_MAX},
        projection::Broken,
    },
    storage::{
        StorageError,
        projections::{EditRefusal, Edited},
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

/// Save an entry
///
/// Creates it or replaces its state and metadata; its version counts on. `If-Match: "3"` saves only if the
/// version is 3 still, `If-None-Match: *` only if there is none.
#[utoipa::path(put, path = "/logs/{log}/projections/{projection}/entries/{id}", tag = "projections", security(("key" = ["project"])),
    params(EntryPath, SaveHeaders), request_body = EntryInput,
    responses(
        (status = 201, description = "Created.", body = EntryOutput,
         headers(("ETag" = String, description = "The version, quoted."))),
        (status = 200, description = "Replaced.", body = EntryOutput,
         headers(("ETag" = String, description = "The version, quoted."))),
        SaveFailures))]
pub(super) async fn put_entry(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InEntry>,
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
#[utoipa::path(get, path = "/logs/{log}/projections/{projection}/entries/{id}", tag = "projections", security(("key" = ["read"])),
    params(EntryPath, ReachedQuery),
    responses((status = 200, description = "The entry.", body = EntryOutput,
               headers(("ETag" = String, description = "The version, quoted."),
                       ("Everlog-Projector" = String, description = "How far the projector is that feeds it, if one does: `revision=2, sequence_number=17, lag=0`."))),
              ReadFailures))]
pub(super) async fn get_entry(
    State(app): State<App>,
    Authorized { mut at, .. }: Authorized<Read, InEntry>,
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
    let fed = at.fed.as_ref();
    let revision = fed.map_or(String::new(), |fed| format!("{}.", fed.revision));
    let tag = format!("\"{revision}{}\"", entry.version);
    let (json, text) = ("application/json", written(&entry));
    Ok(placed(fed, caching::answer(&headers, &tag, Lifetime::Revalidate, json, text)))
}

/// Delete an entry
///
/// Its version is not used again: what is saved under its id later counts on from it.
#[utoipa::path(delete, path = "/logs/{log}/projections/{projection}/entries/{id}",
    tag = "projections", security(("key" = ["project"])), params(EntryPath, SaveHeaders),
    responses((status = 200, description = "Deleted; the entry as it was.", body = EntryOutput),
              SaveFailures))]
pub(super) async fn delete_entry(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InEntry>,
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
#[utoipa::path(post, path = "/logs/{log}/projections/{projection}/entries", tag = "projections", security(("key" = ["project"])),
    params(ProjectionPath), request_body = EntriesInput,
    responses((status = 200, description = "Saved.", body = SavedListOutput), SaveFailures))]
pub(super) async fn save_entries(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjection>,
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
pub(super) fn refuse_fed(fed: Option<&Fed>) -> Result<(), Problem> {
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
