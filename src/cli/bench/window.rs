//! When a measurement counts: after the warm-up, until its end.

use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::process::{Cores, CoresUsed, Process};

/// How often progress is shown.
const TICK: Duration = Duration::from_millis(250);

/// How long to measure.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub(super) struct Times {
    /// How long to measure
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub seconds: f64,
    /// How long to load the server before that
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    pub warm_up: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let range = 0.0..=86_400.0;
    range.contains(&seconds).then_some(seconds).ok_or_else(|| "0 to 86400".to_owned())
}

/// A span of time in which what ends counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub from: Instant,
    pub until: Instant,
}

impl Window {
    /// The window of a load that begins now.
    pub(super) fn new(times: Times) -> Self {
        let from = Instant::now() + Duration::from_secs_f64(times.warm_up);
        Self { from, until: from + Duration::from_secs_f64(times.seconds) }
    }

    /// Whether what ended at this moment counts.
    pub(super) fn holds(&self, at: Instant) -> bool {
        self.from <= at && at < self.until
    }

    /// Its length.
    pub(super) fn seconds(&self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }

    /// Waits for its end, showing how much was done; the cores that were used in it.
    pub(super) async fn watch(
        &self,
        server: Option<&Process>,
        done: impl Fn() -> u64,
    ) -> anyhow::Result<CoresUsed> {
        let bar = spinner("measuring {spinner} {elapsed} {human_pos} events {per_sec}")?;
        sleep_until(self.from).await;
        let cores = Cores::watch(server)?;
        while Instant::now() + TICK < self.until {
            sleep(TICK).await;
            bar.set_position(done());
        }
        sleep_until(self.until).await;
        bar.finish_and_clear();
        Ok(cores.used())
    }
}

/// Progress of work whose end nobody knows.
pub(super) fn spinner(template: &str) -> anyhow::Result<ProgressBar> {
    Ok(ProgressBar::no_length().with_style(ProgressStyle::with_template(template)?))
}
