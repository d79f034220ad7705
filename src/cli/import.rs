//! stub
use clap::Args;
#[derive(Debug, Args)]
pub(super) struct Settings {
    #[command(flatten)]
    target: super::client::Target,
}
pub(super) async fn import(_s: &Settings) -> anyhow::Result<()> {
    Ok(())
}
