//! What both stores hold at rest, and what every service process answers then.
//!
//! In: direct connections to the stores (never through a proxy) and the api processes. Out: a [`Snapshot`], which is plain data.
//! [`quiesce`] waits until there is nothing left to do; [`redis_state`] and [`ledger_state`] read; [`take`] makes one moment of both.

pub mod error;
pub mod final_reads;
pub mod gauges;
pub mod ledger_state;
pub mod quiesce;
pub mod reader;
pub mod redis_state;
pub mod servers;
pub mod take;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::error::SnapshotError;
pub use self::reader::StoreReader;
use crate::clock::Offset;
use crate::scenario::ItemId;

/// `inventory`: the balance of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRow {
    /// The item.
    pub item: ItemId,
    /// Units owned.
    pub current_stock: i64,
    /// Units held back on purpose.
    pub locked_stock: i64,
    /// Counts changes of the row.
    pub version: i64,
}

/// `inventory_epoch`: which epoch may admit, for one shard of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The item.
    pub item: ItemId,
    /// Shard of the row.
    pub shard: i16,
    /// The epoch.
    pub epoch: u64,
    /// `REDIS`, `STRICT`, `DB` or `CLOSED`.
    pub mode: String,
    /// Stock that the epoch opened with.
    pub base: i64,
}

/// `orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Order id.
    pub order_id: String,
    /// User.
    pub user_id: u64,
    /// `CREATED`, `PAID`, `REFUNDED`, `CANCELLED`, `EXPIRED`, `FENCED`.
    pub status: String,
    /// Why it left its former status.
    pub reason: String,
    /// When it was created, ms since 1970 by the database's clock.
    pub created_at_ms: i64,
    /// When it expires if unpaid, ms since 1970.
    pub expire_at_ms: Option<i64>,
}

impl OrderRow {
    /// Whether the order stands: `CREATED` or `PAID`.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.status.as_str(), "CREATED" | "PAID")
    }
}

/// `inventory_transactions`: one row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Number of the row; grows with the order of inserts behind the epoch lock.
    pub id: u64,
    /// Order id, or the id of a restock or adjustment.
    pub order_id: String,
    /// The item.
    pub item: ItemId,
    /// `SALE`, `RETURN`, `RESTOCK`, `ADJUST`.
    pub kind: String,
    /// `LOCK`, `OUT`, `UNLOCK`, `IN`.
    pub transaction_type: String,
    /// Units.
    pub quantity: i64,
    /// Epoch that it was committed in.
    pub epoch: u64,
    /// Token that it was admitted by; empty if none.
    pub token: String,
}

/// `outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    /// Number of the row.
    pub id: u64,
    /// Event id.
    pub event_id: String,
    /// `DEDUCT_STOCK_DB` or `APPLY_DELTA`.
    pub event_type: String,
    /// Order id.
    pub order_id: String,
    /// The item.
    pub item: ItemId,
    /// Units.
    pub quantity: i64,
    /// Epoch of the event.
    pub epoch: u64,
    /// `NEW`, `DONE`, `DEAD`.
    pub status: String,
    /// Deliveries that failed.
    pub attempts: i32,
    /// Text of the last failure.
    pub last_error: String,
}

/// `user_quota`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRow {
    /// The item.
    pub item: ItemId,
    /// The user.
    pub user_id: u64,
    /// Units that the user holds.
    pub quantity: i64,
}

/// `audit_findings`: what an audit of the service found before it corrected it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFinding {
    /// The item.
    pub item: ItemId,
    /// Epoch that was audited.
    pub epoch: u64,
    /// What was wrong, in words.
    pub findings: String,
    /// Redis less ledger, units.
    pub drift: i64,
    /// The numbers that were compared.
    pub details: String,
    /// When it was found, ms since 1970 by the database's clock.
    pub created_at_ms: i64,
}

/// A lock in Redis: a member of `inventory:lock:T`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockState {
    /// The member as stored: `order|token|qty`.
    pub member: String,
    /// Time of the reservation, ms since 1970 by Redis' clock.
    pub since_ms: i64,
}

impl LockState {
    /// Order id, token and units of the member, if it has that form.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str, u64)> {
        let mut fields = self.member.split('|');
        let parts = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        fields.next().is_none().then_some(parts)
    }
}

