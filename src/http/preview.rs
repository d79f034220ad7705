//! The preview of a definition: what it makes of events, event by event, without keeping anything.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    body::{JsonBody, only_objects},
    conditions::SourceInput,
    error::{Fault, Problem},
    extract::InLog,
    gate::{Authorized, Project},
    logs::json_answer,
    openapi::{LogPath, ReadFailures},
    projector_json::{FaultOutput, IgnoredOutput},
    projectors::refused,
    publish::{EventInput, EventReader},
    query::Query,
    state::App,
};
use crate::{
    engine::{
        define::{define, rules},
        preview::{BYTES_MAX, Concern, EVENTS_MAX, Preview, PreviewError, Step, preview},
    },
    model::{
        CategoryName, Event, Form, NameFault, NewEvent, Scan, Source, StreamKey, StreamName,
        limits::DEFINITION_BYTES_MAX,
    },
};

/// A definition, and the events that it is run on: those given here, or the first ones of a source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = PreviewInput, examples(json!({
    "definition": "export default { source: { category: 'orders' }, initial_state: { n: 0 }, handlers: { 'order-placed': (s) => { s.n += 1; } } };",
    "events": [{"name": "order-placed", "payload": {"total": 12}}]
})))]
pub(super) struct PreviewInput {
    /// A module as a string, or an object with functions as strings; at most 64 KiB.
    #[schema(value_type = serde_json::Value)]
    definition: Box<RawValue>,
    /// Events that need not be stored, in their order.
    #[schema(nullable = false, min_items = 1, max_items = 1_000)]
    events: Option<Vec<PreviewEventInput>>,
    /// Whose first events it is run on; by default, the definition's own source.
    #[schema(nullable = false)]
    source: Option<SourceInput>,
    /// How many of those; 100 by default.
    #[schema(nullable = false, minimum = 1, maximum = 1_000)]
    limit: Option<i64>,
}

/// An event that need not be stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = PreviewEvent)]
pub(super) struct PreviewEventInput {
    /// What happened.
    #[schema(min_length = 1, max_length = 255, example = "order-placed")]
    name: String,
    /// Any JSON; absent is null.
    #[schema(value_type = serde_json::Value, required = false)]
    payload: Option<Box<RawValue>>,
    /// Any JSON; absent is null.
    #[schema(value_type = serde_json::Value, required = false)]
    metadata: Option<Box<RawValue>>,
    /// A UUID. By default a new one.
    #[schema(nullable = false)]
    id: Option<String>,
    /// When it was true. By default now.
    #[schema(nullable = false, format = DateTime)]
    occurred_at: Option<String>,
    /// When its source knew it. By default now.
    #[schema(nullable = false, format = DateTime)]
    observed_at: Option<String>,
    /// The category of its stream; by default that of the definition's source, else `preview`.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    category: Option<String>,
    /// Its stream; by default that of the definition's source, else `preview`.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    stream: Option<String>,
}

only_objects!(PreviewInput, PreviewEventInput);

/// What a definition makes of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub(super) struct PreviewOutput {
    /// What each event led to, as far as it came.
    steps: Vec<StepOutput>,
    /// The entries in the end, by their ids.
    entries: Vec<PreviewEntryOutput>,
    /// Events that had no handler, by their names.
    ignored: Vec<IgnoredOutput>,
    /// What stopped it; absent if nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fault: Option<FaultOutput>,
    /// What would be another if events came one by one: the code keeps something beside the state, or the state is not
    /// what JSON can say.
    warnings: Vec<WarningOutput>,
    /// CPU time of the handlers, in microseconds.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    micros: u64,
}

/// What one event led to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewStep)]
pub(super) struct StepOutput {
    /// The event's id.
    event_id: String,
    /// What happened.
    name: String,
    /// The category of its stream.
    category: String,
    /// Its stream.
    stream: String,
    /// Its position in the stream.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    position: i64,
    /// Its number in the log; of events that are not stored, their number here.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    sequence_number: i64,
    /// `applied`, `ignored` (it has no handler), or `elsewhere` (it is of another source).
    #[schema(example = "applied")]
    outcome: String,
    /// Its entries, as it left them.
    entries: Vec<PreviewEntryOutput>,
    /// What the code wrote to the console: 100 lines in all, 16 KiB.
    console: Vec<String>,
    /// CPU time, in microseconds.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    micros: u64,
}

