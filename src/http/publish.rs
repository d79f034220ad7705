//! Publishing: to one stream, to streams of one category, to streams of the log.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    body::{JsonBody, only_objects},
    conditions::{ConditionInput, Conditions},
    error::{Fault, Problem, of_publish},
    event_json::{self, StreamAckOutput, WritesAckOutput},
    extract::{InCategory, InLogPartly, InStream, MediaType, negotiate},
    gate::{self, Append, Authorized},
    links, meter,
    openapi::{CategoryPath, LogPath, PublishHeaders, StreamPath},
    query::Query,
    state::App,
};
use crate::{
    auth::{ALL, Action},
    engine::{ids, keyring::Caller},
    model::{
        At, CategoryName, Condition, IdOrigin, Log, NewEvent, Publish, RawJson, Source, StreamKey,
        Timestamp, Write,
        limits::{IDEMPOTENCY_KEY_BYTES_MAX, PUBLISH_STREAMS_MAX},
    },
};

/// An event to publish.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = EventInput)]
pub(super) struct EventInput {
    /// What happened.
    #[schema(min_length = 1, max_length = 255, example = "profile-created")]
    pub(super) name: String,
    /// Any JSON; absent is null. Comes back byte for byte.
    #[schema(value_type = serde_json::Value, required = false)]
    pub(super) payload: Option<Box<RawValue>>,
    /// Any JSON; absent is null.
    #[schema(value_type = serde_json::Value, required = false)]
    pub(super) metadata: Option<Box<RawValue>>,
    /// A UUID of any version, for a retry to be known by. By default a new UUIDv7.
    #[schema(nullable = false, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    pub(super) id: Option<String>,
    /// When it was true (RFC 3339 with an offset). By default `observed_at`.
    #[schema(nullable = false, format = DateTime)]
    pub(super) occurred_at: Option<String>,
    /// When its source knew it. By default now.
    #[schema(nullable = false, format = DateTime)]
    pub(super) observed_at: Option<String>,
}

/// Events for one stream.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = PublishToStream, examples(json!({
    "events": [{"name": "profile-created", "payload": {"name": "Joe"}}]
})))]
pub(super) struct StreamInput {
    /// The events, in order.
    #[schema(min_items = 1, max_items = 10_000)]
    events: Vec<EventInput>,
    /// What must hold for them to be written.
    #[schema(nullable = false)]
    condition: Option<ConditionInput>,
}

/// Events for one of the streams of a publish to a category.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = CategoryWrite)]
pub(super) struct CategoryWriteInput {
    /// The stream.
    #[schema(min_length = 1, max_length = 255)]
    stream: String,
    /// The events, in order.
    #[schema(min_items = 1, max_items = 10_000)]
    events: Vec<EventInput>,
    /// What must hold of this stream.
    #[schema(nullable = false)]
    condition: Option<ConditionInput>,
}

/// Events for streams of one category, all or nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = PublishToCategory, examples(json!({
    "writes": [
        {"stream": "alice", "events": [{"name": "withdrawn", "payload": {"amount": 5}}],
         "condition": {"position_is": 4}},
        {"stream": "bob", "events": [{"name": "deposited", "payload": {"amount": 5}}]}
    ]
})))]
pub(super) struct CategoryInput {
    /// What to write to each stream; a stream stands here once.
    #[schema(min_items = 1, max_items = 1000)]
    writes: Vec<CategoryWriteInput>,
    /// What must hold of streams that it names.
    #[schema(nullable = false)]
    condition: Option<ConditionInput>,
}

/// Events for one of the streams of a publish to a log.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = LogWrite)]
pub(super) struct LogWriteInput {
    /// The category of the stream.
    #[schema(min_length = 1, max_length = 255)]
    category: String,
    /// The stream.
    #[schema(min_length = 1, max_length = 255)]
    stream: String,
    /// The events, in order.
    #[schema(min_items = 1, max_items = 10_000)]
    events: Vec<EventInput>,
    /// What must hold of this stream.
    #[schema(nullable = false)]
    condition: Option<ConditionInput>,
}

