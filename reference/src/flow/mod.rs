//! The use cases: the order of writes of each, over both stores. The only place that sees both.
//!
//! In: valid requests. Out: what the client may be told ([`Refusal`] says whether the request certainly had no effect).
//! Every write of a use case is safe to repeat, and safe to lose: what a crash leaves is settled by the workers.

mod admit;
mod audit;
mod cancel;
mod create;
mod modes;
mod pay;
mod read;
mod rebuild;
mod repair;
mod resolve;
mod sale;
mod sold_out;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Item;
use crate::ledger::{Ledger, LedgerError};
use crate::metrics::Metrics;
use crate::stock::{Stock, StockError};

pub use audit::AuditReport;
pub use create::{Created, Receipt};
pub use repair::{LockFate, OrderLock, Repaired, Resolution};
pub use sale::{Delivery, StockLevel};

/// Settings of the use cases.
#[derive(Debug, Clone)]
pub struct FlowSettings {
    /// An unpaid order expires after this.
    pub order_ttl: Duration,
    /// A sold-out answer may be given from memory for this long; zero switches the memory off.
    pub sold_out_memory: Duration,
    /// Longest time that a request spends on being admitted.
    pub admit_deadline: Duration,
    /// Requests waiting for the order writer beyond which new ones are refused before they take stock.
    pub queue_high_water: usize,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            order_ttl: Duration::from_secs(1_800),
            sold_out_memory: Duration::from_secs(1),
            admit_deadline: Duration::from_millis(1_500),
            queue_high_water: 3_072,
        }
    }
}

/// Why a request was refused, or why nobody can say what became of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too few units are left.
    #[error("item {item} is sold out")]
    SoldOut {
        /// The item that is short.
        item: Item,
    },
    /// The id was spent by an attempt that failed.
    #[error("this order id is spent: use a new one")]
    Fenced,
    /// The order is cancelled, expired or refunded.
    #[error("the order is {status}")]
    Cancelled {
        /// Its status.
        status: &'static str,
    },
    /// The state of the order, or an earlier request with this id, does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The id belongs to an order with another body.
    #[error("this order id belongs to an order with another body")]
    Mismatch,
    /// No order has this id.
    #[error("no order has this id")]
    UnknownOrder,
    /// No such item is on sale.
    #[error("item {item} is not on sale")]
    UnknownSku {
        /// The item.
        item: Item,
    },
    /// Refused to protect the service.
    #[error("too many orders are waiting: try again")]
    Throttled,
    /// The service cannot admit orders now.
    #[error("cannot admit the order now: {0}")]
    NotAdmitted(String),
    /// Nobody can say whether the request had its effect; the same request again, or a read, will tell.
    #[error("nobody can say whether this had an effect: {0}")]
    Unknown(String),
}

impl Refusal {
    /// The stable code of the HTTP interface, also the word under which it is counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SoldOut { .. } => "sold_out",
            Self::Fenced => "fenced",
            Self::Cancelled { .. } => "cancelled",
            Self::Conflict(_) => "conflict",
            Self::Mismatch => "mismatch",
            Self::UnknownOrder => "unknown_order",
            Self::UnknownSku { .. } => "unknown_sku",
            Self::Throttled => "throttled",
            Self::NotAdmitted(_) => "not_admitted",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl From<StockError> for Refusal {
    /// A reservation alone is no effect: without an order its units go back.
    fn from(error: StockError) -> Self {
        Self::NotAdmitted(error.to_string())
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unknown { .. } => Self::Unknown(error.to_string()),
            LedgerError::QueueFull { .. } => Self::Throttled,
            LedgerError::Failed { .. } | LedgerError::Unsuitable(_) => Self::NotAdmitted(error.to_string()),
        }
    }
}

/// The use cases over one pair of stores. Cheap to clone.
#[derive(Clone)]
pub struct Flow {
    stock: Stock,
    ledger: Ledger,
    metrics: Metrics,
    settings: Arc<FlowSettings>,
    sold_out: Arc<sold_out::SoldOutMemory>,
    rebuilding: Arc<rebuild::SingleFlight>,
    modes: Arc<modes::ModeMemory>,
    /// One audit that a refusal asked for at a time.
    auditing: Arc<tokio::sync::Semaphore>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Flow {
    /// The use cases over these stores.
    #[must_use]
    pub fn new(stock: Stock, ledger: Ledger, metrics: Metrics, settings: FlowSettings) -> Self {
        let sold_out = Arc::new(sold_out::SoldOutMemory::new(settings.sold_out_memory));
        let auditing = Arc::new(tokio::sync::Semaphore::new(1));
        Self {
            stock,
            ledger,
            metrics,
            settings: Arc::new(settings),
            sold_out,
            rebuilding: Arc::default(),
            modes: Arc::default(),
            auditing,
        }
    }

    /// The Redis side.
    #[must_use]
    pub const fn stock(&self) -> &Stock {
        &self.stock
    }

    /// The MySQL side.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The metrics.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The text that Prometheus scrapes, with what is read at that moment.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.metrics.order_queue(self.ledger.writer_queue_len());
        self.metrics.render()
    }
}
