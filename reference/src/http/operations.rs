//! Operator's tools: audit, rebuild, mode, repair, one order, dead messages, alerts. On the admin listener, behind its token.
//!
//! Every tool may be repeated. Those that change something look only, unless the body says `"dry_run": false`.

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::admin::need_token;
use super::body::{Body, ItemPath, OrderPath, RowPath};
use super::error::ApiError;
use super::explain;
use crate::domain::ids::Invalid;
use crate::domain::{Epoch, Item};
use crate::ledger::{EpochState, Mode};

/// Items of one call of repair.
const REPAIR_MAX: u32 = 200;
/// Dead messages told at a time.
const DEAD_MAX: u32 = 500;

pub(super) fn router(shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/admin/items/{store_id}/{product_id}/{sku_id}/audit", post(audit))
        .route("/admin/items/{store_id}/{product_id}/{sku_id}/rebuild", post(rebuild))
        .route("/admin/items/{store_id}/{product_id}/{sku_id}/mode", post(mode))
        .route("/admin/repair", post(repair))
        .route("/admin/orders/{order_id}/resolve", post(resolve))
        .route("/admin/outbox/dead", get(dead))
        .route("/admin/outbox/{row}/requeue", post(requeue))
        .route("/admin/alerts", get(alerts))
        .route_layer(from_fn_with_state(shared.clone(), need_token))
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolBody {
    #[serde(default = "yes")]
    dry_run: bool,
}

async fn audit(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<ToolBody>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(explain::audit(&shared.flow.audit(item, !body.dry_run).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RebuildBody {
    /// Rebuild only if the item is still of this epoch, so that a repeat does nothing.
    seen_epoch: Option<u64>,
}

#[derive(Serialize)]
struct EpochReply {
    item: String,
    epoch: u64,
    mode: &'static str,
    changed: bool,
}

fn epoch_reply(item: Item, (state, changed): (EpochState, bool)) -> Json<EpochReply> {
    Json(EpochReply { item: item.to_string(), epoch: state.epoch.0, mode: state.mode.name(), changed })
}

async fn rebuild(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<RebuildBody>,
) -> Result<Json<EpochReply>, ApiError> {
    let seen = match body.seen_epoch {
        Some(seen) if i64::try_from(seen).is_err() => {
            return Err(Invalid::new("seen_epoch", "must be an integer from 0 to 9223372036854775807").into());
        }
        seen => seen.map(Epoch),
    };
    Ok(epoch_reply(item, shared.flow.rebuild_from(item, seen).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeBody {
    mode: String,
}

async fn mode(
    State(shared): State<Shared>,
    ItemPath(item): ItemPath,
    Body(body): Body<ModeBody>,
) -> Result<Json<EpochReply>, ApiError> {
    let mode: Mode = body.mode.parse()?;
    Ok(epoch_reply(item, shared.flow.change_mode(item, mode).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepairBody {
    #[serde(default = "yes")]
    dry_run: bool,
    /// The last item of the call before.
    after: Option<String>,
    limit: Option<u32>,
}

async fn repair(State(shared): State<Shared>, Body(body): Body<RepairBody>) -> Result<Json<Value>, ApiError> {
    let after: Option<Item> = body.after.map(|text| text.parse()).transpose()?;
    let limit = body.limit.unwrap_or(REPAIR_MAX);
    if !(1..=REPAIR_MAX).contains(&limit) {
        return Err(Invalid::new("limit", "must be an integer from 1 to 200").into());
    }
    let items = shared.flow.ledger().items(after, limit).await.map_err(crate::flow::Refusal::from)?;
    let next = if items.len() == limit as usize { items.last().map(|(item, _)| item.to_string()) } else { None };
    let mut told = Vec::new();
    for (item, _) in &items {
        match shared.flow.repair(*item, body.dry_run).await {
            Ok(repaired) if repaired.was_sound() => {}
            Ok(repaired) => told.push(explain::repaired(&repaired)),
            // One item that cannot be mended now must not keep the tool from the others.
            Err(refusal) => told.push(json!({ "item": item.to_string(), "failed": refusal.to_string() })),
        }
    }
    Ok(Json(json!({ "dry_run": body.dry_run, "looked_at": items.len(), "items": told, "next": next })))
}

async fn resolve(
    State(shared): State<Shared>,
    OrderPath(order): OrderPath,
    Body(body): Body<ToolBody>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(explain::resolution(&order, &shared.flow.resolve_order(&order, body.dry_run).await?)))
}

async fn dead(State(shared): State<Shared>) -> Result<Json<Value>, ApiError> {
    let dead = shared.flow.ledger().dead_messages(DEAD_MAX).await.map_err(crate::flow::Refusal::from)?;
    Ok(Json(json!({ "messages": dead.iter().map(explain::dead).collect::<Vec<_>>() })))
}

async fn requeue(State(shared): State<Shared>, RowPath(row): RowPath) -> Result<Json<Value>, ApiError> {
    let requeued = shared.flow.ledger().requeue(row).await.map_err(crate::flow::Refusal::from)?;
    Ok(Json(json!({ "row": row, "requeued": requeued })))
}

async fn alerts(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "alerts": shared.alerts.now().iter().map(explain::alert).collect::<Vec<_>>() }))
}
