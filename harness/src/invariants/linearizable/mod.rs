//! Stock as a linearizable object: `create_order` takes units or is refused, undoing and restocking give units back, cuts and holds take
//! units for good.
//!
//! In: a [`Case`]. Out: for each item the contradictions found, and how strong the method was. Used by `no_oversell` and
//! `no_false_sold_out`. Searching for an order is hopeless for operations on one hot item, so there are tiers:
//!
//! 1. [`closed_form`]: units of one, nothing given back. Exact.
//! 2. [`replay`]: by the version of the counter that replies, ledger and deduct records name. Exact where no version is missing.
//! 3. [`bounds`]: units certainly and possibly out over time. Sound; always available.
//!
//! What keeps tier 3 free of false alarms against a service that gives units back *after* it answers:
//!
//! - A cancel commits in the ledger, answers, and only then a worker adds the units to Redis. So a cancelled order stops being
//!   *certainly* out when its cancel was sent, and stays *possibly* out until a quiesced stop shows that nothing was left to do.
//!   The same holds for restocks and for units that a refused attempt held for a moment.
//! - A cut or a hold is booked in the ledger and makes a new counter, behind which every reservation is void: it can take units that were
//!   reserved, never such as an order holds.
//! - An attempt in doubt stays possibly out for ever: a delayed packet may execute late.
//! - An order id takes its units once, however often it is sent, so its attempts are one taking: sent when the first attempt that
//!   could have taken was sent, answered when the first acknowledgement came.
//! - A refusal may come from a flag in memory. It is judged against every instant that the flag can speak of, see [`stock_of`].
//!
//! The ledger as witness (`docs/verification.md` 8): an attempt in doubt whose order stands in a snapshot happened, on [sent, ∞);
//! such evidence is of class [`Basis::Ledger`]. One that left no live order stays in doubt. Patching therefore only adds certainty.

pub(crate) mod bounds;
pub(crate) mod closed_form;
pub(crate) mod judgement;
pub(crate) mod range_index;
pub(crate) mod replay;
#[cfg(test)]
pub(crate) mod search;
pub(crate) mod stock_of;

pub(crate) use judgement::{Finding, StockJudgement};

use super::index::OrderNumber;
use crate::clock::Offset;
use crate::history::record::OpId;
use crate::scenario::ItemId;

/// Never, as the end of an interval.
pub(crate) const NEVER: Offset = Offset(u64::MAX);

/// What is known of a taking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Acknowledged.
    Accepted,
    /// In doubt to its clients, but the ledger holds the order.
    Witnessed,
    /// In doubt.
    Doubt,
    /// Refused for a reason that does not rule out that it held units for a moment.
    Transient,
}

/// All attempts of one order id to take units of one item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking {
    pub(crate) order: OrderNumber,
    /// The attempt that decides what is known.
    pub(crate) op: OpId,
    pub(crate) fate: Fate,
    pub(crate) units: u64,
    pub(crate) sent: Offset,
    /// [`NEVER`] unless accepted.
    pub(crate) answered: Offset,
    /// From when the order may have been undone; [`NEVER`] if not.
    pub(crate) undone_from: Offset,
    /// When its units were back for certain; [`NEVER`] if nobody can say.
    pub(crate) back_by: Offset,
}

/// An attempt that was refused as sold out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub(crate) op: OpId,
    pub(crate) units: u64,
    /// Earliest instant that the refusal can speak of.
    pub(crate) from: Offset,
    pub(crate) answered: Offset,
    /// Whether it is this item that was short; otherwise it is one of several.
    pub(crate) named: bool,
}

/// Units added by a restock or a release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Increase {
    pub(crate) units: u64,
    pub(crate) sent: Offset,
    /// When they were there for certain; [`NEVER`] if nobody can say.
    pub(crate) back_by: Offset,
}

/// Units taken out by a cut or a hold. It is a taking that nothing undoes: what releases a hold is an increase of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decrease {
    pub(crate) op: OpId,
    pub(crate) units: u64,
    pub(crate) sent: Offset,
    /// [`NEVER`] if nobody can say whether it happened.
    pub(crate) answered: Offset,
}

impl Decrease {
    /// Whether it was acknowledged.
    pub(crate) fn is_certain(&self) -> bool {
        self.answered != NEVER
    }
}

/// A step of the counter in Redis that took units, as its token names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) epoch: u64,
    pub(crate) version: u64,
    pub(crate) order: OrderNumber,
    pub(crate) units: u64,
    pub(crate) stock_after: Option<i64>,
    pub(crate) sent: Offset,
    pub(crate) answered: Offset,
}

/// Where the counter began its epoch and where the last snapshot found it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(crate) epoch: u64,
    pub(crate) base: i64,
    pub(crate) last_version: u64,
}

/// All that is known of the stock of one item.
#[derive(Debug, Clone)]
pub(crate) struct ItemStock {
    pub(crate) item: ItemId,
    pub(crate) opening: u64,
    pub(crate) takings: Vec<Taking>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) increases: Vec<Increase>,
    pub(crate) decreases: Vec<Decrease>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) counter: Option<Counter>,
}

impl ItemStock {
    /// Nothing is known yet.
    pub(crate) const fn new(item: ItemId) -> Self {
        Self {
            item,
            opening: 0,
            takings: Vec::new(),
            refusals: Vec::new(),
            increases: Vec::new(),
            decreases: Vec::new(),
            marks: Vec::new(),
            counter: None,
        }
    }
}

/// Whose word convicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The clients' alone.
    Clients,
    /// The clients' and the ledger's.
    Ledger,
}

/// Why no legal order of the operations exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contradiction {
    /// More units accepted than there are.
    Oversold { op: OpId, out: i64, units: u64 },
    /// Refused although units were certainly free.
    FalseRefusal { op: OpId, free: i64 },
    /// Two orders hold the same token.
    SharedVersion { epoch: u64, version: u64, orders: (OrderNumber, OrderNumber) },
    /// An order was answered before one with an older token was sent.
    OutOfOrder { epoch: u64, version: u64, order: OrderNumber },
    /// The counter has more units after a step than can be there.
    UnitsAppeared { epoch: u64, version: u64, order: OrderNumber, most: i64, found: i64 },
    /// The counter has fewer units after a step than must be there.
    UnitsVanished { epoch: u64, version: u64, order: OrderNumber, least: i64, found: i64 },
}

impl Contradiction {
    /// Whether it belongs to `no_oversell`; otherwise to `no_false_sold_out`.
    pub(crate) const fn is_oversell(&self) -> bool {
        !matches!(self, Self::FalseRefusal { .. } | Self::UnitsVanished { .. })
    }
}
