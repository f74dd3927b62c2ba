//! Whether the process lives, and whether it can serve.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready))
}

async fn live() -> &'static str {
    "live\n"
}

/// Ready means that orders can be admitted: both stores answer, or MySQL does and may admit while Redis is away.
async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    let (stock, ledger) = tokio::join!(shared.flow.stock().ping(), shared.flow.ledger().ping());
    match (stock, ledger) {
        (Ok(()), Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        (Err(error), Ok(())) if shared.flow.sells_without_redis() => (StatusCode::OK, format!("ready without redis: {error}\n")),
        (Err(error), _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        (_, Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}
