//! The reference page: Scalar, which the crate `scalar_api_reference` brings, over our own document; nothing of it is
//! fetched from elsewhere.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::header,
    response::{Html, IntoResponse, Response},
};
use serde_json::json;

use super::{
    error::{Kind, Problem},
    openapi::ReadFailures,
    query::Query,
};

/// Where the page's script is; another version has another address.
pub(super) const SCRIPT_PATH: &str = concat!("/docs/scalar-", env!("CARGO_PKG_VERSION"), ".js");

/// Get the reference
///
/// This document as a page to read, in a browser; it works without internet.
#[utoipa::path(get, path = "/docs", tag = "service",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"), ReadFailures))]
pub(super) async fn get_docs(mut query: Query) -> Result<Response, Problem> {
    query.finish()?;
    // Without what leads away from here: fonts, analytics, a proxy, their client and their assistant.
    let configuration = json!({
        "url": "/openapi.json",
        "pageTitle": "Everlog API",
        "theme": "default",
        "layout": "modern",
        "withDefaultFonts": false,
        "telemetry": false,
        "hideClientButton": true,
        "showDeveloperTools": "never",
        "agent": {"disabled": true},
        "mcp": {"disabled": true},
        "hiddenClients": true,
        "defaultOpenAllTags": false,
        "operationTitleSource": "summary",
        "documentDownloadType": "direct",
    });
    let page = scalar_api_reference::scalar_html(&configuration, Some(SCRIPT_PATH));
    Ok(([(header::CACHE_CONTROL, "no-cache")], Html(page)).into_response())
}

/// The script of the page; it is not part of the document.
pub(super) async fn get_script() -> Result<Response, Problem> {
    static SCRIPT: LazyLock<Option<Bytes>> =
        LazyLock::new(|| scalar_api_reference::get_asset("scalar.js").map(Bytes::from));
    let Some(script) = SCRIPT.clone() else {
        return Err(Problem::new(Kind::Internal, "The page's script is not there."));
    };
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, script).into_response())
}
