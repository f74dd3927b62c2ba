//! The interface as an OpenAPI document, for anybody. The document is a file of the tree: what is served is what was reviewed.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;

/// The document, in JSON.
pub(super) const DOCUMENT: &str = include_str!("../../openapi.json");

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
