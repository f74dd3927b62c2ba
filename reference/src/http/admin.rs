//! Operator's routes: open an item for sale, change its stock and its limit, reopen it, metrics. On their own listener, behind a bearer token.

use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body::{Body, ItemPath};
use super::error::ApiError;
use super::{Shared, stock_changes};
use crate::domain::UserLimit;
use crate::domain::ids::Invalid;
use crate::ledger::{Mode, Restocked};

/// Most units an item can open with.
const OPENING_MAX: u64 = 1_000_000_000_000;

pub(super) fn router(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/admin/sales/{store_id}/{product_id}/{sku_id}", put(open_sale))
        .route("/admin/sales/{store_id}/{product_id}/{sku_id}/reopen", post(reopen))
        .route("/admin/limits/{store_id}/{product_id}/{sku_id}", put(set_limit))
        .merge(stock_changes::router())
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
    limit_per_user: Option<i64>,
}

#[derive(Serialize)]
struct OpenReply {
    item: String,
    opening_stock: u64,
    limit_per_user: i64,
}

async fn open_sale(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<OpenBody>,
) -> Result<(StatusCode, Json<OpenReply>), ApiError> {
    if !(1..=OPENING_MAX).contains(&body.opening_stock) {
        return Err(Invalid::new("opening_stock", "must be an integer from 1 to 1000000000000").into());
    }
    let limit = body.limit_per_user.map(UserLimit::new).transpose()?;
    let opened = shared.flow.open_sale(item, body.opening_stock, limit).await?;
    let status = if opened == Restocked::Now { StatusCode::CREATED } else { StatusCode::OK };
    let limit = match (opened, limit) {
        // Known without another question, whose failure would deny that it was opened now.
        (Restocked::Now, limit) => limit.unwrap_or_default(),
        (_, Some(stands)) => stands,
        (_, None) => shared.flow.user_limit(item).await?,
    };
    Ok((status, Json(OpenReply { item: item.to_string(), opening_stock: body.opening_stock, limit_per_user: limit.get() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitBody {
    limit_per_user: i64,
}

#[derive(Serialize)]
struct LimitReply {
    item: String,
    limit_per_user: i64,
}

async fn set_limit(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<LimitBody>,
) -> Result<Json<LimitReply>, ApiError> {
    let limit = UserLimit::new(body.limit_per_user)?;
    shared.flow.set_user_limit(item, limit).await?;
    Ok(Json(LimitReply { item: item.to_string(), limit_per_user: limit.get() }))
}

#[derive(Serialize)]
struct ReopenReply {
    item: String,
    mode: &'static str,
    epoch: u64,
}

async fn reopen(State(shared): State<Shared>, ItemPath(item): ItemPath) -> Result<Json<ReopenReply>, ApiError> {
    let state = shared.flow.reopen(item, Mode::Redis).await?;
    Ok(Json(ReopenReply { item: item.to_string(), mode: state.mode.name(), epoch: state.epoch.0 }))
}

async fn metrics(State(shared): State<Shared>) -> String {
    shared.flow.exposition()
}
