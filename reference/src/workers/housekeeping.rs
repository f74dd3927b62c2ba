//! Housekeeping: reads the backlog of the outbox for the metrics, and deletes old messages that are done.

use std::time::Duration;

use super::{Round, WorkerSettings};
use crate::flow::{Flow, Refusal};

/// Messages deleted in one round.
const PURGE_LIMIT: u32 = 1_000;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    read_backlog(flow).await?;
    let purged = flow.ledger().purge_outbox(settings.outbox_kept, PURGE_LIMIT).await?;
    flow.metrics().count_many("purge", "outbox", purged);
    Ok(Round::Idle)
}

/// Reads the backlog for the metrics.
pub(super) async fn read_backlog(flow: &Flow) -> Result<Round, Refusal> {
    let depth = flow.ledger().outbox_depth().await?;
    let metrics = flow.metrics();
    metrics.outbox("DEDUCT_STOCK_DB", depth.deducts, depth.dead, Duration::from_millis(depth.oldest_deduct_ms));
    metrics.outbox("APPLY_DELTA", depth.deltas, depth.dead_deltas, Duration::from_millis(depth.oldest_delta_ms));
    Ok(Round::Idle)
}
