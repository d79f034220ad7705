//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::{Clock, Timestamp};

/// A clock that tells the time it was set to.
#[derive(Debug)]
pub struct StaticClock(AtomicI64);

impl StaticClock {
    /// A clock that stands at this time.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(AtomicI64::new(time.micros()))
    }

    /// Sets it, forwards or back.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.micros(), Ordering::SeqCst);
    }

    /// Moves it by so many microseconds, back if negative, and tells the new time.
    pub fn advance(&self, micros: i64) -> Timestamp {
        self.0.fetch_add(micros, Ordering::SeqCst);
        self.now()
    }
}

impl Default for StaticClock {
    /// 2026-01-01T00:00:00.000001Z: a time with all six digits.
    fn default() -> Self {
        Self(AtomicI64::new(1_767_225_600_000_001))
    }
}

impl Clock for StaticClock {
    fn now(&self) -> Timestamp {
        let micros = self.0.load(Ordering::SeqCst);
        Timestamp::from_micros(micros).expect("a test sets the clock within the years 0000–9999")
    }
}
