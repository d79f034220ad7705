//! What somebody decided about events that failed: kept with the revision until its runner has done it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::engine::ids;

/// An order. Each is carried out once, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: Uuid,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// To pass over the event that halted the projector.
    Skip(Uuid),
    /// To pass over an event if an entry waits at it, and to go on with the next.
    SkipParked { id: String, event: Uuid },
    /// To apply again what an entry waits with; nothing: all of them.
    Retry(Option<String>),
}

impl Order {
    /// An order as a line.
    #[must_use]
    pub fn line(what: What) -> String {
        let order = Self { id: ids::mint(), what };
        serde_json::to_string(&order).map_or_else(|_| String::new(), |line| line + "\n")
    }

    /// The orders of some lines.
    pub(super) fn all(lines: &str) -> impl Iterator<Item = Self> {
        lines.lines().filter_map(|line| serde_json::from_str(line).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_read() {
        let orders = [
            What::Skip(Uuid::from_u128(7)),
            What::SkipParked { id: "a\n\"b".to_owned(), event: Uuid::from_u128(8) },
            What::Retry(None),
            What::Retry(Some("a".to_owned())),
        ];
        let lines: String = orders.iter().cloned().map(Order::line).collect();
        let read: Vec<What> = Order::all(&lines).map(|order| order.what).collect();
        assert_eq!(read, orders);
        let ids: std::collections::HashSet<Uuid> =
            Order::all(&lines).map(|order| order.id).collect();
        assert_eq!(ids.len(), orders.len());
    }
}
