//! What a request's path names, parsed and looked up; and what the client accepts.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, HeaderName, header, request::Parts},
};

use super::{
    error::{Fault, Kind, Problem},
    gate::Place,
    state::App,
};
use crate::{
    auth::{Action, Principal},
    engine::fed::Fed,
    model::{
        CategoryName, EntryId, Log, LogName, NameFault, ProjectionName, ProjectorName, Source,
        StreamKey,
    },
};

/// The raw parameters of the path, percent-decoded once.
#[derive(Debug)]
pub(super) struct Raw(Vec<(String, String)>);

impl Raw {
    pub(super) async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        if let Some(wrong) = not_encoded(parts.uri.path()) {
            return Err(Problem::malformed(Fault::parameter("path", wrong)));
        }
        let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(|error| {
            Problem::malformed(Fault::parameter("path", format!("cannot be decoded: {error}")))
        })?;
        Ok(Self(parameters.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }

    /// All that the path names, as one text.
    pub(super) fn names(&self) -> String {
        let names: BTreeMap<_, _> = self.0.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        serde_json::to_string(&names).unwrap_or_default()
    }

    /// What stands there, or something else if the path has no such place.
    pub(super) fn get_or<'a>(&'a self, or: &'a str, name: &str) -> &'a str {
        self.0.iter().find(|(key, _)| key == name).map_or(or, |(_, value)| value)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.get_or("", name)
    }

    fn name<T: std::str::FromStr<Err = NameFault>>(&self, parameter: &str) -> Result<T, Problem> {
        let fault = |fault: NameFault| Fault::parameter(parameter, fault.to_string());
        self.get(parameter).parse().map_err(|error| Problem::invalid(vec![fault(error)]))
    }

    async fn log(&self, app: &App) -> Result<Arc<Log>, Problem> {
        let name: LogName = self.name("log")?;
        app.logs.find(&name).await?.ok_or_else(|| {
            let detail = format!("There is no log `{name}`. Create it with PUT, or use `default`.");
            Problem::new(Kind::LogNotFound, detail)
        })
    }
}

/// What is wrong with a text in which a percent sign stands before other than two hex digits
/// (RFC 3986 §2.1).
pub(super) fn not_encoded(text: &str) -> Option<String> {
    let hex = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    let wrong: String = text.split('%').skip(1).find(|rest| !hex(rest))?.chars().take(2).collect();
    Some(format!("`%{wrong}` is no percent-encoded byte; a % itself is sent as %25"))
}

/// The name of a log, which need not exist.
#[derive(Debug)]
pub(super) struct NamedLog(pub LogName);

/// A log that exists.
#[derive(Debug)]
pub(super) struct InLog {
    pub log: Arc<Log>,
    /// The path's last parameter, where it is no name: an event id.
    pub event_id: String,
}

/// A log that exists, of which the body names the categories: they are judged where it is read.
#[derive(Debug)]
pub(super) struct InLogPartly {
    pub log: Arc<Log>,
}

/// A category of a log that exists.
#[derive(Debug)]
pub(super) struct InCategory {
    pub log: Arc<Log>,
    pub category: CategoryName,
}

/// A stream of a log that exists.
#[derive(Debug)]
pub(super) struct InStream {
    pub log: Arc<Log>,
    pub key: StreamKey,
    /// The path's last parameter, where it is no name: a position.
    pub position: String,
}

impl Place for NamedLog {
    async fn find(raw: &Raw, _: &App) -> Result<Self, Problem> {
        raw.name("log").map(Self)
    }
}

impl Place for InLog {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        Ok(Self { log: raw.log(app).await?, event_id: raw.get("event_id").to_owned() })
    }
}

impl Place for InLogPartly {
    fn allows(who: &Principal, action: Action, raw: &Raw) -> bool {
        who.may_somewhere(action, raw.get("log"))
    }

    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        Ok(Self { log: raw.log(app).await? })
    }
}

impl Place for InCategory {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        Ok(Self { log: raw.log(app).await?, category: raw.name("category")? })
    }
}

impl Place for InStream {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        let log = raw.log(app).await?;
        let key = StreamKey { category: raw.name("category")?, stream: raw.name("stream")? };
        Ok(Self { log, key, position: raw.get("position").to_owned() })
    }
}

/// A projection of a log that exists.
#[derive(Debug)]
pub(super) struct InProjection {
    pub log: Arc<Log>,
    /// The name under which its documents are kept.
    pub name: ProjectionName,
    /// The revision of a projector that feeds it.
    pub fed: Option<Fed>,
}

/// An entry of a projection, which need not exist.
#[derive(Debug)]
pub(super) struct InEntry {
    pub log: Arc<Log>,
    /// The name under which the documents of its projection are kept.
    pub name: ProjectionName,
    /// The revision of a projector that feeds it.
    pub fed: Option<Fed>,
    pub id: EntryId,
}

/// A projector of a log that exists, which need not exist.
#[derive(Debug)]
pub(super) struct InProjector {
    pub log: Arc<Log>,
    pub name: ProjectorName,
    /// The path's last parameter, where it is no name: the number of a revision.
    pub revision: String,
}

impl Place for InProjector {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        let (log, name) = (raw.log(app).await?, raw.name("projector")?);
        Ok(Self { log, name, revision: raw.get("revision").to_owned() })
    }
}

/// The documents of a projection: those of the projector of its name, if there is one.
fn fed(app: &App, log: &Log, name: ProjectionName) -> (ProjectionName, Option<Fed>) {
    let fed = app.runners.fed(&log.name, name.as_str());
    (fed.as_ref().map_or(name, |fed| fed.documents.clone()), fed)
}

