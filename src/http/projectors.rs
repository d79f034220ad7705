//! Projectors: defined, looked at, removed.

use std::num::NonZeroU32;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::value::RawValue;

use super::{
    body::DefinitionBody,
    error::{Fault, Kind, Problem},
    extract::{InLog, InProjector, MediaType, negotiate},
    gate::{Authorized, Project, Read},
    logs::json_answer,
    openapi::{LogPath, ProjectorPath, ReadFailures},
    projections::unsettled,
    projector_json::{
        DeletedOutput, FaultOutput, IgnoredOutput, LagOutput, ParkedEntryOutput, ParkedOutput,
        ProjectorInput, ProjectorOutput, ProjectorsOutput, RevisionOutput, SkippedOutput,
    },
    query::Query,
    state::App,
};
use crate::{
    engine::{
        define::{Complaint, DefineError, define},
        runner::{
            halt::{Halt, PAUSED},
            parking::{self, Waiting},
        },
    },
    model::{EntryId, Form, Log, ProjectorName, Revision, Standing, Timestamp},
    storage::{StorageError, projectors::Put},
};

/// Define a projector
///
/// An ES module with a default export (`text/javascript`), or the same as JSON with functions as strings. Its events
/// are applied from the first on, each exactly once, and what becomes of them is the projection of its name. A changed
/// definition is a new revision, built beside the one that answers, and takes over when it has caught up.
#[utoipa::path(put, path = "/logs/{log}/projectors/{projector}", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath),
    request_body(content((ProjectorInput = "application/json"), 
                         (String = "text/javascript", example = json!(include_str!("../../examples/route_delays.js")))),
                 description = "The definition."),
    responses(
        (status = 201, description = "A new projector.", body = ProjectorOutput,
         headers(("ETag" = String, description = "The number of the revision, quoted."))),
        (status = 200, description = "A new revision, or the same.", body = ProjectorOutput,
         headers(("ETag" = String, description = "The number of the revision, quoted."))),
        ReadFailures))]
pub(super) async fn put_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
    body: DefinitionBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let DefinitionBody { form, text } = body;
    let definition = define(&app.workers, form, text).await.map_err(|error| refused(error, ""))?;
    let put = app.storage.projectors.put_projector(&at.log, &at.name, &definition, false).await;
    let (number, status) = match put.map_err(unsettled)? {
        Put::New(revision) if revision.standing == Standing::Active => {
            (revision.number, StatusCode::CREATED)
        }
        Put::Same(revision) | Put::New(revision) => (revision.number, StatusCode::OK),
        Put::Occupied => {
            let detail = format!("Projection `{}` has entries that clients saved.", at.name);
            return Err(Problem::new(Kind::ProjectionOccupied, detail));
        }
    };
    look(&app).await?;
    let revisions = revisions(&app, &at).await?;
    let tag = format!("\"{number}\"");
    let output = output(&app, &at.log, &revisions).await?;
    Ok((status, [(header::ETAG, tag)], json_answer(&output)).into_response())
}

/// What is wrong with a definition that stands below a place in the body, each with its place in the code.
pub(super) fn refused(error: DefineError, below: &str) -> Problem {
    let complaints = match error {
        DefineError::Refused(complaints) => complaints,
        DefineError::Failed(error) => return error.into(),
    };
    let fault = |Complaint { pointer, message, place }| {
        let mut fault = Fault::at(&format!("{below}{pointer}"), message);
        if let Some(place) = place {
            fault.line = NonZeroU32::new(place.line);
            fault.column = NonZeroU32::new(place.column);
            fault.excerpt = Some(place.excerpt.into());
        }
        fault
    };
    Problem::invalid(complaints.into_iter().map(fault).collect())
}

fn broken(error: serde_json::Error) -> StorageError {
    StorageError::Broken(error.into())
}

/// What was changed shows at once in this process.
pub(super) async fn look(app: &App) -> Result<(), Problem> {
    app.runners.look().await?;
    app.indexer.kick();
    Ok(())
}

