//! Tickets: a browser's `EventSource` sends no key, so it is given a URL that opens one tail.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body::{JsonBody, only_objects},
    conditions::SourceInput,
    error::{Fault, Problem},
    extract::{InLogPartly, MediaType, negotiate},
    gate::{Authorized, Read, TICKET, require},
    links,
    logs::json_answer,
    openapi::{LogPath, ReadFailures},
    query::Query,
    state::App,
};
use crate::{
    auth::{ALL, Action, FIRST_USE_SECONDS, RESUMES_SECONDS},
    model::{Log, NameFault, ProjectionName, ProjectorName, Source},
};

/// What a ticket opens the tail of: one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = TicketInput, examples(json!({"source": {"category": "profiles"}})))]
pub(super) struct TicketInput {
    /// Events: of the log, a category or a stream.
    #[schema(nullable = false)]
    source: Option<SourceInput>,
    /// A projection.
    #[schema(nullable = false, min_length = 1, max_length = 255, example = "profiles")]
    projection: Option<String>,
    /// A projector.
    #[schema(nullable = false, min_length = 1, max_length = 255, example = "profiles")]
    projector: Option<String>,
}

only_objects!(TicketInput);

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub(super) struct TicketOutput {
    /// What stands in the tail's query as `ticket`.
    ticket: String,
    /// The tail with the ticket: for `new EventSource(url)`. Parameters of the tail may be added.
    url: String,
    /// Until when it opens the tail for the first time.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Until when the tail may be opened again once it was.
    #[schema(format = DateTime)]
    resumes_until: String,
}

/// What is followed.
enum Target {
    Source(Source),
    Projection(ProjectionName),
    Projector(ProjectorName),
}

impl Target {
    fn read(input: TicketInput) -> Result<Self, Problem> {
        let one = |fault| Problem::invalid(vec![fault]);
        let named = |place: &str, fault: &NameFault| one(Fault::at(place, fault.to_string()));
        match (input.source, input.projection, input.projector) {
            (Some(source), None, None) => source.source("/source").map(Self::Source).map_err(one),
            (None, Some(name), None) => {
                name.parse().map(Self::Projection).map_err(|fault| named("/projection", &fault))
            }
            (None, None, Some(name)) => {
                name.parse().map(Self::Projector).map_err(|fault| named("/projector", &fault))
            }
            _ => Err(one(Fault::at("", "expected one of source, projection, projector"))),
        }
    }

    fn category(&self) -> &str {
        match self {
            Self::Source(Source::Category(category)) => category.as_str(),
            Self::Source(Source::Stream(key)) => key.category.as_str(),
            _ => ALL,
        }
    }

    /// What the path of its tail names, as the gate tells it.
    fn names(&self, log: &Log) -> String {
        let mut names = BTreeMap::from([("log", log.name.as_str())]);
        match self {
            Self::Source(Source::Log) => {}
            Self::Source(Source::Category(category)) => {
                names.insert("category", category.as_str());
            }
            Self::Source(Source::Stream(key)) => {
                names.insert("category", key.category.as_str());
                names.insert("stream", key.stream.as_str());
            }
            Self::Projection(name) => {
                names.insert("projection", name.as_str());
            }
            Self::Projector(name) => {
                names.insert("projector", name.as_str());
            }
        }
        serde_json::to_string(&names).unwrap_or_default()
    }

    fn path(&self, log: &Log) -> String {
        match self {
            Self::Source(source) => links::path(log, source),
            Self::Projection(name) => {
                format!("{}/projections/{}", links::log(log), links::encode(name.as_str()))
            }
            Self::Projector(name) => {
                format!("{}/projectors/{}", links::log(log), links::encode(name.as_str()))
            }
        }
    }
}

/// Make a ticket
///
/// For a browser, which sends no header with an `EventSource`: a URL that opens one tail within 60 seconds, and after that
/// the same tail again for 12 hours, or until the key that asked for it is revoked. It gives nothing else.
#[utoipa::path(post, path = "/logs/{log}/tickets", tag = "tail", security(("key" = ["read"])), params(LogPath),
    request_body = TicketInput,
    responses((status = 201, description = "Made.", body = TicketOutput), ReadFailures))]
pub(super) async fn create_ticket(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Read, InLogPartly>,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    negotiate(&headers, &[MediaType::Json])?;
    let target = Target::read(body.parse(2)?)?;
    require(&by, Action::Read, at.log.name.as_str(), target.category())?;
    let (text, made) = app.keyring.make_ticket(&by, target.names(&at.log)).await?;
    let ticket = text.reveal();
    let output = TicketOutput {
        url: format!("{}/tail?{TICKET}={ticket}", target.path(&at.log)),
        ticket,
        expires_at: made.ends(FIRST_USE_SECONDS).to_string(),
        resumes_until: made.ends(RESUMES_SECONDS).to_string(),
    };
    let mut answer = (StatusCode::CREATED, json_answer(&output)).into_response();
    let never = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, never);
    Ok(answer)
}