impl Place for InProjection {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        let log = raw.log(app).await?;
        let (name, fed) = fed(app, &log, raw.name("projection")?);
        Ok(Self { log, name, fed })
    }
}

impl Place for InEntry {
    async fn find(raw: &Raw, app: &App) -> Result<Self, Problem> {
        let log = raw.log(app).await?;
        let (name, fed) = fed(app, &log, raw.name("projection")?);
        Ok(Self { log, name, fed, id: raw.name("id")? })
    }
}

/// A source of events in a log: whatever the path names of it.
pub(super) trait Sourced {
    fn sourced(self) -> (Arc<Log>, Source);
}

impl Sourced for InLog {
    fn sourced(self) -> (Arc<Log>, Source) {
        (self.log, Source::Log)
    }
}

impl Sourced for InCategory {
    fn sourced(self) -> (Arc<Log>, Source) {
        (self.log, Source::Category(self.category))
    }
}

impl Sourced for InStream {
    fn sourced(self) -> (Arc<Log>, Source) {
        (self.log, Source::Stream(self.key))
    }
}

/// The codings that answers may have; see the compression layer in `mod.rs`.
const CODINGS: [&str; 4] = ["zstd", "br", "gzip", "identity"];

/// A media type in which events are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Ndjson,
    EventStream,
    Javascript,
}

impl MediaType {
    pub const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::EventStream => "text/event-stream",
            Self::Javascript => "text/javascript",
        }
    }
}

/// The ranges that a header lists, with their parameters.
fn ranges<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(',')).map(str::trim);
    ranges.filter(|range| !range.is_empty()).collect()
}

/// The best of what is offered, in the order of preference, by `Accept` (RFC 9110 §12.5.1).
pub fn negotiate(headers: &HeaderMap, offered: &[MediaType]) -> Result<MediaType, Problem> {
    let accept = ranges(headers, &header::ACCEPT);
    let best = offered
        .iter()
        .map(|media_type| (*media_type, quality(&accept, media_type.essence())))
        .filter(|(_, quality)| *quality > 0)
        // The first of equals wins.
        .reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.map(|(media_type, _)| media_type).ok_or_else(|| {
        let names: Vec<_> = offered.iter().map(|media_type| media_type.essence()).collect();
        let detail = format!("This resource is given as {}.", names.join(" or "));
        Problem::new(Kind::NotAcceptable, detail)
    })
}

/// Whether an answer can be sent in one of the codings that the client accepts, none counted as one
/// (RFC 9110 §12.5.3).
pub(super) fn accepts_a_coding(headers: &HeaderMap) -> bool {
    let accept = ranges(headers, &header::ACCEPT_ENCODING);
    // What is not listed is refused, but for identity.
    let names_identity = accept.iter().any(|range| {
        let name = range.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("identity") || name == "*"
    });
    !names_identity || CODINGS.into_iter().any(|coding| quality(&accept, coding) > 0)
}

/// The quality of a type in thousandths: that of the most specific range that matches it.
fn quality(accept: &[&str], essence: &str) -> u32 {
    if accept.is_empty() {
        return 1000;
    }
    let (main, _) = essence.split_once('/').unwrap_or((essence, ""));
    let specificity = |range: &str| match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(essence) => Some(2),
        Some((r, "*")) if r.eq_ignore_ascii_case(main) => Some(1),
        Some(("*", "*")) => Some(0),
        None if range == "*" => Some(0),
        _ => None,
    };
    let weight = |parameters: &str| {
        let q = parameters.split(';').find_map(|p| p.trim().strip_prefix("q="));
        let (whole, part) = q.unwrap_or("1").split_once('.').unwrap_or((q.unwrap_or("1"), ""));
        let thousandths = format!("{part:0<3}").get(..3).and_then(|part| part.parse().ok());
        if whole == "0" { thousandths.unwrap_or(0) } else { 1000 }
    };
    let ranges = accept.iter().filter_map(|range| {
        let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
        specificity(range.trim()).map(|specificity| (specificity, weight(parameters)))
    });
    ranges.max_by_key(|(specificity, _)| *specificity).map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_acceptable_unless_all_are_refused() {
        let accepts = |accept: &str| {
            let headers = [(header::ACCEPT_ENCODING, accept.parse().unwrap())];
            accepts_a_coding(&headers.into_iter().collect())
        };
        assert!(accepts_a_coding(&HeaderMap::new()));
        for text in
            ["", "gzip", "deflate", "*", "identity;q=0, *", "*;q=0, gzip", "GZIP;q=0.1,*;q=0"]
        {
            assert!(accepts(text), "{text}");
        }
        for text in ["identity;q=0", "*;q=0", "identity;q=0, deflate", "br;q=0, identity;q=0.0"] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn the_most_specific_range_decides() {
        use MediaType::{Json, Ndjson};
        let chosen = |accept: &str| {
            let headers = [(header::ACCEPT, accept.parse().unwrap())].into_iter().collect();
            negotiate(&headers, &[Json, Ndjson]).map_err(|problem| problem.kind)
        };
        assert_eq!(negotiate(&HeaderMap::new(), &[Json, Ndjson]).ok(), Some(Json));
        assert_eq!(chosen("*/*"), Ok(Json));
        assert_eq!(chosen("text/html, */*;q=0.8"), Ok(Json));
        assert_eq!(chosen("application/x-ndjson"), Ok(Ndjson));
        assert_eq!(chosen("application/json;q=0.5, application/x-ndjson"), Ok(Ndjson));
        assert_eq!(chosen("application/*, application/json;q=0"), Ok(Ndjson));
        assert_eq!(chosen("text/event-stream"), Err(Kind::NotAcceptable));
        assert_eq!(chosen("application/json;q=0"), Err(Kind::NotAcceptable));
    }
}
