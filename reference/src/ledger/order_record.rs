//! Orders as they go into MySQL, as they stand there, and what became of a change.

use std::sync::Arc;

use crate::domain::{Epoch, Item, Line, OrderId, OrderRequest, OrderStatus, Quantity, SaleState, Token, UserId};

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
    /// Whether another request with this id may be writing it. Such an order is written apart, because its INSERT may wait for the other.
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

impl StoredOrder {
    /// The row of an id that is spent. Nothing ever changes it.
    pub(crate) fn tombstone(order: OrderId) -> Self {
        let (user, status, reason) = (UserId::default(), OrderStatus::Fenced, String::new());
        Self { order, user, status, hash: [0; 32], reason, sales: Vec::new() }
    }
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
