//! Housekeeping: reads the backlogs that metrics show, and deletes old messages that are done.

use super::{Round, WorkerSettings};
use crate::flow::{Flow, Refusal};

/// Messages deleted in one round.
const PURGE_LIMIT: u32 = 1_000;

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point; counts stay far below 2^53")]
pub(super) async fn round(flow: &Flow, settings: &WorkerSettings) -> Result<Round, Refusal> {
    let depth = flow.ledger().outbox_depth().await?;
    let metrics = flow.metrics();
    metrics.backlog("outbox_deducts", depth.deducts as f64);
    metrics.backlog("outbox_deltas", depth.deltas as f64);
    metrics.backlog("outbox_dead", depth.dead as f64);
    metrics.backlog("outbox_oldest_seconds", depth.oldest_ms as f64 / 1e3);
    metrics.backlog("order_writer", flow.ledger().writer_queue_len() as f64);
    let purged = flow.ledger().purge_outbox(settings.outbox_kept, PURGE_LIMIT).await?;
    metrics.count_many("purge", "outbox", purged);
    Ok(Round::Idle)
}
