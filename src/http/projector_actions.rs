//! What is done with a projector that runs: paused, resumed, retried, skipped, built again, activated.

use axum::{extract::State, response::Response};
use uuid::Uuid;

use super::{
    error::{Fault, Kind, Problem},
    extract::InProjector,
    gate::{Authorized, Project},
    logs::json_answer,
    openapi::{ProjectorPath, ReadFailures, RevisionPath},
    projections::unsettled,
    projector_json::ProjectorOutput,
    projectors::{look, output, revisions},
    query::Query,
    state::App,
};
use crate::{
    engine::runner::{
        SKIPPED_MAX,
        halt::{Halt, PAUSED},
        orders::{Order, What},
        parking::Waiting,
    },
    model::{EntryId, Revision, Standing},
    storage::{StorageError, projectors::Put},
};

/// Pause a projector
///
/// What it fed stays as it is. A faulted one stays faulted.
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/pause", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn pause_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    for revision in revisions(&app, &at).await?.iter().filter(|of| of.halt.is_none()) {
        app.storage.projectors.halt(revision.id, Some(PAUSED), "").await.map_err(unsettled)?;
    }
    told(&app, &at).await
}

/// Resume a projector
///
/// One that is paused goes on; one that is faulted tries the event again.
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/resume", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn resume_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    for revision in revisions(&app, &at).await?.iter().filter(|of| of.halt.is_some()) {
        app.storage.projectors.halt(revision.id, None, "").await.map_err(unsettled)?;
    }
    told(&app, &at).await
}

/// Retry what failed
///
/// Applies again what parked entries wait with, or one of them (`id`), and lets a faulted projector try its event again.
/// It is done by whichever server runs it, in a moment; the status tells.
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/retry", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath, ("id" = Option<String>, Query, nullable = false, min_length = 1,
        max_length = 255, description = "The entry; all of them if it is absent.", example = "joe.bloggs")),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn retry_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    let id = query.one("id");
    query.finish()?;
    let mut any = false;
    for revision in revisions(&app, &at).await? {
        let waits = match &id {
            Some(id) => waiting(&app, &at, &revision, id).await?.is_some(),
            None => revision.progress.parked.ids > 0,
        };
        if waits || (id.is_none() && is_faulted(&revision)) {
            let order = if waits { Order::line(What::Retry(id.clone())) } else { String::new() };
            tell(&app, &revision, &order).await?;
            any = true;
        }
    }
    if !any && id.is_some() {
        return Err(nothing_waits(&at, id.as_deref(), None));
    }
    told(&app, &at).await
}

/// Skip what failed
///
/// Passes over the event that a faulted projector stands at, or with `id` the one that this parked entry waits at, and
/// goes on. With `event_id` it is that event or none, and to ask again changes nothing. What is skipped is told in the
/// status, and skipped again when the same definition is built again.
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/skip", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath,
        ("id" = Option<String>, Query, nullable = false, min_length = 1, max_length = 255,
            description = "The parked entry.", example = "joe.bloggs"),
        ("event_id" = Option<String>, Query, nullable = false, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", 
            description = "The event, by its UUID; whichever it is if absent.", example = "019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71")),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn skip_event(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    let id = query.one("id");
    let only = query.event_id();
    query.finish()?;
    let mut any = false;
    for revision in revisions(&app, &at).await? {
        let event = match &id {
            Some(id) => waiting(&app, &at, &revision, id).await?.map(|of| of.fault.event.id),
            None => fault(&revision).map(|fault| fault.event.id),
        };
        let Some(event) = event.filter(|event| only.is_none_or(|only| only == *event)) else {
            let mut skipped = revision.progress.skipped.iter();
            any |= skipped.any(|skipped| Some(skipped.event) == only && skipped.id == id);
            continue;
        };
        if revision.progress.skipped.len() >= SKIPPED_MAX {
            let detail = format!("{SKIPPED_MAX} events are skipped already: mend the definition.");
            return Err(Problem::too_broad("skipped_events", SKIPPED_MAX, detail));
        }
        let what = match &id {
            Some(id) => What::SkipParked { id: id.clone(), event },
            None => What::Skip(event),
        };
        tell(&app, &revision, &Order::line(what)).await?;
        any = true;
    }
    if !any {
        return Err(nothing_waits(&at, id.as_deref(), only));
    }
    told(&app, &at).await
}

