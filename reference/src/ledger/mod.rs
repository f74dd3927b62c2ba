//! The MySQL side: orders, ledger, balances, outbox and epochs. MySQL decides; every method here is one transaction or one read.
//!
//! In: requests, tokens, ids. Out: typed results that keep "certainly not" and "nobody can say" apart.

mod audit;
mod boot;
mod connection;
mod deduct;
mod degrade;
mod failure;
mod items;
mod order_aside;
mod order_batch;
mod order_fence;
mod order_writer;
mod orders;
mod outbox;
mod pool;
mod quota;
mod rebuild;
mod restock;
mod rows;
mod seat;
mod self_test;
mod settings;
mod sql;
mod stock_change;
mod store;
mod undo;
mod unit;
mod user_limit;

#[cfg(feature = "defects")]
#[path = "../defects/ledger.rs"]
mod wrong;

use std::sync::Arc;

pub use audit::{AuditRequest, Audited, Comparison, Increase, LedgerCheck, Look, Sight};
pub use seat::Seat;
pub use settings::LedgerSettings;
pub use stock_change::{ChangeStop, StockChanged};
pub use store::Ledger;

use crate::domain::{Epoch, Item, Line, OrderId, OrderRequest, OrderStatus, Quantity, SaleState, Token, UserId};

/// Who may admit orders of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Redis admits.
    Redis,
    /// Redis admits and the balance in MySQL guards each order.
    Strict,
    /// MySQL admits; Redis takes no part.
    Db,
    /// Nobody: no sales; cancels and restocks go on.
    Closed,
}

impl Mode {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "REDIS",
            Self::Strict => "STRICT",
            Self::Db => "DB",
            Self::Closed => "CLOSED",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = crate::domain::ids::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Redis, Self::Strict, Self::Db, Self::Closed];
        all.into_iter().find(|mode| mode.name() == text).ok_or(Self::Err::new("mode", "must be REDIS, STRICT, DB or CLOSED"))
    }
}

/// A line with the token that admitted it; no token in mode DB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// What and how many.
    pub line: Line,
    /// The reservation in Redis.
    pub token: Option<Token>,
}

/// An order to be written.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// What was asked.
    pub request: Arc<OrderRequest>,
    /// One admission for each line, in the order of the lines.
    pub admissions: Vec<Admission>,
    /// The order expires if it is not paid within this.
    pub ttl: std::time::Duration,
    /// Whether another attempt with this id may be under way. Such an order is written apart, because its INSERT may wait for the other.
    pub contested: bool,
}

/// What became of an order transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Committed: the order stands.
    Committed,
    /// Committed, and its balances have moved (modes STRICT and DB): no deduct will come to confirm its locks.
    CommittedGuarded {
        /// Epoch of each admission, in their order.
        epochs: Vec<Epoch>,
    },
    /// Not written: an order row with this id exists already.
    Exists,
    /// Not written: the token of this item is not of its current epoch, or its mode does not take this kind of admission.
    NotAdmitted {
        /// The first such item.
        item: Item,
    },
    /// Not written: the balance in MySQL does not cover the order (modes STRICT and DB).
    GuardRefused {
        /// The item that is short.
        item: Item,
    },
    /// Not written: the user's live orders would hold more of this item than its limit.
    QuotaExceeded {
        /// The item.
        item: Item,
    },
    /// COMMIT was sent and its reply never came: only RESOLVE can tell.
    Unknown,
}

/// A SALE row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale {
    /// The item.
    pub item: Item,
    /// Units.
    pub quantity: Quantity,
    /// Where it stands.
    pub state: SaleState,
    /// Token that admitted it; `None` in mode DB.
    pub token: Option<Token>,
    /// Epoch that it was committed in.
    pub epoch: Epoch,
}

/// An order as MySQL holds it, with its SALE rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// The id.
    pub order: OrderId,
    /// Who ordered.
    pub user: UserId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Hash of the canonical body.
    pub hash: [u8; 32],
    /// Why it left its former status; empty if it did not.
    pub reason: String,
    /// SALE rows, sorted by item; empty for a tombstone.
    pub sales: Vec<Sale>,
}

/// Which end an order comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// By its user, unpaid: CREATED → CANCELLED.
    Cancel,
    /// Not paid in time: CREATED → EXPIRED, only once `expire_at` has passed.
    Expire,
    /// Paid, then given back: PAID → REFUNDED.
    Refund,
}

