//! A worker by itself: what it makes of batches, each state going back to it as it came.

use std::time::Instant;

use anyhow::bail;
use everlog::{
    engine::workers::{Program, Silence, Workers},
    projector::definition::usual,
    worker::frames::{Entry, Given, Reply, Request, Saved, Work},
};

use super::load;

const BATCHES: usize = 2_000;
const BATCH: usize = 500;

/// Events that one worker applies in a second, spread over so many ids.
pub(crate) async fn rate(ids: usize) -> anyhow::Result<f64> {
    let path = env!("CARGO_BIN_EXE_everlog").into();
    let program = Program { path, arguments: vec!["projector-worker".to_owned()] };
    let workers = Workers::new(program, 1, Silence::default());
    let definition = load::definition("any");
    let mut states: Vec<Option<Saved>> = vec![None; ids];
    let events: Vec<String> = (0..BATCH).map(|n| load::event("s", n)).collect();
    let mut began = Instant::now();
    for batch in 0..BATCHES {
        // The first ones load the definition.
        if batch == BATCHES / 10 {
            began = Instant::now();
        }
        // Spread by a step that has no factor in common with the number of ids.
        let places: Vec<usize> =
            (0..BATCH).map(|n| (batch * BATCH + n).wrapping_mul(7_919) % ids).collect();
        let mut order = places.clone();
        order.sort_unstable();
        order.dedup();
        let entries = order.iter().map(|id| {
            let saved = states[*id].as_ref();
            Entry {
                state: saved.map(|saved| saved.state.as_str()),
                metadata: saved.map(|saved| saved.metadata.as_str()),
            }
        });
        let given = places.iter().zip(&events).map(|(id, json)| {
            let place = order.binary_search(id).unwrap_or(0);
            let entries = u32::try_from(place).into_iter().collect();
            Given { name: "e", json, entries }
        });
        let work =
            Work::Apply { entries: entries.collect(), events: given.collect(), traced: false };
        let request = Request {
            key: "bench",
            is_module: true,
            definition: &definition,
            allowance: usual(),
            work,
        };
        let Reply::Applied(applied) = workers.ask(&request).await? else {
            bail!("the worker answers something else");
        };
        anyhow::ensure!(applied.events as usize == BATCH, "{:?}", applied.fault);
        for (place, saved) in applied.entries {
            states[order[place as usize]] = saved;
        }
    }
    let events = BATCH * (BATCHES - BATCHES / 10);
    Ok(events as f64 / began.elapsed().as_secs_f64())
}