/// Events for streams of any categories, all or nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schema(as = PublishToLog, examples(json!({
    "writes": [
        {"category": "orders", "stream": "o-1", "events": [{"name": "order-placed", "payload": {}}]},
        {"category": "stock", "stream": "sku-9", "events": [{"name": "reserved", "payload": {}}]}
    ]
})))]
pub(super) struct LogInput {
    /// What to write to each stream; a stream stands here once.
    #[schema(min_items = 1, max_items = 1000)]
    writes: Vec<LogWriteInput>,
    /// What must hold of streams that it names.
    #[schema(nullable = false)]
    condition: Option<ConditionInput>,
}

only_objects!(EventInput, StreamInput, CategoryWriteInput, CategoryInput, LogWriteInput, LogInput);

/// A write of any of the three, before its names are read.
struct RawWrite {
    pointer: String,
    category: Result<CategoryName, String>,
    stream: String,
    events: Vec<EventInput>,
    condition: Option<ConditionInput>,
}

/// Publish to a stream
///
/// All events are written, or none. If all their ids are stored already, with the same content, the
/// original answer comes back (200, `replayed`), whatever the conditions say.
#[utoipa::path(post, path = "/logs/{log}/categories/{category}/streams/{stream}/events",
    tag = "publish", security(("key" = ["append"])), params(StreamPath, PublishHeaders), request_body = StreamInput,
    responses(
        (status = 201, description = "Stored.", body = StreamAckOutput,
         headers(("Location" = String, description = "The first event."),
                 ("ETag" = String, description = "The stream's last position, quoted."))),
        (status = 200, description = "Stored by an earlier request.", body = StreamAckOutput),
        super::openapi::PublishFailures))]
pub(super) async fn publish_to_stream(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Append, InStream>,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let input: StreamInput = body.parse(3)?;
    let source = Source::Stream(at.key.clone());
    let write = RawWrite {
        pointer: String::new(),
        category: Ok(at.key.category.clone()),
        stream: at.key.stream.to_string(),
        events: input.events,
        condition: input.condition,
    };
    let request = Request { app: &app, log: &at.log, by: &by, headers: &headers, one_stream: true };
    request.publish(&source, vec![write], None).await
}

/// Publish to streams of a category
///
/// All events are written, or none. `If-Match` is about the category's last sequence number.
#[utoipa::path(post, path = "/logs/{log}/categories/{category}/events",
    tag = "publish", security(("key" = ["append"])), params(CategoryPath, PublishHeaders), request_body = CategoryInput,
    responses(
        (status = 201, description = "Stored.", body = WritesAckOutput,
         headers(("Location" = String, description = "The first event."),
                 ("ETag" = String, description = "The last sequence number, quoted."))),
        (status = 200, description = "Stored by an earlier request.", body = WritesAckOutput),
        super::openapi::PublishFailures))]
pub(super) async fn publish_to_category(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Append, InCategory>,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let input: CategoryInput = body.parse(5)?;
    let raw = |(i, write): (usize, CategoryWriteInput)| RawWrite {
        pointer: format!("/writes/{i}"),
        category: Ok(at.category.clone()),
        stream: write.stream,
        events: write.events,
        condition: write.condition,
    };
    let writes = input.writes.into_iter().enumerate().map(raw).collect();
    let request =
        Request { app: &app, log: &at.log, by: &by, headers: &headers, one_stream: false };
    request.publish(&Source::Category(at.category.clone()), writes, input.condition).await
}

/// Publish to streams of a log
///
/// All events are written, or none. `If-Match` is about the log's last sequence number.
#[utoipa::path(post, path = "/logs/{log}/events",
    tag = "publish", security(("key" = ["append"])), params(LogPath, PublishHeaders), request_body = LogInput,
    responses(
        (status = 201, description = "Stored.", body = WritesAckOutput,
         headers(("Location" = String, description = "The first event."),
                 ("ETag" = String, description = "The last sequence number, quoted."))),
        (status = 200, description = "Stored by an earlier request.", body = WritesAckOutput),
        super::openapi::PublishFailures))]
