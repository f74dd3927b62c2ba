//! Messages of the outbox, and what the deduct worker settled by them.

use crate::domain::{Epoch, Item, OrderId, Quantity, Token};

/// A sale whose fate the deduct worker settled, and whose lock can be confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The item.
    pub item: Item,
    /// The order.
    pub order: OrderId,
    /// Token of its reservation.
    pub token: Token,
    /// Units.
    pub quantity: Quantity,
}

/// What one batch of the deduct worker did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeductBatch {
    /// Events taken from the outbox; below the limit means that the outbox is drained for now.
    pub events: usize,
    /// Sales whose locks can be confirmed.
    pub settled: Vec<Settled>,
    /// Items whose balance refused the deduct (a ledger breach): their events were put off or are DEAD.
    pub refused: Vec<Item>,
    /// Events that became DEAD.
    pub dead: u64,
}

/// An increase waiting to be added to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaEvent {
    /// Outbox row.
    pub id: i64,
    /// Event id: `C.<order>` or `rst.<id>`.
    pub event_id: String,
    /// The item.
    pub item: Item,
    /// Units.
    pub quantity: u64,
    /// Epoch that the increase was committed in.
    pub epoch: Epoch,
    /// Deliveries so far, this one included.
    pub attempts: u32,
    /// Age since it was committed, ms.
    pub age_ms: u64,
}

/// Backlog of the outbox, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxDepth {
    /// Deducts in NEW.
    pub deducts: u64,
    /// Increases in NEW.
    pub deltas: u64,
    /// Deducts in DEAD.
    pub dead: u64,
    /// Increases in DEAD.
    pub dead_deltas: u64,
    /// Age of the oldest deduct in NEW, ms.
    pub oldest_deduct_ms: u64,
    /// Age of the oldest increase in NEW, ms.
    pub oldest_delta_ms: u64,
}

/// A message that was given up, as its row says: perhaps it was given up because nothing of it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    /// Outbox row.
    pub id: i64,
    /// `DEDUCT_STOCK_DB` or `APPLY_DELTA`.
    pub event_type: String,
    /// Id of the order, or of the change of stock.
    pub order: String,
    /// Store, product and SKU.
    pub item: (i64, i64, i64),
    /// Units.
    pub quantity: i64,
    /// Refusals.
    pub attempts: i64,
    /// Why it was given up.
    pub why: String,
    /// Age since it was written, ms.
    pub age_ms: u64,
}
