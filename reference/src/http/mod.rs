//! The HTTP interface: JSON in, JSON out. Public and admin routes are separate routers for separate listeners.
//!
//! In: requests of anybody. Out: replies of the contract in `docs/http-api.md`. Everything is checked here; behind it a wrong
//! value cannot exist.

mod admin;
mod body;
mod error;
mod explain;
mod health;
mod inventory;
mod openapi;
mod operations;
mod orders;
pub mod server;
mod stock_changes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::alerts::Alerts;
use crate::flow::Flow;

/// Largest body of a request, bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// What every route may use.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The use cases.
    pub flow: Flow,
    /// Token of the admin routes.
    pub admin_token: Arc<str>,
    /// Longest wait for the body of a request.
    pub client_timeout: Duration,
    /// Which alerts are on.
    pub alerts: Alerts,
}

/// Routes of the public listener.
pub fn public_router(shared: Shared) -> Router {
    finish(
        Router::new().merge(orders::router()).merge(inventory::router()).merge(health::router()).merge(openapi::router()),
        shared,
    )
}

/// Routes of the admin listener.
pub fn admin_router(shared: Shared) -> Router {
    let tools = admin::router(&shared).merge(operations::router(&shared));
    finish(tools.merge(health::router()).merge(openapi::router()), shared)
}

fn finish(router: Router<Shared>, shared: Shared) -> Router {
    router
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}
