//! Why a projector does not go on, as it is kept and told.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{model::Event, worker::frames};

/// Why a revision does not run that somebody paused.
pub const PAUSED: &str = "paused";

/// What stopped a projector, or one of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The event that could not be applied.
    pub event: HaltedAt,
    pub message: String,
    pub stack: String,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// The line's text.
    pub excerpt: Option<String>,
}

/// An event, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltedAt {
    pub id: Uuid,
    pub name: String,
    pub category: String,
    pub stream: String,
    pub position: i64,
    pub sequence_number: i64,
}

impl Halt {
    pub(in crate::engine) fn of(event: &Event, fault: frames::Fault) -> Self {
        let place = fault.place;
        Self {
            event: HaltedAt {
                id: event.id,
                name: event.name.to_string(),
                category: event.stream.category.to_string(),
                stream: event.stream.stream.to_string(),
                position: event.position,
                sequence_number: event.sequence_number,
            },
            message: cut(fault.message),
            stack: cut(fault.stack),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            excerpt: place.map(|place| place.excerpt),
        }
    }
}

/// Bytes of a message, and of a stack, that are kept.
const TOLD_BYTES: usize = 2 << 10;

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TOLD_BYTES));
    text
}

/// A fault in words.
pub(in crate::engine) fn said(message: impl Into<String>) -> frames::Fault {
    frames::Fault {
        event: None,
        entry: None,
        message: message.into(),
        stack: String::new(),
        place: None,
    }
}