/// The revisions of a projector; there is one at least.
pub(super) async fn revisions(app: &App, at: &InProjector) -> Result<Vec<Revision>, Problem> {
    let found = app.storage.projectors.revisions_of(&at.log, Some(&at.name)).await?;
    if is_gone(&found) {
        return Err(not_found(&at.name));
    }
    Ok(found)
}

/// The revision of a projector that answers.
pub(super) async fn answering(
    app: &App,
    log: &Log,
    name: &ProjectorName,
) -> Result<Revision, Problem> {
    let found = app.storage.projectors.revisions_of(log, Some(name)).await?;
    let active = found.into_iter().find(|revision| revision.standing == Standing::Active);
    active.ok_or_else(|| not_found(name))
}

fn not_found(name: &ProjectorName) -> Problem {
    Problem::new(Kind::ProjectorNotFound, format!("There is no projector `{name}`."))
}

/// Whether at most what a projector fed is there.
fn is_gone(revisions: &[Revision]) -> bool {
    revisions.iter().all(|revision| revision.standing == Standing::Retained)
}

pub(super) async fn output(
    app: &App,
    log: &Log,
    revisions: &[Revision],
) -> Result<ProjectorOutput, Problem> {
    let mut outputs = Vec::with_capacity(revisions.len());
    for revision in revisions {
        outputs.push(revision_output(app, log, revision).await?);
    }
    let answers =
        |revision: &Revision| matches!(revision.standing, Standing::Active | Standing::Retained);
    let active = revisions.iter().position(answers).unwrap_or(0);
    let (Some(revision), Some(output)) = (revisions.get(active), outputs.get(active)) else {
        return Err(StorageError::broken("a projector without a revision").into());
    };
    let (projector, number, status) =
        (revision.projector.to_string(), revision.number, output.status.clone());
    Ok(ProjectorOutput { projector, revision: number, status, revisions: outputs })
}

async fn revision_output(
    app: &App,
    log: &Log,
    revision: &Revision,
) -> Result<RevisionOutput, Problem> {
    let Revision { number, standing, halt, progress, definition, .. } = revision;
    let events = app.runners.behind(log, revision).await?;
    let seconds = match (events, progress.recorded_at) {
        (0, _) | (_, None) => 0.0,
        (_, Some(at)) => seconds(app.clock.now(), at),
    };
    let fault = halt.as_deref().and_then(|halt| serde_json::from_str::<Halt>(halt).ok());
    let status = status(revision, events);
    let (media_type, definition) = match definition.form {
        Form::Module => ("text/javascript", serde_json::to_string(&definition.text)),
        Form::Parts => ("application/json", Ok(definition.text.clone())),
        Form::Native => ("native", serde_json::to_string(&definition.text)),
    };
    let definition = definition.and_then(RawValue::from_string);
    Ok(RevisionOutput {
        revision: *number,
        standing: standing.word().to_owned(),
        status: status.to_owned(),
        checkpoint: Some(progress.cursor.clone()).filter(|cursor| !cursor.is_empty()),
        sequence_number: progress.sequence_number,
        events: progress.events,
        lag: LagOutput { events, seconds },
        rate: progress.rate,
        remaining_seconds: (events > 0 && status == "building" && progress.rate > 0)
            .then(|| (events + progress.rate - 1) / progress.rate),
        ignored: progress.ignored.iter().map(IgnoredOutput::from).collect(),
        skipped: progress.skipped.iter().map(SkippedOutput::from).collect(),
        parked: parked(app, log, revision).await?,
        fault: fault.map(FaultOutput::from),
        error: app.runners.failing(revision.id),
        created_at: revision.created_at.to_string(),
        media_type: media_type.to_owned(),
        definition: definition.map_err(broken)?,
    })
}

/// What a revision does that is so many events behind.
pub(super) fn status(revision: &Revision, behind: i64) -> &'static str {
    match (revision.halt.as_deref(), revision.standing) {
        (Some(why), _) if why == PAUSED => "paused",
        (Some(_), _) => "faulted",
        (None, Standing::Former | Standing::Retained | Standing::Dropped) => "idle",
        (None, _) if behind == 0 => "live",
        (None, _) => "building",
    }
}