/// What Redis holds for one item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisItem {
    /// `inventory:stock:T`, as text; `None` if missing.
    pub stock: Option<String>,
    /// `inventory:meta:T`; empty if missing.
    pub meta: BTreeMap<String, String>,
    /// `inventory:lock:T`.
    pub locks: Vec<LockState>,
    /// Deduct records: order id → `token|qty`.
    pub records: BTreeMap<String, String>,
    /// Markers of applied increases: event id → epoch.
    pub markers: BTreeMap<String, String>,
}

impl RedisItem {
    /// The stock as a number, if it is a plain integer.
    #[must_use]
    pub fn stock_units(&self) -> Option<i64> {
        self.stock.as_deref()?.parse().ok()
    }

    /// A number of the meta hash.
    #[must_use]
    pub fn meta_number(&self, field: &str) -> Option<i64> {
        self.meta.get(field)?.parse().ok()
    }
}

/// Answer of one api process to a final read of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalRead {
    /// Order id.
    pub order_id: String,
    /// Index of the api process.
    pub instance: u16,
    /// HTTP status; 0 if no whole reply came.
    pub http: u16,
    /// Order status in the reply, or the error code; `no_answer` or `unreadable` if there is neither.
    pub status: String,
}

/// Which servers hold the data, and how durably.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// Redis' own name and version.
    pub redis: String,
    /// MySQL's own version string.
    pub mysql: String,
    /// Settings that decide what an acknowledgement is worth, by name: `innodb_flush_log_at_trx_commit`, `sync_binlog`, `appendonly`, ...
    pub settings: BTreeMap<String, String>,
}

/// Both stores at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the last read ended.
    pub taken_at: Offset,
    /// Whether the fingerprints before and after the reads were equal, so that both stores are of one moment.
    pub consistent: bool,
    /// Attempts that this took.
    pub attempts: u32,
    /// Balances.
    pub inventory: Vec<InventoryRow>,
    /// Epochs.
    pub epochs: Vec<EpochRow>,
    /// Orders.
    pub orders: Vec<OrderRow>,
    /// Ledger, by id.
    pub ledger: Vec<LedgerRow>,
    /// Outbox, by id.
    pub outbox: Vec<OutboxRow>,
    /// Quotas.
    pub quotas: Vec<QuotaRow>,
    /// What audits of the service found, by age; `None` if it does not keep that.
    #[serde(default)]
    pub audit_findings: Option<Vec<AuditFinding>>,
    /// Redis, by item.
    pub redis: BTreeMap<ItemId, RedisItem>,
    /// Keys under `inventory:` of no known form, of the wrong type, or of an item without a balance (the values of those are in `redis` as well).
    pub stray_keys: Vec<String>,
    /// Final reads through every api process.
    pub reads: Vec<FinalRead>,
    /// Who answered.
    pub servers: Servers,
}

/// How a wait for quiescence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Nothing is left to do.
    Quiesced,
    /// Something is left and no longer falls.
    Stuck,
    /// Still falling at the hard cap.
    Slow,
    /// The wait was interrupted, or a store did not answer.
    Unread,
}

/// What quiescence waits for; all zero at rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Outbox rows in NEW.
    pub outbox_new: u64,
    /// Members of all lock sets.
    pub locks: u64,
    /// SALE rows in LOCK.
    pub sales_in_lock: u64,
    /// Operations of the harness still open.
    pub open_operations: u64,
    /// Orders that wait to be paid or to expire; counted only where they expire soon (`Scenario::waits_for_expiry`).
    #[serde(default)]
    pub unpaid: u64,
}

impl Backlog {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The end of a wait for quiescence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiescence {
    /// How it ended.
    pub rest: Rest,
    /// What was left.
    pub backlog: Backlog,
    /// When it began.
    pub began: Offset,
    /// When it ended.
    pub ended: Offset,
}

/// One stop of the run: the wait and the snapshot that followed it. `snapshot.json.zst` holds them in order: after the load, after the drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// `load` or `drain`.
    pub after: String,
    /// The wait.
    pub quiescence: Quiescence,
    /// The snapshot.
    pub snapshot: Snapshot,
}
