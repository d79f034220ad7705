//! How long things took: a histogram of microseconds, exact to three digits.

use std::{sync::Mutex, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart.
const MICROS_MAX: u64 = 600_000_000;

/// A histogram that clients share.
pub(super) struct Latencies(Mutex<Histogram<u64>>);

/// Its percentiles, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    #[serde(rename = "p99.9")]
    pub p99_9: u64,
    pub max: u64,
}

impl Latencies {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Histogram::new_with_bounds(1, MICROS_MAX, 3)?)))
    }

    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MICROS_MAX);
        if let Ok(mut histogram) = self.0.lock() {
            histogram.saturating_record(micros);
        }
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let Ok(histogram) = self.0.lock() else {
            return Percentiles { p50: 0, p90: 0, p99: 0, p99_9: 0, max: 0 };
        };
        let at = |quantile| histogram.value_at_quantile(quantile);
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: histogram.max(),
        }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("max", self.max),
        ];
        for (i, (name, micros)) in all.into_iter().enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let millis = Duration::from_micros(micros).as_secs_f64() * 1e3;
            write!(f, "{gap}{name} {millis:.2}")?;
        }
        f.write_str(" ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let latencies = Latencies::new().expect("bounds that fit");
        (1..=1_000).for_each(|millis| latencies.record(Duration::from_millis(millis)));
        let told = latencies.percentiles();
        assert!((499_000..=501_000).contains(&told.p50), "{told:?}");
        assert!((989_000..=991_000).contains(&told.p99), "{told:?}");
        assert!(told.max >= 1_000_000 && told.max < 1_001_000, "{told:?}");
    }
}
