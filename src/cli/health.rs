//! `everlog health`: whether a running server is ready, as an exit code.

use super::client::{Server, first, problem};

pub(super) async fn health(server: &Server) -> anyhow::Result<()> {
    let url = format!("{}/readyz", server.base());
    let response = first(server.client()?.get(&url)).await?;
    if response.status().is_success() {
        return super::line::print("ready");
    }
    Err(problem(response).await)
}
