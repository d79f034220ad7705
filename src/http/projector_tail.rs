//! The progress of a projector, over server-sent events.

use std::time::Duration;

use axum::{body::Bytes, extract::State, http::HeaderMap, response::Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    error::Problem,
    extract::{InProjector, MediaType, negotiate},
    gate::{Authorized, Follow, TICKET},
    openapi::{ProjectorPath, ReadFailures},
    projector_json::ProjectorOutput,
    projectors::{output, revisions},
    query::Query,
    state::App,
    tail::{PING, Stage, bye, failed, frame, start, streamed},
};

/// How often it is looked how far the projector is.
const LOOK: Duration = Duration::from_millis(500);

/// Tail a projector
///
/// What its revisions do, now and then whenever that is another (`text/event-stream`): `data` is what `GET` answers, without
/// the definitions. It ends with `bye` when the projector is deleted.
#[utoipa::path(get, path = "/logs/{log}/projectors/{projector}/tail", tag = "projectors", security(("key" = ["read"]), ("ticket" = [])),
    params(ProjectorPath),
    responses((status = 200, description = "A frame for each change.", body = ProjectorOutput,
               content_type = "text/event-stream"), ReadFailures))]
pub(super) async fn tail_projector(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Follow, InProjector>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::EventStream])?;
    query.one(TICKET);
    query.finish()?;
    revisions(&app, &at).await?;
    let frames = Frames {
        app: app.clone(),
        at,
        told: String::new(),
        stage: Stage::Start,
        quiet_since: Instant::now(),
    };
    streamed(
        &app,
        by,
        stream::unfold(frames, |mut frames| async move {
            let frame = frames.next().await?;
            Some((frame, frames))
        }),
    )
}

/// The frames of one tail.
struct Frames {
    app: App,
    at: InProjector,
    /// What was told last.
    told: String,
    stage: Stage,
    quiet_since: Instant,
}

impl Frames {
    /// The next frames; nothing after the last.
    async fn next(&mut self) -> Option<Bytes> {
        let frames = match self.stage {
            Stage::Over => return None,
            Stage::Start => {
                self.stage = Stage::Live;
                start(&json!({ "projector": self.at.name.as_str() }))
            }
            Stage::CatchingUp | Stage::Live => self.advance().await,
        };
        self.quiet_since = Instant::now();
        Some(frames)
    }

    async fn advance(&mut self) -> Bytes {
        loop {
            if self.app.tasks.stopping() {
                return self.bye("shutting-down");
            }
            match self.look().await {
                Ok(None) => return self.bye("deleted"),
                Ok(Some(now)) if now != self.told => {
                    self.told = now;
                    return format!("data: {}\n\n", self.told).into();
                }
                Ok(Some(_)) => {}
                Err(problem) => {
                    self.stage = Stage::Over;
                    return failed(&problem);
                }
            }
            if self.quiet_since.elapsed() >= PING {
                return frame("ping", None, "{}");
            }
            let tasks = self.app.tasks.clone();
            tokio::select! {
                () = sleep(LOOK) => {}
                () = tasks.stopped() => {}
            }
        }
    }

    fn bye(&mut self, reason: &str) -> Bytes {
        self.stage = Stage::Over;
        bye(reason)
    }

    /// How the projector is; nothing if it is gone.
    async fn look(&self) -> Result<Option<String>, Problem> {
        let revisions = match revisions(&self.app, &self.at).await {
            Ok(revisions) => revisions,
            Err(problem) if problem.kind.row().status == 404 => return Ok(None),
            Err(problem) => return Err(problem),
        };
        let output = output(&self.app, &self.at.log, &revisions).await?;
        let mut told = serde_json::to_value(&output).unwrap_or_default();
        for revision in told["revisions"].as_array_mut().into_iter().flatten() {
            if let Value::Object(members) = revision {
                members.remove("definition");
            }
        }
        Ok(Some(told.to_string()))
    }
}