/// The entries that wait, as they are told.
async fn parked(app: &App, log: &Log, revision: &Revision) -> Result<ParkedOutput, Problem> {
    let told = revision.progress.parked;
    let waiting = match told.ids {
        0 => Vec::new(),
        _ => parking::waiting(&app.storage, log, revision).await?,
    };
    let entry = |(id, Waiting { fault, events }): (EntryId, Waiting)| ParkedEntryOutput {
        id: id.to_string(),
        events: i64::try_from(events.len()).unwrap_or(i64::MAX),
        fault: FaultOutput::from(fault),
    };
    let entries = waiting.into_iter().take(PARKED_TOLD).map(entry).collect();
    Ok(ParkedOutput { ids: told.ids, events: told.events, entries })
}

/// Entries that wait, of those that are told one by one.
const PARKED_TOLD: usize = 100;

fn seconds(now: Timestamp, then: Timestamp) -> f64 {
    let millis = (now.micros() - then.micros()).max(0) / 1_000;
    u32::try_from(millis).map_or(f64::MAX, f64::from) / 1_000.0
}

/// Get a projector
///
/// What its revisions do and how far they are. With `Accept: text/javascript` the source of the one that answers, as it
/// was sent.
#[utoipa::path(get, path = "/logs/{log}/projectors/{projector}", tag = "projectors", security(("key" = ["read"])),
    params(ProjectorPath),
    responses((status = 200, description = "The projector.", body = ProjectorOutput,
               headers(("ETag" = String, description = "The number of the revision that answers, quoted."))),
              ReadFailures))]
pub(super) async fn get_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InProjector>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    let revisions = revisions(&app, &at).await?;
    let output = output(&app, &at.log, &revisions).await?;
    let active = revisions.iter().find(|revision| revision.number == output.revision);
    let module = active.filter(|active| active.definition.form == Form::Module);
    let offered: &[MediaType] = match module {
        Some(_) => &[MediaType::Json, MediaType::Javascript],
        None => &[MediaType::Json],
    };
    let tag = [(header::ETAG, format!("\"{}\"", output.revision))];
    Ok(match (negotiate(&headers, offered)?, module) {
        (MediaType::Javascript, Some(module)) => {
            let media_type = [(header::CONTENT_TYPE, MediaType::Javascript.essence())];
            (tag, media_type, module.definition.text.clone()).into_response()
        }
        _ => (tag, json_answer(&output)).into_response(),
    })
}

/// List projectors
///
/// By name.
#[utoipa::path(get, path = "/logs/{log}/projectors", tag = "projectors", security(("key" = ["read"])), params(LogPath),
    responses((status = 200, description = "The projectors.", body = ProjectorsOutput), ReadFailures))]
pub(super) async fn list_projectors(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InLog>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    query.finish()?;
    let mut found = app.storage.projectors.revisions_of(&at.log, None).await?;
    found.sort_by(|a, b| (&a.projector, a.number).cmp(&(&b.projector, b.number)));
    let mut projectors = Vec::new();
    let found = found.chunk_by(|a, b| a.projector == b.projector);
    for revisions in found.filter(|revisions| !is_gone(revisions)) {
        projectors.push(output(&app, &at.log, revisions).await?);
    }
    Ok(json_answer(&ProjectorsOutput { projectors }))
}

/// Delete a projector
///
/// With all of its revisions. What it fed stays as it is, until it is dropped like any projection or a new projector of
/// the name takes over; with `drop=true` it goes as well.
#[utoipa::path(delete, path = "/logs/{log}/projectors/{projector}", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath, ("drop" = Option<bool>, Query, nullable = false,
        description = "Whether what it fed is deleted, too.", example = true)),
    responses((status = 200, description = "Deleted.", body = DeletedOutput), ReadFailures))]
pub(super) async fn delete_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    let drop = query.flag("drop");
    query.finish()?;
    revisions(&app, &at).await?;
    let deleted = app.storage.projectors.delete_projector(&at.log, &at.name, !drop).await;
    deleted.map_err(unsettled)?;
    look(&app).await?;
    Ok(json_answer(&DeletedOutput { projector: at.name.to_string() }))
}
