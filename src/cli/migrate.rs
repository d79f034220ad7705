//! `everlog migrate`

use std::sync::Arc;

use crate::{config::StoreSettings, engine::clock::SystemClock, storage::open};

pub(super) async fn migrate(settings: &StoreSettings) -> anyhow::Result<()> {
    open::migrate(&settings.store, Arc::new(SystemClock)).await?;
    super::line::print(&format!("{:?} is up to date", settings.store))
}