/// An entry after an event.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PreviewEntry)]
pub(super) struct PreviewEntryOutput {
    /// Its id.
    id: String,
    /// Whether it was deleted; then its state and metadata are null.
    deleted: bool,
    /// Its state.
    #[schema(value_type = serde_json::Value)]
    state: Box<RawValue>,
    /// Its metadata.
    #[schema(value_type = serde_json::Value)]
    metadata: Box<RawValue>,
}

/// An entry that depends on how many events come at once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewWarning)]
pub(super) struct WarningOutput {
    /// The entry.
    id: String,
    /// The event from which on it does.
    event_id: String,
    /// What that means.
    detail: String,
}

const WARNING: &str = "Comes out otherwise if events come one by one: the code keeps something beside the state \
                       (a variable of the module), or the state has what JSON does not (NaN, undefined, one object \
                       in two places).";

/// Preview a projector
///
/// Runs a definition on events and keeps nothing: the state of each entry after each event, lines of the console, timings,
/// and a warning if what comes out depends on how many events are applied at once.
#[utoipa::path(post, path = "/logs/{log}/projectors/preview", tag = "projectors", security(("key" = ["project"])),
    params(LogPath), request_body = PreviewInput,
    responses((status = 200, description = "What it makes of the events.", body = PreviewOutput),
              ReadFailures))]
pub(super) async fn preview_projector(
    State(app): State<App>,
    Authorized { at, .. }: Authorized<Project, InLog>,
    mut query: Query,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let input: PreviewInput = body.parse(3)?;
    let (form, text) = definition(&input.definition)?;
    let definition = define(&app.workers, form, text).await;
    let definition = definition.map_err(|error| refused(error, "/definition"))?;
    let own = rules(&definition)?.source;
    let events = match (input.events, input.source, input.limit) {
        (Some(events), None, None) => inline(&app, &at, events, &own)?,
        (None, source, limit) => {
            let source = source.map(|source| source.source("/source")).transpose();
            let source = source.map_err(|fault| Problem::invalid(vec![fault]))?.unwrap_or(own);
            stored(&app, &at, source, limit).await?
        }
        _ => {
            let detail = "goes without `source` and `limit`";
            return Err(Problem::invalid(vec![Fault::at("/events", detail)]));
        }
    };
    let preview =
        preview(&app.workers, &definition, &events).await.map_err(|error| match error {
            PreviewError::TooLarge => {
                let detail =
                    format!("The states have more than {BYTES_MAX} bytes: send fewer events.");
                Problem::too_broad("preview_bytes", BYTES_MAX, detail)
            }
            PreviewError::Unavailable(why) => Problem::new(
                super::error::Kind::Unavailable,
                format!("It cannot be run now: {why}."),
            )
            .retry(1),
            PreviewError::Storage(error) => error.into(),
        })?;
    Ok(json_answer(&output(&events, preview)))
}

/// The text of a definition: a string is a module.
fn definition(sent: &RawValue) -> Result<(Form, String), Problem> {
    let refuse = |detail: &str| Problem::invalid(vec![Fault::at("/definition", detail)]);
    let (form, text) = match sent.get().as_bytes().first() {
        Some(b'"') => {
            let text = serde_json::from_str(sent.get());
            (Form::Module, text.map_err(|_| refuse("expected a module as a string"))?)
        }
        Some(b'{') => (Form::Parts, sent.get().to_owned()),
        _ => return Err(refuse("expected a module as a string, or an object")),
    };
    if text.len() > DEFINITION_BYTES_MAX {
        let detail = format!("The definition has {} bytes of {DEFINITION_BYTES_MAX}.", text.len());
        return Err(Problem::too_large("definition_bytes", DEFINITION_BYTES_MAX, detail));
    }
    Ok((form, text))
}

/// The first events of a source.
async fn stored(
    app: &App,
    at: &InLog,
    source: Source,
    limit: Option<i64>,
) -> Result<Vec<Event>, Problem> {
    let limit = usize::try_from(limit.unwrap_or(100)).unwrap_or(0).min(EVENTS_MAX);
    if limit == 0 {
        let detail = format!("expected 1 to {EVENTS_MAX}");
        return Err(Problem::invalid(vec![Fault::at("/limit", detail)]));
    }
    let ask = Scan::first(limit);
    let page = app.tails.page(&at.log, &source, &ask, std::time::Duration::ZERO).await?;
    Ok(page.events)
}

