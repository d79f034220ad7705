//! Reads of a projection that wait until it holds an event, and that tell how far it is.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};

use super::{
    error::{Kind, Problem},
    state::App,
};
use crate::{
    engine::fed::Fed,
    model::{EntryId, Log, ProjectionName},
};

/// Waits for a projection, or one entry of it, to hold an event, so long. The name and the revision are those that answer
/// then.
pub(super) async fn reached(
    app: &App,
    log: &Arc<Log>,
    name: &mut ProjectionName,
    id: Option<&EntryId>,
    fed: &mut Option<Fed>,
    asked: Option<(i64, Duration)>,
) -> Result<(), Problem> {
    let Some((number, wait)) = asked.filter(|(number, _)| *number > 0) else { return Ok(()) };
    let held = match fed {
        Some(fed) => {
            let reached = app.runners.reached(log, fed, number, wait).await?;
            // Another revision may have taken over meanwhile.
            *name = fed.documents.clone();
            reached
        }
        None => {
            let held = app.changes.held(log, name, id).await?;
            if held < number && !wait.is_zero() {
                app.changes.follow(log, name).wait_for(id, number, wait).await?
            } else {
                held
            }
        }
    };
    if held >= number {
        return Ok(());
    }
    let what = match (id, fed) {
        (Some(id), None) => format!("Entry `{id}`"),
        _ => format!("Projection `{}`", name.known()),
    };
    let detail = format!("{what} holds event {held}, and not {number} yet.");
    let mut problem = Problem::new(Kind::ProjectionBehind, detail).retry(1);
    problem.body.sequence_number = Some(held);
    Err(problem)
}

/// An answer that tells how far the projector is that feeds what it is about: a dictionary (RFC 9651, section 3.2).
/// The revision that answers, the last event it passed, and how many of its lanes' it has not, as of a quarter of a second
/// ago at most. A header, since an entry's tag does not change with it.
pub(super) fn placed(fed: Option<&Fed>, mut response: Response) -> Response {
    let Some(Fed { number, sequence_number, lag, .. }) = fed else { return response };
    let place = format!("revision={number}, sequence_number={sequence_number}, lag={lag}");
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(HeaderName::from_static("everlog-projector"), place);
    }
    response
}