/// What a compare-and-set on an order did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The order changed now.
    Now(StoredOrder),
    /// The order stands elsewhere; nothing changed.
    Not(StoredOrder),
    /// No order has this id; nothing changed.
    NoOrder,
}

/// What a payment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// The order is paid now.
    Now,
    /// The order stands elsewhere; nothing changed.
    Not(OrderStatus),
    /// No order has this id; nothing changed.
    NoOrder,
}

/// The epoch row of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochState {
    /// Current epoch; 0 before the first rebuild.
    pub epoch: Epoch,
    /// Who may admit.
    pub mode: Mode,
}

/// What a rebuild wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildRequest {
    /// The item.
    pub item: Item,
    /// Epoch that the caller saw in MySQL; another one means that somebody was faster.
    pub seen: Epoch,
    /// Newest epoch found in Redis; the new one is above both.
    pub in_redis: Epoch,
    /// Wanted mode; `None` keeps the present one.
    pub mode: Option<Mode>,
    /// Incarnation of the Redis process that will get the counter; empty for modes DB and CLOSED.
    pub incarnation: String,
    /// Why, in a short word, at most 64 bytes.
    pub reason: &'static str,
}

/// What the transaction of a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuilt {
    /// Committed: this epoch opens with this base, and its counter may be installed once.
    Committed {
        /// The new epoch.
        epoch: Epoch,
        /// Units available behind the barrier.
        base: i64,
        /// The mode from now on.
        mode: Mode,
    },
    /// Not done: the epoch is not the one that the caller saw.
    Superseded {
        /// What stands.
        current: EpochState,
    },
    /// COMMIT was sent and its reply never came: nothing may be installed.
    Unknown,
    /// No such item.
    UnknownItem,
    /// The change of stock that was to go with it stopped it; nothing was changed.
    Stopped(ChangeStop),
    /// The item is not to be reopened; nothing was changed.
    NotReopened(ReopenStop),
}

/// Why an item was not reopened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReopenStop {
    /// It is not closed.
    Open(EpochState),
    /// Its ledger does not add up.
    Unbalanced {
        /// Units owned by the balance.
        current: i64,
        /// Units owned by the sum of the ledger.
        booked: i64,
        /// Units that no order holds; negative if more is sold than is there.
        available: i64,
    },
}

/// An item that MySQL admits only while Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Degraded {
    /// The item.
    pub item: Item,
    /// Its epoch.
    pub epoch: Epoch,
    /// The mode that it left: REDIS or STRICT.
    pub returns_to: Mode,
}

/// Balance of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Units owned.
    pub current: i64,
    /// Units held back on purpose.
    pub locked: i64,
    /// Units of committed orders whose deduct is still to come.
    pub open: i64,
    /// Epoch and mode.
    pub epoch: EpochState,
}

impl Balance {
    /// Units that no committed order holds: `current − locked − open` (A_db of `docs/protocol.md` 2).
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.current - self.locked - self.open
    }
}

/// Result of opening an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restocked {
    /// Opened now.
    Now,
    /// It was open with the same stock.
    Before,
    /// It is open with another stock.
    Conflict {
        /// That stock.
        booked: i64,
    },
}

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
    /// Deducts in DEAD; increases are never given up.
    pub dead: u64,
    /// Age of the oldest deduct in NEW, ms.
    pub oldest_deduct_ms: u64,
    /// Age of the oldest increase in NEW, ms.
    pub oldest_delta_ms: u64,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadMessage {
    /// Outbox row.
    pub id: i64,
    /// The order.
    pub order: OrderId,
    /// The item.
    pub item: Item,
    /// Units.
    pub quantity: u64,
    /// Refusals.
    pub attempts: u64,
    /// Why it was given up.
    pub why: String,
    /// Age since it was written, ms.
    pub age_ms: u64,
}

/// Why a unit of work in MySQL gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Certainly nothing was changed.
    #[error("{act}: nothing changed: {why}")]
    Failed {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Certainly nothing was changed: MySQL cannot be reached, or takes no work now.
    #[error("{act}: nothing changed: {why}")]
    Away {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Nobody can say whether it was committed.
    #[error("{act}: nobody can say whether it was committed: {why}")]
    Unknown {
        /// What was tried.
        act: &'static str,
        /// What MySQL or the system said.
        why: String,
    },
    /// Every seat for such an order is taken; nothing was tried.
    #[error("write order: all {capacity} seats for it are taken")]
    QueueFull {
        /// Number of seats.
        capacity: usize,
    },
    /// The server cannot carry the protocol.
    #[error("use mysql: {0}")]
    Unsuitable(String),
}
