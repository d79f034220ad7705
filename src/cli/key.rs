//! `everlog key`: makes, lists and revokes keys in a store, also beside a server that runs on it.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::line;
use crate::{
    auth::{Action, ApiKey, Glob, KeyText, Kind, Scope, Standing},
    config::StoreSettings,
    engine::{
        clock::SystemClock,
        ids,
        keyring::{self, NewKey},
    },
    model::{Clock, Timestamp, limits::LISTING_MAX},
    storage::{Storage, open},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key; it is printed once, and only its digest is kept
    Create(Creation),
    /// List the keys of a store, those that are good no longer too
    List(StoreSettings),
    /// Revoke a key for ever
    Revoke(Revocation),
    /// Print a key that no store has, for --root-key-file
    Generate,
}

#[derive(Debug, Args)]
pub(super) struct Creation {
    #[command(flatten)]
    store: StoreSettings,
    /// What it may do: read, append, project, monitor, admin
    #[arg(long, value_delimiter = ',', required = true, value_name = "ACTIONS")]
    actions: Vec<Action>,
    /// In the logs whose names match; * is any run of characters
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    log: Glob,
    /// In the categories whose names match
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    category: Glob,
    /// Until then (RFC 3339); by default until it is revoked
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// What it is for
    #[arg(long, default_value = "", value_name = "TEXT")]
    description: String,
}

#[derive(Debug, Args)]
pub(super) struct Revocation {
    #[command(flatten)]
    store: StoreSettings,
    /// The key's id, which stands between its underscores
    id: String,
}

pub(super) async fn key(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(creation) => create(creation).await,
        Command::List(store) => list(&store).await,
        Command::Revoke(revocation) => revoke(revocation).await,
        Command::Generate => line::print(&KeyText::mint(Kind::Key, ids::letters).reveal()),
    }
}

async fn opened(settings: &StoreSettings) -> anyhow::Result<Storage> {
    let url = &settings.store;
    if matches!(url, open::StoreUrl::Memory) {
        bail!("--store memory: has no keys but those of its server: POST /v1/keys");
    }
    let clock = Arc::new(SystemClock);
    let opened = open::open_beside(url, settings.connections(), clock).await;
    opened.with_context(|| format!("--store {url:?} (EVERLOG_STORE) cannot be opened"))
}

async fn create(creation: Creation) -> anyhow::Result<()> {
    let now = SystemClock.now();
    if creation.expires_at.is_some_and(|at| at <= now) {
        bail!("--expires-at: expected a time to come");
    }
    let storage = opened(&creation.store).await?;
    let Creation { actions, log, category, expires_at, description, .. } = creation;
    let scopes = vec![Scope { log, category, actions: actions.into_iter().collect() }];
    let fresh = NewKey { description, scopes, expires_at };
    let (text, _) = keyring::make(&storage, now, fresh).await?;
    storage.health.close().await;
    line::print(&text.reveal())
}

async fn list(settings: &StoreSettings) -> anyhow::Result<()> {
    let storage = opened(settings).await?;
    let (mut after, now) = (String::new(), SystemClock.now());
    loop {
        let page = storage.keys.keys(&after, LISTING_MAX).await?;
        for key in &page {
            line::print(&told(key, now))?;
        }
        match page.last() {
            Some(last) if page.len() == LISTING_MAX => after.clone_from(&last.id),
            _ => break,
        }
    }
    storage.health.close().await;
    Ok(())
}

/// A key in a line.
fn told(key: &ApiKey, now: Timestamp) -> String {
    let standing = match (key.standing(now), key.expires_at) {
        (Standing::Revoked, _) => "revoked".to_owned(),
        (Standing::Expired, _) => "expired".to_owned(),
        (Standing::Good, Some(at)) => format!("until {at}"),
        (Standing::Good, None) => "good".to_owned(),
    };
    let scope = |scope: &Scope| {
        let actions: Vec<_> = scope.actions.iter().map(|action| action.as_str()).collect();
        format!("{} in {}/{}", actions.join(","), scope.log.as_str(), scope.category.as_str())
    };
    let scopes: Vec<_> = key.scopes.iter().map(scope).collect();
    format!("{}\t{standing}\t{}\t{}", key.id, scopes.join("; "), key.description)
}

async fn revoke(revocation: Revocation) -> anyhow::Result<()> {
    let storage = opened(&revocation.store).await?;
    storage.keys.revoke_key(&revocation.id, SystemClock.now()).await?;
    let key = storage.keys.key(&revocation.id).await?;
    storage.health.close().await;
    let key = key.with_context(|| format!("there is no key {}", revocation.id))?;
    line::print(&told(&key, SystemClock.now()))
}
