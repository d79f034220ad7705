//! Events as JSON text. By hand, because payload and metadata go out as they came in.

use std::fmt::{self, Display, Formatter, Write};

use super::{Event, Timestamp};

/// A text as a JSON string.
#[derive(Debug)]
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?);
        }
        f.write_char('"')?;
        f.write_str(self.0)?;
        f.write_char('"')
    }
}

/// The bytes of a time, which are always as many.
const TIME_BYTES: usize = "2026-11-25T09:00:00.000000Z".len();

/// Appends what is formatted; a string takes all there is.
macro_rules! put {
    ($out:expr, $($what:tt)*) => {
        let _ = write!($out, $($what)*);
    };
}

/// Appends one event, on one line.
pub fn write_event(out: &mut String, event: &Event) {
    put!(out, "{{\"id\":\"{}\",", event.id);
    let written = write_content(out, event);
    out.push_str(",\"recorded_at\":\"");
    write_time(out, event.recorded_at, Some(written));
    out.push_str("\",");
    write_stream(out, event);
    let Event { position, sequence_number, .. } = event;
    put!(out, ",\"position\":{position},\"sequence_number\":{sequence_number}}}");
}

/// What the client wrote, its times filled in.
pub fn write_content(out: &mut String, event: &Event) -> Written {
    put!(out, "\"name\":{},\"payload\":", Quoted(event.name.as_str()));
    out.push_str(event.payload.as_str());
    out.push_str(",\"metadata\":");
    out.push_str(event.metadata.as_str());
    out.push_str(",\"occurred_at\":\"");
    let written = write_time(out, event.occurred_at, None);
    out.push_str("\",\"observed_at\":\"");
    let written = write_time(out, event.observed_at, Some(written));
    out.push('"');
    written
}

/// A time, and where it was written.
pub type Written = (Timestamp, usize);

/// Appends a time. Most events have one for all three: it is copied then.
fn write_time(out: &mut String, time: Timestamp, before: Option<Written>) -> Written {
    let place = out.len();
    match before {
        Some((same, from)) if same == time => out.extend_from_within(from..from + TIME_BYTES),
        _ => {
            put!(out, "{time}");
        }
    }
    (time, place)
}

/// The names of its stream.
pub fn write_stream(out: &mut String, event: &Event) {
    let stream = &event.stream;
    put!(out, "\"category\":{}", Quoted(stream.category.as_str()));
    put!(out, ",\"stream\":{}", Quoted(stream.stream.as_str()));
}
