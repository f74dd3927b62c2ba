//! Operator's routes that change the stock of an item: restocks, cuts, holds. Each by an id that the client chose, booked once.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::put;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::body::{Body, invalid_path};
use super::error::ApiError;
use crate::domain::ids::Invalid;
use crate::domain::{ChangeKind, Item, OrderId, StockChange};
use crate::flow::Booked;

pub(super) fn router() -> Router<Shared> {
    const ITEM: &str = "/admin/stock/{store_id}/{product_id}/{sku_id}";
    Router::new()
        .route(&format!("{ITEM}/restocks/{{id}}"), put(restock))
        .route(&format!("{ITEM}/cuts/{{id}}"), put(cut))
        .route(&format!("{ITEM}/holds/{{id}}"), put(hold))
}

/// An item and the id of a change in the path.
struct ChangePath {
    item: Item,
    id: OrderId,
}

impl<S: Send + Sync> FromRequestParts<S> for ChangePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(i64, i64, i64, String)>::from_request_parts(parts, state).await.map_err(invalid_path)?;
        let Path((store, product, sku, id)) = path;
        let id = id.parse().map_err(|_| Invalid::new("id", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -"))?;
        Ok(Self { item: Item::new(store, product, sku)?, id })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    quantity: i64,
    reason: String,
}

#[derive(Serialize)]
struct ChangeReply {
    id: String,
    item: String,
    kind: &'static str,
    quantity: i64,
    reason: String,
}

type Changed = Result<(StatusCode, Json<ChangeReply>), ApiError>;

async fn restock(State(shared): State<Shared>, path: ChangePath, Body(body): Body<ChangeBody>) -> Changed {
    change(&shared, path, ChangeKind::Restock, &body).await
}

async fn cut(State(shared): State<Shared>, path: ChangePath, Body(body): Body<ChangeBody>) -> Changed {
    change(&shared, path, ChangeKind::Cut, &body).await
}

async fn hold(State(shared): State<Shared>, path: ChangePath, Body(body): Body<ChangeBody>) -> Changed {
    change(&shared, path, ChangeKind::Hold, &body).await
}

async fn change(shared: &Shared, ChangePath { item, id }: ChangePath, kind: ChangeKind, body: &ChangeBody) -> Changed {
    let change = StockChange::new(id, item, kind, body.quantity, &body.reason)?;
    let status = match shared.flow.change_stock(&change).await? {
        Booked::Now => StatusCode::CREATED,
        Booked::Before => StatusCode::OK,
    };
    Ok((status, Json(reply(&change))))
}

fn reply(change: &StockChange) -> ChangeReply {
    ChangeReply {
        id: change.id().to_string(),
        item: change.item().to_string(),
        kind: change.kind().name(),
        quantity: change.units(),
        reason: change.reason().to_owned(),
    }
}
