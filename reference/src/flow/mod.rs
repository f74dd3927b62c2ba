//! The use cases: the order of writes of each, over both stores. The only place that sees both.
//!
//! In: valid requests. Out: what the client may be told ([`Refusal`] says whether the request certainly had no effect).
//! Every write of a use case is safe to repeat, and safe to lose: what a crash leaves is settled by the workers.

mod admit;
mod audit;
mod breaker;
mod bucket;
mod cancel;
mod change_stock;
mod create;
mod modes;
mod outage;
mod pay;
mod read;
mod rebuild;
mod repair;
mod resolve;
mod sale;
mod single_flight;
mod sold_out;
#[cfg(feature = "defects")]
#[path = "../defects/flow.rs"]
mod wrong;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Item;
use crate::ledger::{Ledger, LedgerError};
use crate::metrics::Metrics;
use crate::stock::{Stock, StockError};

pub use audit::AuditReport;
pub use change_stock::Booked;
pub use create::{Created, Receipt};
pub use outage::RedisDown;
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
    /// What becomes of orders while Redis does not answer.
    pub redis_down: RedisDown,
    /// Orders a second of items that MySQL admits (mode DB), for this process; more are refused.
    pub database_orders_per_second: u32,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            order_ttl: Duration::from_secs(1_800),
            sold_out_memory: Duration::from_secs(1),
            admit_deadline: Duration::from_millis(1_500),
            redis_down: RedisDown::FailFast,
            database_orders_per_second: 500,
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
    /// The id belongs to an order, or to a change of stock, with another body.
    #[error("this id belongs to a request with another body")]
    Mismatch,
    /// The user's live orders would hold more of this item than its limit.
    #[error("the limit per user of item {item} is reached")]
    QuotaExceeded {
        /// The item.
        item: Item,
    },
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
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::UnknownOrder => "unknown_order",
            Self::UnknownSku { .. } => "unknown_sku",
            Self::Throttled => "throttled",
            Self::NotAdmitted(_) => "not_admitted",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The same refusal after something may have been committed: no answer of a store is not "no effect" any more. What a store did
    /// answer stands.
    pub(crate) fn in_doubt(self) -> Self {
        match self {
            Self::NotAdmitted(why) => Self::Unknown(why),
            Self::Throttled => Self::Unknown(self.to_string()),
            answered => answered,
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
            LedgerError::Failed { .. } | LedgerError::Away { .. } | LedgerError::Unsuitable(_) => {
                Self::NotAdmitted(error.to_string())
            }
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
    rebuilding: Arc<single_flight::SingleFlight>,
    degrading: Arc<single_flight::SingleFlight>,
    modes: Arc<modes::ModeMemory>,
    redis: Arc<breaker::Breaker>,
    mysql: Arc<breaker::Breaker>,
    database_orders: Arc<bucket::Bucket>,
    /// One audit that a refusal asked for at a time.
    auditing: Arc<tokio::sync::Semaphore>,
    sums: Arc<audit::SumPace>,
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
        let database_orders = Arc::new(bucket::Bucket::new(settings.database_orders_per_second));
        let auditing = Arc::new(tokio::sync::Semaphore::new(1));
        Self {
            stock,
            ledger,
            metrics,
            settings: Arc::new(settings),
            sold_out,
            rebuilding: Arc::default(),
            degrading: Arc::default(),
            modes: Arc::default(),
            redis: Arc::new(breaker::Breaker::before("redis")),
            mysql: Arc::new(breaker::Breaker::before("mysql")),
            database_orders,
            auditing,
            sums: Arc::default(),
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
        self.metrics.away("redis", self.redis.away_for());
        self.metrics.away("mysql", self.mysql.away_for());
        self.metrics.render()
    }
}
