//! Reads JSON bodies: counted while they arrive, checked by the scanner, then parsed.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequest, Request},
    http::header,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use serde_json::value::RawValue;

use super::{
    error::{Fault, Kind, Problem},
    state::App,
};
use crate::model::{
    Form,
    json::escape_pointer,
    json_scan::{self, FaultKind},
    limits::{DEFINITION_BYTES_MAX, JSON_DEPTH_MAX},
};

/// Has types read from objects alone: what `Deserialize` derives takes arrays too, by position.
/// The types derive theirs with `#[serde(remote = "Self")]`.
macro_rules! only_objects {
    ($($name:ident),*) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Members;
                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A>(self, members: A) -> Result<Self::Value, A::Error>
                    where
                        A: serde::de::MapAccess<'de>,
                    {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(members))
                    }
                }
                from.deserialize_map(Members)
            }
        }
    )*};
}
pub(super) use only_objects;

/// So much of a body may be in memory without a share of what all bodies may take.
const FREE_BYTES: usize = 64 << 10;
/// So much of a body that is refused is taken yet, unseen.
const DISCARDED_BYTES_MAX: usize = 8 << 20;
/// And for so long: who sends nothing waits for the answer.
const DISCARDING: Duration = Duration::from_secs(1);
/// So many of the largest bodies may be in memory at once.
const LARGEST_AT_ONCE: usize = 16;

/// The memory that bodies may take together, handed out in bytes.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for bodies of at most so many bytes each.
    #[must_use]
    pub fn of(request_bytes: usize) -> Self {
        let bytes = request_bytes.saturating_mul(LARGEST_AT_ONCE).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(bytes)))
    }

    fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.clone().try_acquire_many_owned(bytes).map_err(|_| {
            let detail = "Too many large requests are under way; come back in a moment.";
            Problem::new(Kind::Unavailable, detail).retry(1)
        })
    }
}

/// The bytes of a body that claims to be JSON, and its share of the room, for as long as it is held.
#[derive(Debug)]
pub(super) struct JsonBody {
    bytes: Vec<u8>,
    _share: OwnedSemaphorePermit,
}

/// The media type of a body, without its parameters.
fn essence(request: &Request) -> String {
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.map_or("", |value| value.to_str().unwrap_or("?"));
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let essence = essence(&request);
        if essence != "application/json" {
            let detail = format!(
                "The body is `{essence}`; send `Content-Type: application/json` (`curl --json` does)."
            );
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        Self::whole(request, app, app.limits.request_bytes).await
    }
}

impl JsonBody {
    async fn whole(request: Request, app: &App, bytes_max: usize) -> Result<Self, Problem> {
        let headers = request.headers();
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Some(coding) = text(header::CONTENT_ENCODING).filter(|c| *c != "identity") {
            let detail = format!("Compressed bodies are not read (Content-Encoding: {coding}).");
            return Err(Problem::new(Kind::UnsupportedMediaType, detail));
        }
        let stated = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        if stated.is_some_and(|length| length > bytes_max) {
            // Who waits for a word (RFC 9110, section 10.1.1) sends nothing.
            if !headers.contains_key(header::EXPECT) {
                discard(request.into_body().into_data_stream()).await;
            }
            return Err(too_large(bytes_max));
        }
        read(request.into_body(), bytes_max, &app.room).await
    }
}

/// The definition of a projector: a module, or JSON.
#[derive(Debug)]
pub(super) struct DefinitionBody {
    pub(super) form: Form,
    pub(super) text: String,
}

impl FromRequest<App> for DefinitionBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let form = match essence(&request).as_str() {
            "text/javascript" | "application/javascript" => Form::Module,
            "application/json" => Form::Parts,
            other => {
                let detail = format!(
                    "The body is `{other}`; send `Content-Type: text/javascript`, or application/json."
                );
                return Err(Problem::new(Kind::UnsupportedMediaType, detail));
            }
        };
        let body = JsonBody::whole(request, app, DEFINITION_BYTES_MAX).await?;
        if form == Form::Parts {
            body.parse::<Box<RawValue>>(0)?;
        }
        let text = String::from_utf8(body.bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::malformed(Fault::at("", format!("it is not UTF-8 (byte {at})")))
        })?;
        Ok(Self { form, text })
    }
}

/// Never holds more than the limit and its share, whatever `Content-Length` says.
async fn read(body: Body, bytes_max: usize, room: &Room) -> Result<JsonBody, Problem> {
    let mut chunks = body.into_data_stream();
    let mut share = room.share(0)?;
    let mut text = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            if super::envelope::is_timeout(&error) {
                Problem::new(Kind::RequestTimeout, "The body did not arrive in time.")
            } else {
                Problem::new(Kind::MalformedRequest, "The body ended before it was complete.")
            }
        })?;
        if text.len() + chunk.len() > bytes_max {
            discard(chunks).await;
            return Err(too_large(bytes_max));
        }
        let paid = share.num_permits();
        share.merge(room.share((text.len() + chunk.len()).saturating_sub(FREE_BYTES + paid))?);
        text.extend_from_slice(&chunk);
    }
    Ok(JsonBody { bytes: text, _share: share })
}

/// Takes what is left of a body that is refused, within bounds: who is still sending when its connection is closed may hear
/// of a reset instead of the answer (RFC 9112, section 9.6).
async fn discard(mut chunks: BodyDataStream) {
    let mut left = DISCARDED_BYTES_MAX;
    let taken = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    };
    let _ = tokio::time::timeout(DISCARDING, taken).await;
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("The body is larger than {bytes_max} bytes.");
    Problem::too_large("request_bytes", bytes_max, detail)
}

impl JsonBody {
    /// Parses the body, in which values are nested at most [`JSON_DEPTH_MAX`] deep
    /// below its own `levels`.
    pub(super) fn parse<T: DeserializeOwned>(&self, levels: usize) -> Result<T, Problem> {
        let text = json_scan::check(&self.bytes, JSON_DEPTH_MAX + levels)
            .map_err(|fault| of_scan(&self.bytes, &fault, levels))?;
        serde_json::from_str(text).map_err(|error| of_parse::<T>(text, &error))
    }
}

fn of_scan(text: &[u8], fault: &json_scan::Fault, levels: usize) -> Problem {
    let before = text.get(..fault.offset).unwrap_or(text);
    let line = before.split(|byte| *byte == b'\n').count();
    let column = before.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len) + 1;
    let kind = match fault.kind {
        FaultKind::Depth(depth) => FaultKind::Depth(depth - levels),
        other => other,
    };
    let detail = format!("{kind} (byte {}, line {line}, column {column})", fault.offset);
    let found = Fault::at(&fault.pointer, detail);
    if fault.kind.malformed() { Problem::malformed(found) } else { Problem::invalid(vec![found]) }
}

/// Parses once more, to learn where it went wrong.
fn of_parse<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let traced = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err();
    let mut pointer = String::new();
    for segment in traced.iter().flat_map(|error| error.path().iter()) {
        use serde_path_to_error::Segment;
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => escape_pointer(key, &mut pointer),
            Segment::Enum { variant } => escape_pointer(variant, &mut pointer),
            Segment::Unknown => pointer.push('?'),
        }
    }
    let message = error.to_string();
    let detail = message.split(" at line ").next().unwrap_or_default();
    Problem::invalid(vec![Fault::at(&pointer, detail)])
}