/// What an event did to a revision.
fn fault(revision: &Revision) -> Option<Halt> {
    revision.halt.as_deref().and_then(|halt| serde_json::from_str(halt).ok())
}

fn is_faulted(revision: &Revision) -> bool {
    fault(revision).is_some()
}

/// What an entry waits with, if it does.
async fn waiting(
    app: &App,
    at: &InProjector,
    revision: &Revision,
    id: &str,
) -> Result<Option<Waiting>, Problem> {
    if revision.progress.parked.ids == 0 {
        return Ok(None);
    }
    let id: EntryId = id
        .parse()
        .map_err(|fault| Problem::invalid(vec![Fault::parameter("id", format!("{fault}"))]))?;
    let found = app.storage.projections.documents(&at.log, &revision.parked(), &[id]).await?;
    let found = found.into_iter().find(|found| !found.deleted);
    let waiting = found.map(|found| serde_json::from_str(&found.projection.state.to_string()));
    waiting.transpose().map_err(|error| StorageError::Broken(error.into()).into())
}

/// Gives an order; a faulted revision goes on, a paused one stays so.
async fn tell(app: &App, revision: &Revision, order: &str) -> Result<(), Problem> {
    let halt = revision.halt.as_deref().filter(|halt| *halt == PAUSED);
    app.storage.projectors.halt(revision.id, halt, order).await.map_err(unsettled)?;
    Ok(())
}

fn nothing_waits(at: &InProjector, id: Option<&str>, only: Option<Uuid>) -> Problem {
    let which = only.map_or(String::new(), |event| format!(" at event {event}"));
    let detail = match id {
        Some(id) => format!("Entry `{id}` of projector `{}` is not parked{which}.", at.name),
        None => format!("Projector `{}` is not faulted{which}.", at.name),
    };
    Problem::new(Kind::NothingWaits, detail)
}

/// Rebuild a projector
///
/// Its definition becomes a new revision, built from the first event on beside the one that answers; it takes over when
/// it has caught up, or when it is told to (`"activate": "manual"`).
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/rebuild", tag = "projectors", security(("key" = ["project"])),
    params(ProjectorPath),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn rebuild_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let found = revisions(&app, &at).await?;
    let newest = found.iter().rev().find(|of| of.standing != Standing::Former);
    let Some(newest) = newest else {
        return Err(StorageError::broken("a projector without a revision").into());
    };
    let put = app.storage.projectors.put_projector(&at.log, &at.name, &newest.definition, true);
    match put.await.map_err(unsettled)? {
        Put::New(_) | Put::Same(_) => told(&app, &at).await,
        Put::Occupied => Err(StorageError::broken("a projector without a revision").into()),
    }
}

/// Activate a revision
///
/// It answers from now on, whether or not it has caught up: a former one to roll back, or one that is built.
#[utoipa::path(post, path = "/logs/{log}/projectors/{projector}/revisions/{revision}/activate",
    tag = "projectors", security(("key" = ["project"])), params(RevisionPath),
    responses((status = 200, description = "The projector.", body = ProjectorOutput), ReadFailures))]
pub(super) async fn activate_revision(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InProjector>,
    mut query: Query,
) -> Result<Response, Problem> {
    query.finish()?;
    let number: i64 = at.revision.parse().map_err(|_| {
        Problem::invalid(vec![Fault::parameter("revision", "expected the number of a revision")])
    })?;
    let activated = app.storage.projectors.activate(&at.log, &at.name, number).await;
    if !activated.map_err(unsettled)? {
        let detail = format!("Projector `{}` has no revision {number}.", at.name);
        return Err(Problem::new(Kind::ProjectorNotFound, detail));
    }
    told(&app, &at).await
}

async fn told(app: &App, at: &InProjector) -> Result<Response, Problem> {
    look(app).await?;
    let revisions = revisions(app, at).await?;
    Ok(json_answer(&output(app, &at.log, &revisions).await?))
}
