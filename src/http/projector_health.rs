//! How projectors are, for those who look after a service: in its readiness and in its metrics.

use serde::Serialize;
use utoipa::ToSchema;

use super::{error::Problem, projector_json::FaultOutput, projectors::status, state::App};
use crate::{
    engine::runner::halt::Halt,
    model::{LogName, Revision},
};

/// How a revision of a projector is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectorHealth)]
pub(super) struct ProjectorHealthOutput {
    /// Its log.
    log: String,
    /// The projector.
    projector: String,
    /// The number of the revision.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    revision: i64,
    /// `building`, `live`, `faulted`, `paused`, or `idle` of a former one.
    #[schema(example = "live")]
    status: String,
    /// The last event that it passed.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// How many events it has not passed, at most.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    lag: i64,
    /// How many entries wait.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    parked: i64,
    /// Why it is faulted; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fault: Option<FaultOutput>,
    /// What keeps it from going on for now, if this server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// How a revision is, and how far behind.
pub(super) struct Health {
    pub(super) log: LogName,
    pub(super) revision: Revision,
    pub(super) status: &'static str,
    pub(super) lag: i64,
}

/// All revisions, as they were a quarter of a second ago at most.
pub(super) async fn all(app: &App) -> Result<Vec<Health>, Problem> {
    let mut found = Vec::new();
    for (name, revision) in app.runners.known() {
        let Some(log) = app.logs.find(&name).await? else { continue };
        let lag = app.runners.behind(&log, &revision).await?;
        found.push(Health { log: name, status: status(&revision, lag), revision, lag });
    }
    Ok(found)
}

/// The same, as it is told.
pub(super) async fn told(app: &App) -> Result<Vec<ProjectorHealthOutput>, Problem> {
    let told = all(app).await?.into_iter().map(|health| {
        let Health { log, revision, status, lag } = health;
        let fault = revision.halt.as_deref();
        let fault = fault.and_then(|halt| serde_json::from_str::<Halt>(halt).ok());
        ProjectorHealthOutput {
            log: log.to_string(),
            projector: revision.projector.to_string(),
            revision: revision.number,
            status: status.to_owned(),
            sequence_number: revision.progress.sequence_number,
            lag,
            parked: revision.progress.parked.ids,
            fault: fault.map(FaultOutput::from),
            error: app.runners.failing(revision.id),
        }
    });
    Ok(told.collect())
}
