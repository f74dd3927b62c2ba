//! Operator's routes: open an item for sale, metrics. On their own listener, behind a bearer token.

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, put};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Shared;
use super::body::{Body, ItemPath};
use super::error::ApiError;
use crate::domain::ids::Invalid;
use crate::ledger::Restocked;

/// Most units an item can open with.
const OPENING_MAX: u64 = 1_000_000_000_000;

pub(super) fn router(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/admin/sales/{store_id}/{product_id}/{sku_id}", put(open_sale))
        .route("/metrics", get(metrics))
        .route_layer(from_fn_with_state(shared.clone(), need_token))
}

/// Compares digests, so that the time it takes says nothing about the token.
pub(super) async fn need_token(State(shared): State<Shared>, request: Request, next: Next) -> Result<Response, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    match given {
        Some(given) if digest(given) == digest(&shared.admin_token) => Ok(next.run(request).await),
        _ => Err(ApiError::Unauthorized),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenBody {
    opening_stock: u64,
}

#[derive(Serialize)]
struct OpenReply {
    item: String,
    opening_stock: u64,
}

async fn open_sale(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<OpenBody>,
) -> Result<(StatusCode, Json<OpenReply>), ApiError> {
    if !(1..=OPENING_MAX).contains(&body.opening_stock) {
        return Err(Invalid::new("opening_stock", "must be an integer from 1 to 1000000000000").into());
    }
    let opened = shared.flow.open_item(item, body.opening_stock).await?;
    let status = if opened == Restocked::Now { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(OpenReply { item: item.to_string(), opening_stock: body.opening_stock })))
}

async fn metrics(State(shared): State<Shared>) -> String {
    shared.flow.exposition()
}
