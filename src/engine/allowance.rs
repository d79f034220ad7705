//! How much a caller may ask for: requests and events in a second (a token bucket each), tails and queries at once.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What each key may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Requests; none: any number.
    pub requests: Option<Quota>,
    /// Events that are published; none: any number.
    pub events: Option<Quota>,
    /// Tails that are open at once.
    pub tails: usize,
    /// Queries that are under way at once.
    pub queries: usize,
}

impl Allowance {
    /// As much as there is.
    pub const ANY: Self = Self {
        requests: None,
        events: None,
        tails: Semaphore::MAX_PERMITS,
        queries: Semaphore::MAX_PERMITS,
    };
}

impl Default for Allowance {
    fn default() -> Self {
        Self { tails: 1_000, queries: 16, ..Self::ANY }
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// What it is of.
    pub of: &'static str,
    /// So many may come at once, and as many again after [`Left::window`].
    pub quota: u32,
    pub remaining: u32,
    pub window: Duration,
    /// Until there is enough; nothing if there is.
    pub wait: Duration,
}

/// What a caller has asked for.
#[derive(Debug)]
pub struct Meter {
    requests: Option<Bucket>,
    events: Option<Bucket>,
    tails: Arc<Semaphore>,
    queries: Arc<Semaphore>,
    allowance: Allowance,
}

/// More than what may be had at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    pub of: &'static str,
    pub maximum: usize,
}

impl Meter {
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        let bucket = |quota| RateLimiter::direct(quota).with_middleware();
        Self {
            requests: allowance.requests.map(bucket),
            events: allowance.events.map(bucket),
            tails: Arc::new(Semaphore::new(allowance.tails)),
            queries: Arc::new(Semaphore::new(allowance.queries)),
            allowance,
        }
    }

    /// Counts a request, if there is a quota of them.
    pub fn request(&self) -> Option<Left> {
        self.requests.as_ref().map(|bucket| take(bucket, "requests", self.allowance.requests, 1))
    }

    /// Counts events, if there is a quota of them.
    pub fn events(&self, count: usize) -> Option<Left> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.events.as_ref().map(|bucket| take(bucket, "events", self.allowance.events, count))
    }

    /// The right to have one more tail open.
    pub fn tail(&self) -> Result<OwnedSemaphorePermit, Full> {
        let full = Full { of: "tails", maximum: self.allowance.tails };
        self.tails.clone().try_acquire_owned().map_err(|_| full)
    }

    /// The right to have one more query under way.
    pub fn query(&self) -> Result<OwnedSemaphorePermit, Full> {
        let full = Full { of: "queries", maximum: self.allowance.queries };
        self.queries.clone().try_acquire_owned().map_err(|_| full)
    }
}

fn take(bucket: &Bucket, of: &'static str, quota: Option<Quota>, count: u32) -> Left {
    let burst = quota.map_or(NonZeroU32::MAX, |quota| quota.burst_size());
    let window = quota.map_or(Duration::ZERO, |quota| quota.burst_size_replenished_in());
    let left = |remaining, wait| Left { of, quota: burst.get(), remaining, window, wait };
    // No request is for ever over the quota: what is larger takes all of it.
    let Some(count) = NonZeroU32::new(count.min(burst.get())) else {
        return left(0, Duration::ZERO);
    };
    match bucket.check_n(count) {
        Ok(Ok(after)) => left(after.remaining_burst_capacity(), Duration::ZERO),
        Ok(Err(until)) => left(0, until.wait_time_from(bucket.clock().now())),
        Err(_) => left(0, window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(requests: u32, events: u32) -> Meter {
        let hourly = |count| NonZeroU32::new(count).map(Quota::per_hour);
        let allowance =
            Allowance { requests: hourly(requests), events: hourly(events), tails: 1, queries: 1 };
        Meter::new(allowance)
    }

    #[test]
    fn what_is_taken_is_no_longer_there() {
        let meter = meter(3, 10);
        let hour = Duration::from_secs(3_600);
        for remaining in [2, 1, 0] {
            let left = meter.request().unwrap();
            assert_eq!((left.remaining, left.quota, left.window), (remaining, 3, hour));
            assert_eq!(left.wait, Duration::ZERO);
        }
        let wait = meter.request().unwrap().wait;
        assert!(wait > hour / 4 && wait <= hour / 3, "{wait:?}");
        assert_eq!(meter.events(7).unwrap().remaining, 3, "events are counted by themselves");
        assert!(meter.events(4).unwrap().wait > Duration::ZERO);
        assert_eq!(meter.events(3).unwrap().wait, Duration::ZERO, "what was refused took nothing");
    }

    #[test]
    fn what_is_larger_than_the_quota_takes_all_of_it() {
        let meter = meter(1, 10);
        assert_eq!(meter.events(1_000).unwrap().wait, Duration::ZERO);
        assert!(meter.events(1).unwrap().wait > Duration::ZERO);
    }

    #[test]
    fn a_tail_that_ends_makes_room() {
        let meter = meter(1, 1);
        let open = meter.tail().unwrap();
        assert_eq!(meter.tail().unwrap_err(), Full { of: "tails", maximum: 1 });
        drop(open);
        assert!(meter.tail().is_ok());
        assert!(Meter::new(Allowance::ANY).request().is_none());
    }
}
