//! The MySQL side: orders, ledger, balances, outbox and epochs. MySQL decides; every method here is one transaction or one read.
//!
//! In: requests, tokens, ids. Out: typed results that keep "certainly not" and "nobody can say" apart.

mod audit;
mod boot;
mod connection;
mod deduct;
mod degrade;
mod epoch;
mod error;
mod failure;
mod items;
mod message;
mod migrations;
mod order_aside;
mod order_batch;
mod order_fence;
mod order_record;
mod order_repeats;
mod order_writer;
mod orders;
mod outbox;
mod pool;
mod quota;
mod rebuild;
mod rebuild_together;
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

pub use audit::{AuditRequest, Audited, Comparison, Increase, LedgerCheck, Look, Sight};
pub use epoch::{Balance, Degraded, EpochState, Mode, RebuildRequest, Rebuilt, ReopenStop, Restocked};
pub use error::LedgerError;
pub use message::{DeadMessage, DeductBatch, DeltaEvent, OutboxDepth, Settled};
pub use order_record::{Admission, Changed, NewOrder, Paid, Sale, StoredOrder, Undo, Written};
pub use rebuild_together::Opened;
pub use seat::Seat;
pub use settings::LedgerSettings;
pub use stock_change::{ChangeStop, StockChanged};
pub use store::Ledger;
