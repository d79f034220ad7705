//! A worker by itself: what it makes of batches, asked as a runner asks it. Each state goes back to it as it came.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use everlog::{
    engine::workers::{Program, Silence, Workers},
    projector::definition::usual,
    worker::frames::{Entry, Given, Reply, Request, Saved, Work},
};

use super::load::{definition, given};

/// Events of a batch, as a definition has it that says nothing else.
pub(crate) const BATCH: usize = 500;

/// States, by their ids.
struct States(Vec<Option<Saved>>);

/// Events that one worker applies in a second, spread over so many ids; and the cores that it uses.
pub(crate) async fn rate(ids: usize, events: usize, bytes: usize) -> anyhow::Result<(f64, f64)> {
    let path = env!("CARGO_BIN_EXE_everlog").into();
    let program = Program { path, arguments: vec!["projector-worker".to_owned()] };
    let workers = Workers::new(program, 1, Silence::default());
    let definition = definition("any");
    let texts: Vec<String> = (0..BATCH * 8).map(|n| given(n, bytes)).collect();
    let (mut states, mut random) = (States(vec![None; ids]), Random(1));
    let batches = events.div_ceil(BATCH);
    // The first ones start the worker, load the definition and make most states.
    let warm_up = (batches / 10).max(1);
    let mut began = (Instant::now(), Duration::ZERO);
    for batch in 0..warm_up + batches {
        if batch == warm_up {
            began = (Instant::now(), cpu_time(&workers).await?);
        }
        let places: Vec<usize> = (0..BATCH).map(|_| random.below(ids)).collect();
        let texts = &texts[batch % 8 * BATCH..][..BATCH];
        states.apply(&workers, &definition, &places, texts).await?;
    }
    let (elapsed, used) = (began.0.elapsed(), cpu_time(&workers).await? - began.1);
    ensure!(states.sum()? == BATCH * (warm_up + batches), "events are missing, or doubled");
    let rate = (BATCH * batches) as f64 / elapsed.as_secs_f64();
    Ok((rate, used.as_secs_f64() / elapsed.as_secs_f64()))
}

impl States {
    /// Has a batch applied: each event to the state at its place.
    async fn apply(
        &mut self,
        workers: &Workers,
        definition: &str,
        places: &[usize],
        texts: &[String],
    ) -> anyhow::Result<()> {
        let mut order = places.to_vec();
        order.sort_unstable();
        order.dedup();
        let entry = |place: &usize| {
            let saved = self.0[*place].as_ref();
            let state = saved.map(|saved| saved.state.as_str());
            Entry { state, metadata: saved.map(|saved| saved.metadata.as_str()) }
        };
        let event = |place, json| {
            let entry = order.binary_search(place).ok().and_then(|entry| u32::try_from(entry).ok());
            Given { name: "e", json, entries: entry.into_iter().collect() }
        };
        let work = Work::Apply {
            entries: order.iter().map(entry).collect(),
            events: places.iter().zip(texts).map(|(place, json)| event(place, json)).collect(),
            traced: false,
        };
        let (key, allowance) = ("bench", usual());
        let request = Request { key, is_module: true, definition, allowance, work };
        let Reply::Applied(applied) = workers.ask(&request).await? else {
            bail!("the worker answers something else");
        };
        ensure!(applied.events as usize == places.len(), "{:?}", applied.fault);
        for (entry, saved) in applied.entries {
            self.0[order[entry as usize]] = saved;
        }
        Ok(())
    }

    /// All that was counted.
    fn sum(&self) -> anyhow::Result<usize> {
        let count = |saved: &Saved| {
            let state: serde_json::Value = serde_json::from_str(&saved.state)?;
            let count = state["n"].as_u64().context("a state counts")?;
            anyhow::Ok(usize::try_from(count)?)
        };
        self.0.iter().flatten().map(count).sum()
    }
}

/// The CPU time that the worker has used (proc_pid_stat(5)).
async fn cpu_time(workers: &Workers) -> anyhow::Result<Duration> {
    let idle = workers.idle().await;
    let id = idle.first().context("the worker is there")?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = stat.rsplit_once(')').context("a name in parentheses")?.1.split_whitespace();
    let fields: Vec<&str> = fields.collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}

/// Numbers in no order, the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Less than a number of ids.
        usize::try_from((mixed >> 31) % end as u64).unwrap_or(0)
    }
}
