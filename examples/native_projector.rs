//! A service with a projector in Rust: what it makes of orders is the projection `totals`.
//!
//! ```text
//! cargo run --example native_projector
//! curl --json '{"events": [{"name": "order-placed", "payload": {"cents": 250}}]}' \
//!     localhost:4100/v1/logs/default/categories/orders/streams/7/events
//! curl 'localhost:4100/v1/logs/default/projections/totals/entries/7?min_sequence_number=1&wait=5'
//! ```

use std::{error::Error, process::ExitCode, sync::Arc};

use everlog::{
    app::{Access, DEFAULT_LOG, Service},
    engine::{
        clock::SystemClock,
        workers::{Program, Silence, Workers},
    },
    model::{Event, Limits, Source},
    projector::{Outcome, Projector, Settings},
    storage::{Storage, memory::MemoryStore},
};
use serde::{Deserialize, Serialize};

/// Adds up what was ordered.
struct Totals;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Total {
    orders: u64,
    cents: u64,
}

#[derive(Debug, Deserialize)]
struct OrderPlaced {
    cents: u64,
}

impl Projector for Totals {
    type State = Total;

    fn settings(&self) -> Settings {
        let category = "orders".parse().map_or(Source::Log, Source::Category);
        Settings { handlers: vec!["order-placed".to_owned()], ..Settings::of(category) }
    }

    fn initial_state(&self) -> Total {
        Total::default()
    }

    fn apply(
        &self,
        total: &mut Total,
        event: &Event,
    ) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
        let order: OrderPlaced = serde_json::from_str(event.payload.as_str())?;
        total.orders += 1;
        total.cents += order.cents;
        Ok(Outcome::Keep)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    // Projectors that are defined over HTTP run in processes of this very program.
    if std::env::args().nth(1).as_deref() == Some("projector-worker") {
        return Ok(everlog::worker::work());
    }
    tokio::runtime::Runtime::new()?.block_on(serve())?;
    Ok(ExitCode::SUCCESS)
}

async fn serve() -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let storage = Storage::new(Arc::new(MemoryStore::new(clock.clone())));
    let workers = Workers::new(Program::own()?, Workers::usual(), Silence::default());
    let service =
        Service::new(storage, clock, Limits::default(), Access::Loopback, workers).await?;
    let service = service.with_projector(&DEFAULT_LOG.parse()?, "totals".parse()?, Totals).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4100").await?;
    service.run(listener, async { drop(tokio::signal::ctrl_c().await) }).await
}
