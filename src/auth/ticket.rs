//! Tickets: what opens one tail, for browsers, which send no header with an `EventSource`.

use super::Digest;
use crate::model::Timestamp;

/// How long after it was made a ticket may be used for the first time, in seconds.
pub const FIRST_USE_SECONDS: i64 = 60;
/// How long after it was made it may be used again, in seconds.
pub const RESUMES_SECONDS: i64 = 12 * 60 * 60;

/// A ticket as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub id: String,
    pub digest: Digest,
    /// The id of the key in whose name it is, or the subject of a token.
    pub key: String,
    /// Until when that token is good.
    pub good_until: Option<Timestamp>,
    /// What the path of its tail names, as JSON.
    pub target: String,
    pub created_at: Timestamp,
    pub first_used_at: Option<Timestamp>,
}

impl Ticket {
    /// Whether it may be used at a time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        let seconds =
            if self.first_used_at.is_some() { RESUMES_SECONDS } else { FIRST_USE_SECONDS };
        now < self.ends(seconds) && self.good_until.is_none_or(|until| now < until)
    }

    /// So many seconds after it was made.
    #[must_use]
    pub fn ends(&self, seconds: i64) -> Timestamp {
        Timestamp::of_stored(self.created_at.micros().saturating_add(seconds * 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_within_a_minute_and_again_within_twelve_hours() {
        let at = |seconds: i64| Timestamp::of_stored(seconds * 1_000_000);
        let unused = Ticket {
            id: String::new(),
            digest: Digest::NONE,
            key: String::new(),
            good_until: None,
            target: String::new(),
            created_at: at(0),
            first_used_at: None,
        };
        assert!(unused.is_good(at(59)) && !unused.is_good(at(60)));
        let used = Ticket { first_used_at: Some(at(59)), ..unused };
        assert!(!Ticket { good_until: Some(at(70)), ..used.clone() }.is_good(at(70)));
        assert!(used.is_good(at(60)) && used.is_good(at(43_199)) && !used.is_good(at(43_200)));
    }
}
