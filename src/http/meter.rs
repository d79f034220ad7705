//! What a key may ask for, and what is left of it: 429, and the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10).

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{Kind, Problem};
use crate::engine::allowance::{Full, Left};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where it is noted, while a request is answered, what is left to its caller.
#[derive(Debug, Clone, Default)]
pub(super) struct Slip(Arc<OnceLock<Left>>);

impl Slip {
    /// Notes what is left, or refuses the request.
    pub(super) fn note(&self, left: Left) -> Result<(), Problem> {
        // A request is counted once.
        let _ = self.0.set(left);
        within(left)
    }

    /// Tells the client.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(left) = self.0.get()
            && !headers.contains_key(RATE_LIMIT)
        {
            headers.extend(fields(*left));
        }
    }
}

/// Refuses what is over a quota.
pub(super) fn within(left: Left) -> Result<(), Problem> {
    if left.wait.is_zero() {
        return Ok(());
    }
    let Left { of, quota, window, .. } = left;
    let window = seconds(window);
    let detail = format!("The key may ask for {quota} {of} in {window} seconds, and has.");
    let mut problem = Problem::new(Kind::QuotaExceeded, detail).retry(seconds(left.wait));
    problem.body.limit = Some(of.to_owned());
    problem.body.maximum = Some(quota.into());
    problem.headers.extend(fields(left));
    Err(problem)
}

/// Refuses one more of what there may be so many of at once.
pub(super) fn at_once<T>(had: Result<T, Full>) -> Result<T, Problem> {
    had.map_err(|Full { of, maximum }| {
        let detail = format!("The key has {maximum} {of} under way, and may have no more at once.");
        let mut problem = Problem::new(Kind::QuotaExceeded, detail).retry(1);
        problem.body.limit = Some(of.to_owned());
        problem.body.maximum = i64::try_from(maximum).ok();
        problem
    })
}

fn fields(left: Left) -> [(HeaderName, HeaderValue); 2] {
    let Left { of, quota, remaining, window, wait } = left;
    let until = if wait.is_zero() { window } else { wait };
    let value = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    [
        (POLICY, value(format!("\"{of}\";q={quota};w={}", seconds(window)))),
        (RATE_LIMIT, value(format!("\"{of}\";r={remaining};t={}", seconds(until)))),
    ]
}

/// In whole seconds, one at least.
fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX).max(1)
}
