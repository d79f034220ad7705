//! What a request's path names, parsed and looked up; and what the client accepts.

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, header, request::Parts},
};

use super::{
    error::{Fault, Kind, Problem},
    state::App,
};
use crate::model::{CategoryName, Log, LogName, NameFault, Source, StreamKey};

/// The raw parameters of the path, percent-decoded once.
struct Raw(Vec<(String, String)>);

impl Raw {
    async fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(|error| {
            Problem::malformed(Fault::parameter("path", format!("cannot be decoded: {error}")))
        })?;
        Ok(Self(parameters.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()))
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn name<T: std::str::FromStr<Err = NameFault>>(&self, parameter: &str) -> Result<T, Problem> {
        let fault = |fault: NameFault| Fault::parameter(parameter, fault.to_string());
        self.get(parameter).parse().map_err(|error| Problem::invalid(vec![fault(error)]))
    }

    async fn log(&self, app: &App) -> Result<Log, Problem> {
        let name: LogName = self.name("log")?;
        app.storage.logs.log(&name).await?.ok_or_else(|| {
            let detail = format!("There is no log `{name}`. Create it with PUT, or use `default`.");
            Problem::new(Kind::LogNotFound, detail)
        })
    }
}

/// The name of a log, which need not exist.
#[derive(Debug)]
pub(super) struct NamedLog(pub LogName);

/// A log that exists.
#[derive(Debug)]
pub(super) struct InLog {
    pub log: Log,
    /// The path's last parameter, where it is no name: an event id.
    pub event_id: String,
}

/// A category of a log that exists.
#[derive(Debug)]
pub(super) struct InCategory {
    pub log: Log,
    pub category: CategoryName,
}

/// A stream of a log that exists.
#[derive(Debug)]
pub(super) struct InStream {
    pub log: Log,
    pub key: StreamKey,
    /// The path's last parameter, where it is no name: a position.
    pub position: String,
}

impl FromRequestParts<App> for NamedLog {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        Raw::of(parts).await?.name("log").map(Self)
    }
}

impl FromRequestParts<App> for InLog {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let raw = Raw::of(parts).await?;
        Ok(Self { log: raw.log(app).await?, event_id: raw.get("event_id").to_owned() })
    }
}

impl FromRequestParts<App> for InCategory {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let raw = Raw::of(parts).await?;
        Ok(Self { log: raw.log(app).await?, category: raw.name("category")? })
    }
}

impl FromRequestParts<App> for InStream {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let raw = Raw::of(parts).await?;
        let log = raw.log(app).await?;
        let key = StreamKey { category: raw.name("category")?, stream: raw.name("stream")? };
        Ok(Self { log, key, position: raw.get("position").to_owned() })
    }
}

/// A source of events in a log: whatever the path names of it.
pub(super) trait Sourced {
    fn sourced(self) -> (Log, Source);
}

impl Sourced for InLog {
    fn sourced(self) -> (Log, Source) {
        (self.log, Source::Log)
    }
}

impl Sourced for InCategory {
    fn sourced(self) -> (Log, Source) {
        (self.log, Source::Category(self.category))
    }
}

impl Sourced for InStream {
    fn sourced(self) -> (Log, Source) {
        (self.log, Source::Stream(self.key))
    }
}

/// A media type in which events are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    Ndjson,
}

impl MediaType {
    const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The best of what is offered, in the order of preference, by `Accept` (RFC 9110 §12.5.1).
pub fn negotiate(headers: &HeaderMap, offered: &[MediaType]) -> Result<MediaType, Problem> {
    let accept: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .collect();
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