/// Events as they would be stored.
fn inline(
    app: &App,
    at: &InLog,
    sent: Vec<PreviewEventInput>,
    own: &Source,
) -> Result<Vec<Event>, Problem> {
    if sent.is_empty() || sent.len() > EVENTS_MAX {
        let detail = format!("expected 1 to {EVENTS_MAX} events");
        return Err(Problem::invalid(vec![Fault::at("/events", detail)]));
    }
    let usual = "preview";
    let (own_category, own_stream) = match own {
        Source::Log => (usual, usual),
        Source::Category(category) => (category.as_str(), usual),
        Source::Stream(key) => (key.category.as_str(), key.stream.as_str()),
    };
    let now = app.clock.now();
    let mut reader = EventReader::unkeyed(&at.log, app.limits.event_bytes);
    let mut positions: BTreeMap<StreamKey, i64> = BTreeMap::new();
    let mut events = Vec::with_capacity(sent.len());
    for (index, sent) in sent.into_iter().enumerate() {
        let pointer = format!("/events/{index}");
        let named = |member: &str, fault: NameFault| {
            Problem::invalid(vec![Fault::at(&format!("{pointer}/{member}"), fault.to_string())])
        };
        let PreviewEventInput { category, stream, .. } = &sent;
        let category: CategoryName = category
            .as_deref()
            .unwrap_or(own_category)
            .parse()
            .map_err(|fault| named("category", fault))?;
        let stream: StreamName = stream
            .as_deref()
            .unwrap_or(own_stream)
            .parse()
            .map_err(|fault| named("stream", fault))?;
        let PreviewEventInput { name, payload, metadata, id, occurred_at, observed_at, .. } = sent;
        let input = EventInput { name, payload, metadata, id, occurred_at, observed_at };
        let new = reader.event(input, &pointer)?;
        let NewEvent { id, name, payload, metadata, occurred_at, observed_at, .. } = new;
        let stream = StreamKey { category, stream };
        let position = positions.entry(stream.clone()).or_default();
        let observed_at = observed_at.unwrap_or(now);
        events.push(Event {
            id,
            name,
            payload,
            metadata,
            occurred_at: occurred_at.unwrap_or(observed_at),
            observed_at,
            recorded_at: now,
            stream,
            position: *position,
            sequence_number: i64::try_from(index + 1).unwrap_or(i64::MAX),
        });
        *position += 1;
    }
    Ok(events)
}

fn output(events: &[Event], preview: Preview) -> PreviewOutput {
    let mut entries: BTreeMap<String, PreviewEntryOutput> = BTreeMap::new();
    let mut ignored: BTreeMap<String, i64> = BTreeMap::new();
    let mut micros = 0;
    let mut steps = Vec::with_capacity(preview.steps.len());
    for (event, step) in events.iter().zip(preview.steps) {
        let Step { concern, entries: saved, console, micros: own } = step;
        let outcome = match concern {
            Concern::Applied => "applied",
            Concern::Ignored => "ignored",
            Concern::Elsewhere => "elsewhere",
        };
        if concern == Concern::Ignored {
            *ignored.entry(event.name.to_string()).or_default() += 1;
        }
        let text = |text: Option<String>| {
            text.and_then(|text| RawValue::from_string(text).ok())
                .unwrap_or_else(|| RawValue::NULL.to_owned())
        };
        let saved = saved.into_iter().map(|(id, saved)| {
            let deleted = saved.is_none();
            let (state, metadata) = saved.map(|saved| (saved.state, saved.metadata)).unzip();
            let (state, metadata) = (text(state), text(metadata));
            PreviewEntryOutput { id: id.to_string(), deleted, state, metadata }
        });
        let saved: Vec<_> = saved.collect();
        entries.extend(saved.iter().map(|entry| (entry.id.clone(), entry.clone())));
        micros += own;
        steps.push(StepOutput {
            event_id: event.id.to_string(),
            name: event.name.to_string(),
            category: event.stream.category.to_string(),
            stream: event.stream.stream.to_string(),
            position: event.position,
            sequence_number: event.sequence_number,
            outcome: outcome.to_owned(),
            entries: saved,
            console,
            micros: own,
        });
    }
    let warning = |(index, id): &(usize, crate::model::EntryId)| WarningOutput {
        id: id.to_string(),
        event_id: events.get(*index).map_or_else(String::new, |event| event.id.to_string()),
        detail: WARNING.to_owned(),
    };
    PreviewOutput {
        steps,
        entries: entries.into_values().filter(|entry| !entry.deleted).collect(),
        ignored: ignored.iter().map(IgnoredOutput::from).collect(),
        fault: preview.fault.map(FaultOutput::from),
        warnings: preview.varies.iter().map(warning).collect(),
        micros,
    }
}
