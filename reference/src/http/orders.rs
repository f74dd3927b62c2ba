//! Orders: create, read, pay, cancel, refund.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::body::{Body, Object, OrderPath};
use super::error::ApiError;
use crate::domain::{Epoch, Item, Line, OrderRequest, OrderStatus, Quantity, Token, UserId};
use crate::flow::{Created, Receipt};
use crate::ledger::StoredOrder;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/orders", post(create))
        .route("/orders/{order_id}", get(read))
        .route("/orders/{order_id}/pay", post(pay))
        .route("/orders/{order_id}/cancel", post(cancel))
        .route("/orders/{order_id}/refund", post(refund))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody {
    order_id: String,
    user_id: i64,
    items: Vec<Object<LineBody>>,
    #[serde(default)]
    retry: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineBody {
    store_id: i64,
    product_id: i64,
    sku_id: i64,
    quantity: i64,
}

#[derive(Serialize)]
struct OrderReply {
    order_id: String,
    status: &'static str,
    user_id: i64,
    items: Vec<LineReply>,
}

#[derive(Serialize)]
struct LineReply {
    store_id: i64,
    product_id: i64,
    sku_id: i64,
    quantity: u32,
    token: String,
    epoch: u64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_after: Option<i64>,
}

#[derive(Serialize)]
struct StatusReply {
    order_id: String,
    status: &'static str,
}

async fn create(State(shared): State<Shared>, Body(body): Body<CreateBody>) -> Result<(StatusCode, Json<OrderReply>), ApiError> {
    let repeated = body.retry;
    let request = Arc::new(request_of(body)?);
    Ok(match shared.flow.create(request, repeated).await? {
        Created::Now(receipt) => (StatusCode::CREATED, Json(of_receipt(&receipt))),
        Created::Before(stored) => (StatusCode::OK, Json(of_stored(&stored))),
    })
}

async fn read(State(shared): State<Shared>, OrderPath(order): OrderPath) -> Result<Json<OrderReply>, ApiError> {
    Ok(Json(of_stored(&shared.flow.order(&order).await?)))
}

async fn pay(State(shared): State<Shared>, OrderPath(order): OrderPath) -> Result<Json<StatusReply>, ApiError> {
    shared.flow.pay(&order).await?;
    Ok(Json(StatusReply { order_id: order.to_string(), status: OrderStatus::Paid.name() }))
}

async fn cancel(State(shared): State<Shared>, OrderPath(order): OrderPath) -> Result<Json<StatusReply>, ApiError> {
    Ok(Json(status_of(&shared.flow.cancel(&order).await?)))
}

async fn refund(State(shared): State<Shared>, OrderPath(order): OrderPath) -> Result<Json<StatusReply>, ApiError> {
    Ok(Json(status_of(&shared.flow.refund(&order).await?)))
}

fn request_of(body: CreateBody) -> Result<OrderRequest, ApiError> {
    let line = |Object(line): Object<LineBody>| -> Result<Line, ApiError> {
        let item = Item::new(line.store_id, line.product_id, line.sku_id)?;
        Ok(Line { item, quantity: Quantity::new(line.quantity)? })
    };
    let order = body.order_id.parse()?;
    let user = UserId::new(body.user_id)?;
    let lines = body.items.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(OrderRequest::new(order, user, lines)?)
}

fn of_receipt(receipt: &Receipt) -> OrderReply {
    let lines = receipt.admissions.iter().zip(&receipt.epochs).zip(&receipt.left);
    OrderReply {
        order_id: receipt.request.order().to_string(),
        status: OrderStatus::Created.name(),
        user_id: receipt.request.user().get(),
        items: lines.map(|((admission, epoch), left)| line_reply(admission.line, admission.token, *epoch, *left)).collect(),
    }
}

fn of_stored(stored: &StoredOrder) -> OrderReply {
    let line = |item, quantity| Line { item, quantity };
    OrderReply {
        order_id: stored.order.to_string(),
        status: stored.status.name(),
        user_id: stored.user.get(),
        items: stored.sales.iter().map(|sale| line_reply(line(sale.item, sale.quantity), sale.token, sale.epoch, None)).collect(),
    }
}

/// A line; `epoch` is used where no token carries it.
fn line_reply(line: Line, token: Option<Token>, epoch: Epoch, stock_after: Option<i64>) -> LineReply {
    LineReply {
        store_id: line.item.store,
        product_id: line.item.product,
        sku_id: line.item.sku,
        quantity: line.quantity.get(),
        token: token.map(|token| token.to_string()).unwrap_or_default(),
        epoch: token.map_or(epoch, |token| token.epoch).0,
        version: token.map_or(0, |token| token.version),
        stock_after,
    }
}

fn status_of(stored: &StoredOrder) -> StatusReply {
    StatusReply { order_id: stored.order.to_string(), status: stored.status.name() }
}