pub(super) async fn publish_to_log(
    State(app): State<App>,
    Authorized { at, by, .. }: Authorized<Append, InLogPartly>,
    mut query: Query,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    query.finish()?;
    let input: LogInput = body.parse(5)?;
    let raw = |(i, write): (usize, LogWriteInput)| RawWrite {
        pointer: format!("/writes/{i}"),
        category: write.category.try_into().map_err(|f: crate::model::NameFault| f.to_string()),
        stream: write.stream,
        events: write.events,
        condition: write.condition,
    };
    let writes = input.writes.into_iter().enumerate().map(raw).collect();
    let request =
        Request { app: &app, log: &at.log, by: &by, headers: &headers, one_stream: false };
    request.publish(&Source::Log, writes, input.condition).await
}

/// A publish being read.
struct Request<'a> {
    app: &'a App,
    log: &'a Arc<Log>,
    by: &'a Caller,
    headers: &'a HeaderMap,
    one_stream: bool,
}

impl Request<'_> {
    async fn publish(
        &self,
        source: &Source,
        writes: Vec<RawWrite>,
        condition: Option<ConditionInput>,
    ) -> Result<Response, Problem> {
        negotiate(self.headers, &[MediaType::Json])?;
        self.count(&writes)?;
        let events = writes.iter().map(|write| write.events.len()).sum();
        self.by.meter.events(events).map_or(Ok(()), meter::within)?;
        let whole = prefers_representation(self.headers);
        let mut conditions = Conditions::new(self.log);
        conditions.headers(self.headers, source)?;
        if let Some(condition) = condition {
            conditions.body(condition, "/condition", None)?;
        }
        let of_the_whole = !conditions.list.is_empty();
        let all_judged = writes.iter().all(|write| write.condition.is_some());
        let mut reader = EventReader::new(self)?;
        let mut parsed = Vec::with_capacity(writes.len());
        for write in writes {
            let stream = reader.stream(&write)?;
            if let Some(condition) = write.condition {
                let pointer = format!("{}/condition", write.pointer);
                conditions.body(condition, &pointer, Some(&stream))?;
            }
            self.may_write(&stream, &write.pointer)?;
            let events = reader.events(write.events, &write.pointer)?;
            parsed.push(Write { stream, events });
        }
        self.may_know(&conditions.list)?;
        let next_keyed_id = reader.next_keyed_id();
        let publish = Publish {
            writes: parsed,
            conditions: conditions.list,
            guarded: of_the_whole || all_judged,
            next_keyed_id,
        };
        let ack = self.app.publisher.publish(self.log, publish).await;
        let ack = ack.map_err(|error| of_publish(error, self.log, self.one_stream))?;
        self.answer(&ack, whole)
    }

    /// Categories that the body names are judged as those of a path are.
    fn may_write(&self, stream: &StreamKey, pointer: &str) -> Result<(), Problem> {
        let may = gate::require(
            self.by,
            Action::Append,
            self.log.name.as_str(),
            stream.category.as_str(),
        );
        may.map_err(|mut problem| {
            let pointer = format!("{pointer}/category");
            problem.body.errors = vec![Fault::at(&pointer, "expected a category of a scope")];
            problem
        })
    }

    /// A condition tells of what it looks at, to whoever may read there, or append.
    fn may_know(&self, conditions: &[Condition]) -> Result<(), Problem> {
        let log = self.log.name.as_str();
        let mut sources = Vec::new();
        for condition in conditions {
            condition.walk(&mut |leaf| sources.extend(leaf.source().map(|of| (of, &leaf.at))));
        }
        for (source, at) in sources {
            let category = match &source {
                Source::Log => ALL,
                Source::Category(category) => category.as_str(),
                Source::Stream(key) => key.category.as_str(),
            };
            if !self.by.principal.may(Action::Append, log, category) {
                gate::require(self.by, Action::Read, log, category).map_err(|mut problem| {
                    let expected = "expected a source of a scope";
                    problem.body.errors = vec![match at {
                        At::Header(name) => Fault::header(&HeaderName::from_static(name), expected),
                        At::Body(pointer) => Fault::at(pointer, expected),
                    }];
                    problem
                })?;
            }
        }
        Ok(())
    }

    fn count(&self, writes: &[RawWrite]) -> Result<(), Problem> {
        let limits = &self.app.limits;
        let events: usize = writes.iter().map(|write| write.events.len()).sum();
        if events > limits.publish_events {
            let detail = format!("A publish takes at most {} events.", limits.publish_events);
            return Err(Problem::too_large("publish_events", limits.publish_events, detail));
        }
        if writes.len() > PUBLISH_STREAMS_MAX {
            let detail = format!("A publish takes at most {PUBLISH_STREAMS_MAX} streams.");
            return Err(Problem::too_large("publish_streams", PUBLISH_STREAMS_MAX, detail));
        }
        if writes.is_empty() {
            return Err(Problem::invalid(vec![Fault::at(
                "/writes",
                "expected at least one write",
            )]));
        }
        let empty = writes.iter().filter(|write| write.events.is_empty());
        let faults: Vec<_> = empty
            .map(|w| Fault::at(&format!("{}/events", w.pointer), "expected at least one event"))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
    }

    fn answer(&self, ack: &crate::model::Ack, whole: bool) -> Result<Response, Problem> {
        let (Some(write), Some(last)) = (ack.writes.first(), ack.last()) else {
            return Err(crate::storage::StorageError::broken("an ack without events").into());
        };
        let (tag, body) = if self.one_stream {
            (last.position, event_json::write_stream_ack(self.log, ack, write, whole))
        } else {
            (last.sequence_number, event_json::write_writes_ack(self.log, ack, whole))
        };
        let first = write.events.first().map_or(0, |event| event.position);
        let location = format!("{}/events/{first}", links::stream(self.log, &write.stream));
        let status = if ack.replayed { StatusCode::OK } else { StatusCode::CREATED };
        let mut headers = vec![
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::LOCATION, location),
            (header::ETAG, format!("\"{tag}\"")),
        ];
        if whole {
            let applied = HeaderName::from_static("preference-applied");
            headers.push((applied, "return=representation".to_owned()));
        }
        let headers = headers.into_iter().filter_map(|(name, value)| {
            HeaderValue::from_str(&value).ok().map(|value| (name, value))
        });
        Ok((status, headers.collect::<HeaderMap>(), body).into_response())
    }
}

