//! What became of an order that a kill point caught, as the stores show it at rest: the ledger as witness (`docs/verification.md` 8).
//!
//! In: [`Evidence`] and order ids. Out: a [`Fate`] for each. A half state at rest always violates some claim as well; its name says where
//! to look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::{Case, StopView};
use super::evidence::Evidence;
use super::index::OrderNumber;
use crate::snapshot::{LedgerRow, OutboxRow};

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It stands: live, deducted, nothing left to do.
    Happened,
    /// It stood and was ended: its units are back.
    Undone,
    /// It left nothing.
    DidNot,
    /// Units are locked in Redis, and there is no order.
    PreDeductedNoOrder,
    /// The order stands, without its ledger row or its message.
    OrderedNoEvent,
    /// The message was never handled.
    EventNotDeducted,
    /// The ledger has deducted, the lock is still there.
    DeductedNotConfirmed,
    /// The ledger has given back, Redis was not told.
    UndoneNotReturned,
    /// The balance moved twice for one sale.
    DeductedTwice,
    /// No snapshot at rest shows it.
    NotSeen,
}

impl Fate {
    /// The name used in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Happened => "happened",
            Self::Undone => "undone",
            Self::DidNot => "did_not",
            Self::PreDeductedNoOrder => "pre_deducted_no_order",
            Self::OrderedNoEvent => "ordered_no_event",
            Self::EventNotDeducted => "event_not_deducted",
            Self::DeductedNotConfirmed => "deducted_not_confirmed",
            Self::UndoneNotReturned => "undone_not_returned",
            Self::DeductedTwice => "deducted_twice",
            Self::NotSeen => "not_seen",
        }
    }

    /// Whether something was left half done.
    #[must_use]
    pub const fn is_half(self) -> bool {
        !matches!(self, Self::Happened | Self::Undone | Self::DidNot | Self::NotSeen)
    }
}

/// The fate of each order at the first stop at rest. O(n + m) for any number of orders.
#[must_use]
pub fn fates<'o>(evidence: &Evidence, orders: impl Iterator<Item = &'o str>) -> BTreeMap<String, Fate> {
    let case = Case::new(evidence);
    let view = case.rested().next();
    let fate = |order: &str| match view {
        None => Fate::NotSeen,
        Some(view) => of_order(view, case.index.find(order), order),
    };
    orders.map(|order| (order.to_owned(), fate(order))).collect()
}

fn of_order(view: StopView<'_>, number: Option<OrderNumber>, order: &str) -> Fate {
    let locked = is_locked(view, order);
    let Some(number) = number else { return if locked { Fate::PreDeductedNoOrder } else { Fate::DidNot } };
    let sales: Vec<&LedgerRow> = view.sales(number).collect();
    let deducted = |row: &&&LedgerRow| row.transaction_type == "OUT";
    let is_live = view.order(number).is_some_and(crate::snapshot::OrderRow::is_live);
    let undone = view.ledger(number).any(|row| row.kind == "RETURN" || row.transaction_type == "UNLOCK");
    let event = |kind: &'static str| view.outbox(number).filter(move |row| row.event_type == kind);
    let twice =
        sales.iter().filter(deducted).any(|row| sales.iter().filter(deducted).filter(|other| other.item == row.item).count() > 1);
    if twice {
        Fate::DeductedTwice
    } else if is_live && (sales.is_empty() || event("DEDUCT_STOCK_DB").next().is_none()) {
        Fate::OrderedNoEvent
    } else if sales.iter().any(|row| row.transaction_type == "LOCK") {
        Fate::EventNotDeducted
    } else if locked && sales.iter().any(|row| row.transaction_type == "OUT") {
        Fate::DeductedNotConfirmed
    } else if locked {
        Fate::PreDeductedNoOrder
    } else if undone && event("APPLY_DELTA").any(|row| !is_applied(view, row)) {
        Fate::UndoneNotReturned
    } else if is_live {
        Fate::Happened
    } else if undone {
        Fate::Undone
    } else {
        Fate::DidNot
    }
}

fn is_locked(view: StopView<'_>, order: &str) -> bool {
    let members = view.stop.snapshot.redis.values().flat_map(|redis| &redis.locks);
    members.into_iter().any(|lock| lock.member.split('|').next() == Some(order))
}

/// Whether an increase is in Redis: it was handled, its marker is there, or a later epoch opened with it.
fn is_applied(view: StopView<'_>, row: &OutboxRow) -> bool {
    let marked = view.stop.snapshot.redis.get(&row.item).is_some_and(|redis| redis.markers.contains_key(&row.event_id));
    let epoch = view.items().get(&row.item).and_then(super::index::ItemRows::epoch);
    row.status == "DONE" || marked || epoch.is_some_and(|epoch| epoch > row.epoch)
}
