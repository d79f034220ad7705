//! The state of a stream on demand: of one that nobody asked for before, and then again, from snapshots.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::load::Load;

/// Streams, of which the median counts.
const STREAMS: usize = 5;
/// Within this what was asked for is kept as snapshots.
const KEPT: Duration = Duration::from_millis(500);

impl Load {
    /// How long it takes to be told the state of a stream of so many events, and to be told again: medians.
    pub(crate) async fn state(
        &self,
        category: &str,
        events: usize,
    ) -> anyhow::Result<(Duration, Duration)> {
        let category = format!("{category}-{events}");
        self.define(&category, &category).await?;
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for number in 0..STREAMS {
            let stream = format!("r{number}");
            self.fill_stream(&category, &stream, events).await?;
            // What projects them is not measured, and not beside it either.
            self.applied(&category, events * (number + 1)).await?;
            let path =
                format!("/categories/{category}/streams/{stream}/state?projector={category}");
            for times in [&mut first, &mut again] {
                let began = Instant::now();
                let told = self.get(&path).await?;
                times.push(began.elapsed());
                ensure!(told["state"]["n"].as_u64() == Some(u64::try_from(events)?), "{told}");
                sleep(KEPT).await;
            }
        }
        first.sort_unstable();
        again.sort_unstable();
        Ok((first[STREAMS / 2], again[STREAMS / 2]))
    }
}
