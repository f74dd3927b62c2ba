//! The Redis side: scripts, their typed replies, and connections that know which process they talk to.
//!
//! In: items, orders, tokens. Out: typed replies. Redis is a volatile admission counter; nothing here decides who owns
//! units for good.

mod client;
mod connection;
mod failure;
mod identity;
mod installer;
mod keys;
mod lane;
mod reply;
mod script;
mod settings;

pub use client::Stock;
pub use installer::Installer;
#[cfg(feature = "defects")]
pub(crate) use script::TEXTS;
pub use settings::StockSettings;

use crate::domain::{Epoch, Member, Quantity, Token};

/// Why a script did nothing because the counter of the item is not of this connection's Redis process or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unready {
    /// No counter is installed.
    Missing,
    /// It was installed in another Redis process (restart, failover, restore).
    Incarnation,
    /// A key is missing, changed by a stranger, or of a wrong type.
    Corrupt,
    /// A newer epoch is committed and its counter has not arrived yet.
    Behind,
}

/// Reply that nothing happened: the counter must be rebuilt or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotReady {
    /// Epoch in Redis; 0 if none.
    pub epoch: Epoch,
    /// Why.
    pub why: Unready,
}

/// Units taken for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Proof of the reservation.
    pub token: Token,
    /// Units.
    pub quantity: Quantity,
    /// Units left right after; `None` for a repeat, which decided nothing.
    pub left: Option<i64>,
}

/// Reply of `pre_deduct`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreDeduct {
    /// Units were taken now, or had been taken for the same order and quantity and are still locked.
    Taken(Taken),
    /// The order's earlier reservation of this epoch is resolved: its row in MySQL knows the answer.
    Resolved,
    /// The order's earlier reservation is for another quantity.
    Mismatch {
        /// Units of that reservation.
        reserved: Quantity,
    },
    /// Too few units are left.
    Insufficient {
        /// Units left.
        left: i64,
        /// Version of the counter.
        version: u64,
        /// Whether the order holds a record of an earlier epoch, so that its row must be read before it is refused.
        earlier_record: bool,
    },
    /// Nothing happened.
    NotReady(NotReady),
}

/// Reply of `confirm`, `rollback` and `apply_delta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Done now. Locks removed, or units given back; 0 if it had been done before.
    Done(u64),
    /// This increase had been applied before.
    Duplicate,
    /// The epoch is over: the effect is inside a newer base, or void.
    Stale(Epoch),
    /// Nothing happened.
    NotReady(NotReady),
}

/// Reply of `install`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// The counter of this epoch stands.
    Done,
    /// An epoch at least as new stands already.
    Stale(Epoch),
}

/// A lock and its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The lock.
    pub member: Member,
    /// Time of the reservation, ms since 1970 by Redis' clock.
    pub since_ms: u64,
}

/// Reply of `probe`: a look that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `None` if the counter is ready.
    pub unready: Option<Unready>,
    /// Epoch in Redis; 0 if none.
    pub epoch: Epoch,
    /// Units available; 0 if missing.
    pub stock: i64,
    /// Unresolved locks in all.
    pub lock_count: u64,
    /// Redis' clock, ms since 1970.
    pub now_ms: u64,
    /// Locks older than was asked for, oldest first, at most as many as was asked for. Members that are not of the right form are left out.
    pub locks: Vec<Lock>,
    /// For each event asked about: whether its increase was applied.
    pub applied: Vec<bool>,
}

/// Why a call to Redis gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockError {
    /// It was certainly not executed and never will be.
    #[error("{act}: not executed: {why}")]
    NotExecuted {
        /// What was tried.
        act: &'static str,
        /// What Redis or the system said.
        why: String,
    },
    /// Nobody can say whether it was executed, or will be.
    #[error("{act}: nobody can say whether it ran: {why}")]
    Unknown {
        /// What was tried.
        act: &'static str,
        /// What Redis or the system said.
        why: String,
    },
    /// The server is not one that the protocol may run on: a replica, or one that evicts keys.
    #[error("use redis: {0}")]
    Unsuitable(String),
}
