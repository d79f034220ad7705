//! The state of a stream: what a projector makes of it, now or as it was, and stores nothing.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    error::{Fault, Kind, Problem},
    extract::{InStream, MediaType, negotiate},
    gate::{Authorized, Read},
    logs::json_answer,
    openapi::{ReadFailures, StreamPath, StreamStateQuery},
    projection_json::{EntrySource, raw},
    projectors::answering,
    query::Query,
    state::App,
};
use crate::{
    engine::{
        define::rules,
        reduce::{ReduceError, Reduced, TIME},
        runner::halt::Halt,
    },
    model::{Projection, ProjectorName, Revision, Source, StreamKey},
    query::eval,
};

/// What a projector makes of a stream. Of one that gives ids of its own there are entries, else one state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamState)]
pub(super) struct StreamStateOutput {
    /// The projector.
    projector: String,
    /// The number of the revision that answers.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    revision: i64,
    /// The stream.
    #[schema(value_type = EntrySource)]
    source: Box<RawValue>,
    /// The id of the entry; absent if the projector gives ids of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    state: Option<Box<RawValue>>,
    /// Its metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    metadata: Option<Box<RawValue>>,
    /// The entries, by their ids, of a projector that gives ids of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entries: Option<Vec<StateEntryOutput>>,
    /// The position of the last event that was looked at.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// Its sequence number.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// How many events were applied.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    events: i64,
}

/// An entry that a projector makes of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StreamStateEntry)]
pub(super) struct StateEntryOutput {
    /// Its id.
    id: String,
    /// Its state.
    #[schema(value_type = serde_json::Value)]
    state: Box<RawValue>,
    /// Its metadata.
    #[schema(value_type = serde_json::Value)]
    metadata: Box<RawValue>,
    /// How many events were applied to it.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    events: i64,
}

/// Get the state of a stream
///
/// What a projector makes of the events of this stream alone, reduced when it is asked for: always as of its last event,
/// or as of an earlier position or time. Every 1,000 events of a stream a snapshot is kept, from which it goes on; a
/// stream of which 10 seconds are not enough may be asked for again, and goes on then, too.
#[utoipa::path(get, path = "/logs/{log}/categories/{category}/streams/{stream}/state",
    tag = "projectors", security(("key" = ["read"])), params(StreamPath, StreamStateQuery),
    responses((status = 200, description = "The state.", body = StreamStateOutput), ReadFailures))]
pub(super) async fn get_stream_state(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Read, InStream>,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    negotiate(&headers, &[MediaType::Json])?;
    let projector = query.one("projector");
    let until = query.until();
    query.finish()?;
    let refuse = |detail: String| Problem::invalid(vec![Fault::parameter("projector", detail)]);
    let projector = projector.ok_or_else(|| refuse("expected the name of a projector".into()))?;
    let name: ProjectorName =
        projector.parse().map_err(|fault: crate::model::NameFault| refuse(fault.to_string()))?;
    let revision = answering(&app, &at.log, &name).await?;
    let rules = rules(&revision.definition)?;
    let in_category = rules.categories.as_ref().is_none_or(|of| of.contains(&at.key.category));
    if !rules.source.holds(&at.key) || !in_category {
        return Err(refuse(format!("projector `{name}` does not read this stream")));
    }
    let reduced = app.runners.reduced(&at.log, &revision, &at.key, &until, true).await;
    let reduced = reduced.map_err(|error| failed(&name, error))?;
    let Some(reduced) = reduced else {
        let detail = format!("Stream `{}` has no event.", at.key.stream);
        return Err(Problem::new(Kind::StreamNotFound, detail));
    };
    if reduced.entries.is_empty() {
        let detail = format!("Projector `{name}` makes no entry of these events.");
        return Err(Problem::new(Kind::EntryNotFound, detail));
    }
    let output = output(&revision, rules.has_id, &at.key, reduced);
    Ok(([(header::CACHE_CONTROL, "no-cache")], json_answer(&output)).into_response())
}

fn output(
    revision: &Revision,
    has_id: bool,
    stream: &StreamKey,
    reduced: Reduced,
) -> StreamStateOutput {
    let Reduced { mut entries, position, sequence_number, events } = reduced;
    let only = if has_id { None } else { entries.pop() };
    let entry = |entry: Projection| StateEntryOutput {
        id: entry.id.to_string(),
        state: raw(&entry.state),
        metadata: raw(&entry.metadata),
        events: entry.version,
    };
    StreamStateOutput {
        projector: revision.projector.to_string(),
        revision: revision.number,
        source: raw(&eval::source(&Source::Stream(stream.clone()))),
        id: only.as_ref().map(|only| only.id.to_string()),
        state: only.as_ref().map(|only| raw(&only.state)),
        metadata: only.as_ref().map(|only| raw(&only.metadata)),
        entries: has_id.then(|| entries.into_iter().map(entry).collect()),
        position,
        sequence_number,
        events,
    }
}

fn failed(name: &ProjectorName, error: ReduceError) -> Problem {
    let unavailable = |detail: String| Problem::new(Kind::Unavailable, detail).retry(1);
    match error {
        ReduceError::Faulted(halt) => faulted(*halt),
        ReduceError::Elsewhere => {
            unavailable(format!("Another program runs projector `{name}`, and this one does not."))
        }
        ReduceError::TooLong => {
            let most = TIME.as_secs();
            let detail = format!("It took more than {most} seconds; ask again, and it goes on.");
            Problem::too_broad("state_seconds", usize::try_from(most).unwrap_or(0), detail)
        }
        ReduceError::TooLarge(most) => {
            let detail = format!("The entries of the stream have more than {most} bytes.");
            Problem::too_broad("state_bytes", most, detail)
        }
        ReduceError::Failed(why) => unavailable(format!("It cannot be reduced now: {why}.")),
        ReduceError::Storage(error) => error.into(),
    }
}

/// That an event could not be applied, and where in the code.
fn faulted(halt: Halt) -> Problem {
    let Halt { event, message, line, column, excerpt, .. } = halt;
    let detail = format!(
        "Event `{}` at position {} of stream `{}` could not be applied.",
        event.name, event.position, event.stream
    );
    let mut fault = Fault::at("", message);
    fault.line = line.and_then(std::num::NonZeroU32::new);
    fault.column = column.and_then(std::num::NonZeroU32::new);
    fault.excerpt = excerpt.map(Into::into);
    let mut problem = Problem::new(Kind::ProjectorFaulted, detail);
    problem.body.errors = vec![fault];
    problem
}