/// `Prefer: return=representation` (RFC 7240 §4.2).
fn prefers_representation(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    preferences.any(|p| p.replace('"', "").eq_ignore_ascii_case("return=representation"))
}

/// Reads events, over a whole request: ids may not repeat, keyed ones are counted.
pub(super) struct EventReader<'a> {
    log: &'a Log,
    event_bytes_max: usize,
    key: Option<String>,
    index: usize,
    any_keyed: bool,
    ids: HashSet<Uuid>,
    streams: HashSet<StreamKey>,
}

impl<'a> EventReader<'a> {
    fn new(request: &Request<'a>) -> Result<Self, Problem> {
        let key = idempotency_key(request.headers)?;
        Ok(Self { key, ..Self::unkeyed(request.log, request.app.limits.event_bytes) })
    }

    /// One that no key gives ids.
    pub(super) fn unkeyed(log: &'a Log, event_bytes_max: usize) -> Self {
        Self {
            log,
            event_bytes_max,
            key: None,
            index: 0,
            any_keyed: false,
            ids: HashSet::new(),
            streams: HashSet::new(),
        }
    }

    fn stream(&mut self, write: &RawWrite) -> Result<StreamKey, Problem> {
        let at = |member: &str, detail: String| {
            Problem::invalid(vec![Fault::at(&format!("{}/{member}", write.pointer), detail)])
        };
        let category = write.category.clone().map_err(|fault| at("category", fault))?;
        let stream = write.stream.parse();
        let stream =
            stream.map_err(|fault: crate::model::NameFault| at("stream", fault.to_string()))?;
        let key = StreamKey { category, stream };
        if !self.streams.insert(key.clone()) {
            let detail = "stands in the request already; put all its events into one write";
            return Err(at("stream", detail.to_owned()));
        }
        Ok(key)
    }

    fn events(&mut self, input: Vec<EventInput>, pointer: &str) -> Result<Vec<NewEvent>, Problem> {
        let events = input.into_iter().enumerate();
        events.map(|(i, event)| self.event(event, &format!("{pointer}/events/{i}"))).collect()
    }

