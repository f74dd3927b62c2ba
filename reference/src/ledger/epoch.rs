//! Epoch, mode and balance of an item, and what a rebuild made of them.

use super::ChangeStop;
use crate::domain::{Epoch, Item};

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

impl RebuildRequest {
    /// The epoch that is to be opened: above what both stores have had, as long as MySQL has the one that the caller saw.
    #[must_use]
    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch(self.seen.max(self.in_redis).0 + 1)
    }
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
