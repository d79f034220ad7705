//! `everlog check`: reads a whole store and holds it against its promises.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};

use super::line;
use crate::{
    config::StoreSettings,
    engine::clock::SystemClock,
    model::{Log, limits::LISTING_MAX},
    storage::{Listing, Storage, StorageError, open, verify},
};

pub(super) async fn check(settings: &StoreSettings) -> anyhow::Result<()> {
    let connections = settings.connections();
    let storage = open::open_read_only(&settings.store, connections, Arc::new(SystemClock)).await?;
    let mut faults = 0;
    for log in all_logs(&storage).await? {
        let style = ProgressStyle::with_template("{prefix}: {human_pos} events, {per_sec}")?;
        let bar = ProgressBar::no_length().with_style(style).with_prefix(log.name.to_string());
        let progress = &mut |events: i64| bar.set_position(events.unsigned_abs());
        let report = verify::verify(&storage, &log, progress).await?;
        bar.finish_and_clear();
        line::print(&format!(
            "log {}: {} events in {} streams of {} categories, {} faults",
            log.name,
            report.events,
            report.streams,
            report.categories,
            report.faults.len()
        ))?;
        for fault in &report.faults {
            line::print(&format!("  {fault}"))?;
        }
        faults += report.faults.len();
    }
    storage.health.close().await;
    anyhow::ensure!(faults == 0, "{faults} faults were found");
    Ok(())
}

async fn all_logs(storage: &Storage) -> Result<Vec<Log>, StorageError> {
    let mut listing = Listing { prefix: String::new(), after: None, limit: LISTING_MAX };
    let mut logs = Vec::new();
    loop {
        let page = storage.logs.logs(&listing).await?;
        listing.after = page.last().map(|log| log.name.to_string());
        let full = page.len() == LISTING_MAX;
        logs.extend(page);
        if !full {
            return Ok(logs);
        }
    }
}