    pub(super) fn event(&mut self, input: EventInput, pointer: &str) -> Result<NewEvent, Problem> {
        let refuse = |member: &str, detail: String| {
            Problem::invalid(vec![Fault::at(&format!("{pointer}/{member}"), detail)])
        };
        let sent = [&input.payload, &input.metadata].into_iter().flatten();
        let bytes = sent.map(|value| value.get().len()).sum::<usize>();
        if bytes > self.event_bytes_max {
            let max = self.event_bytes_max;
            let detail = format!("Payload and metadata of #{pointer} have {bytes} bytes of {max}.");
            return Err(Problem::too_large("event_bytes", max, detail));
        }
        let raw = |value: Option<Box<RawValue>>| {
            value.map_or_else(RawJson::null, |value| RawJson::checked(value.get()))
        };
        let (payload, metadata) = (raw(input.payload), raw(input.metadata));
        let name = input.name.try_into();
        let name =
            name.map_err(|fault: crate::model::NameFault| refuse("name", fault.to_string()))?;
        let time = |member: &str, text: Option<String>| {
            let parsed = text.map(|text| text.parse::<Timestamp>()).transpose();
            parsed.map_err(|fault| refuse(member, fault.to_string()))
        };
        let occurred_at = time("occurred_at", input.occurred_at)?;
        let observed_at = time("observed_at", input.observed_at)?;
        let (id, id_origin) = self.id(input.id).map_err(|detail| refuse("id", detail))?;
        self.any_keyed |= id_origin == IdOrigin::Keyed;
        self.index += 1;
        Ok(NewEvent { id, id_origin, name, payload, metadata, occurred_at, observed_at })
    }

    fn id(&mut self, stated: Option<String>) -> Result<(Uuid, IdOrigin), String> {
        let (id, origin) = match (stated, &self.key) {
            (Some(text), _) => {
                let hyphenated = text.len() == 36;
                let id = Uuid::try_parse(&text).ok().filter(|_| hyphenated);
                let id =
                    id.ok_or("expected a UUID such as 019a1c5e-7d2b-7c3e-9f10-2b6f0a4d8e71")?;
                (id, IdOrigin::Stated)
            }
            (None, Some(key)) => (ids::keyed(&self.log.name, key, self.index), IdOrigin::Keyed),
            (None, None) => return Ok((ids::mint(), IdOrigin::Minted)),
        };
        if self.ids.insert(id) {
            Ok((id, origin))
        } else {
            Err("stands twice in the request".to_owned())
        }
    }

    fn next_keyed_id(&self) -> Option<Uuid> {
        let key = self.key.as_ref().filter(|_| self.any_keyed)?;
        Some(ids::keyed(&self.log.name, key, self.index))
    }
}

/// A bare text, or a structured field's string (RFC 9651 §3.3.3).
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let name = HeaderName::from_static("idempotency-key");
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refuse = |detail: &str| Problem::malformed(Fault::header(&name, detail));
    if values.next().is_some() {
        return Err(refuse("may stand only once"));
    }
    let text = value.to_str().map_err(|_| refuse("expected visible ASCII characters"))?;
    let key = parse_key(text).ok_or_else(|| refuse("expected a key, bare or in double quotes"))?;
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(refuse("expected at most 255 bytes"));
    }
    Ok(Some(key))
}

/// The key in a header's text; nothing if it is empty or its quotes do not close.
#[must_use]
pub fn parse_key(text: &str) -> Option<String> {
    let text = text.trim();
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.to_owned()).filter(|text| !text.is_empty() && !text.contains('"'));
    };
    let mut key = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    (characters.as_str().is_empty() && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_bare_and_quoted() {
        let key = |text: &str| parse_key(text);
        assert_eq!(key("abc-1"), Some("abc-1".into()));
        assert_eq!(key("\"abc-1\""), Some("abc-1".into()));
        assert_eq!(key(r#""a\"b\\c""#), Some(r#"a"b\c"#.into()));
        for text in ["", "\"\"", "\"a", "a\"b", "\"a\"b", r#""a\x""#] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
