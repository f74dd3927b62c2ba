//! Housekeeping: reads the backlog of the outbox for the metrics, and deletes old messages that are done.

use std::time::Duration;

use super::{Round, WorkerSettings};
use crate::flow::{Flow, Refusal};

/// Messages deleted in one round.
const PURGE_LIMIT: u32 = 1_000;

pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let depth = flow.ledger().outbox_depth().await?;
    let metrics = flow.metrics();
    metrics.outbox("DEDUCT_STOCK_DB", depth.deducts, depth.dead, Duration::from_millis(depth.oldest_deduct_ms));
    metrics.outbox("APPLY_DELTA", depth.deltas, 0, Duration::from_millis(depth.oldest_delta_ms));
    let purged = flow.ledger().purge_outbox(settings.outbox_kept, PURGE_LIMIT).await?;
    metrics.count_many("purge", "outbox", purged);
    Ok(Round::Idle)
}
