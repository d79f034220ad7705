//! `everlog health`: whether a running server is ready, as an exit code.

use anyhow::Context;

use super::client::{Server, problem};

pub(super) async fn health(server: &Server) -> anyhow::Result<()> {
    let url = format!("{}/readyz", server.base());
    let response =
        server.client()?.get(&url).send().await.with_context(|| format!("asking {url}"))?;
    if response.status().is_success() {
        return super::line::print("ready");
    }
    Err(problem(response).await)
}
