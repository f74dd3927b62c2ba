//! Stock of an item, for anybody.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::Shared;
use super::body::ItemPath;
use super::error::ApiError;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/stock/{store_id}/{product_id}/{sku_id}", get(stock))
}

#[derive(Serialize)]
struct StockReply {
    item: String,
    available: i64,
    epoch: u64,
    mode: &'static str,
    source: &'static str,
}

async fn stock(State(shared): State<Shared>, ItemPath(item): ItemPath) -> Result<Json<StockReply>, ApiError> {
    let level = shared.flow.stock_level(item).await?;
    Ok(Json(StockReply {
        item: item.to_string(),
        available: level.available,
        epoch: level.epoch.0,
        mode: level.mode.name(),
        source: if level.from_redis { "redis" } else { "ledger" },
    }))
}
