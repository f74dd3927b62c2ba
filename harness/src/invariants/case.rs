//! What every claim is given: the evidence, its index, and which parts of it can be trusted.
//!
//! In: [`Evidence`]. Out: a [`Case`] with views by order and by stop. It judges nothing.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::claim::Part;
use super::evidence::Evidence;
use super::evidence_is_sound::{Problem, problems};
use super::index::{Index, ItemRows, OrderNumber, StopRows};
use super::linearizable::StockJudgement;
use super::supply::{Change, Supply, changes, supplies};
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{Function, ItemQuantity, OpId, Outcome};
use crate::measure::disturbance::{Disturbance, disturbances};
use crate::scenario::ItemId;
use crate::snapshot::{LedgerRow, OrderRow, OutboxRow, Rest, Stop};

/// A run before its judges.
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) index: Index<'a>,
    /// What the operator did to the stock.
    pub(crate) changes: Vec<Change>,
    pub(crate) supplies: BTreeMap<ItemId, Supply>,
    pub(crate) problems: Vec<Problem>,
    stock: OnceCell<StockJudgement>,
    faults: OnceCell<Vec<Disturbance>>,
}

impl<'a> Case<'a> {
    /// Indexes the evidence and finds out which parts are sound.
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let index = Index::new(evidence);
        let changes = changes(evidence);
        let supplies = supplies(evidence.scenario(), &changes);
        let problems = problems(evidence);
        Self { evidence, index, changes, supplies, problems, stock: OnceCell::new(), faults: OnceCell::new() }
    }

    /// Why a part cannot be leaned on; `None` if it can.
    pub(crate) fn lacking(&self, part: Part) -> Option<String> {
        if part == Part::Rest {
            return self.stops().find_map(unrested);
        }
        if part == Part::Stores && self.evidence.stops.is_empty() {
            return Some("the run was cut off before the stores were read".to_owned());
        }
        let problem = self.problems.iter().find(|problem| problem.part.is_none_or(|broken| broken == part))?;
        Some(format!("the evidence is not sound: {}", problem.what))
    }

    /// Whether the history can be trusted.
    pub(crate) fn history_is_sound(&self) -> bool {
        self.lacking(Part::History).is_none()
    }

    /// The stops whose snapshots can be trusted, in order of time.
    pub(crate) fn stops(&self) -> impl Iterator<Item = StopView<'_>> {
        let broken = |at: usize| {
            let spoils = |problem: &Problem| problem.part.is_none_or(|part| part == Part::Stores);
            self.problems.iter().any(|problem| spoils(problem) && problem.stop.is_none_or(|stop| stop == at))
        };
        let pairs = self.evidence.stops.iter().zip(&self.index.stops).enumerate();
        pairs.filter(move |(at, _)| !broken(*at)).map(|(_, (stop, rows))| StopView { stop, rows })
    }

    /// The trusted stops at which nothing was left to do, or what was left no longer fell.
    pub(crate) fn rested(&self) -> impl Iterator<Item = StopView<'_>> {
        self.stops().filter(|view| unrested(*view).is_none())
    }

    /// What clients asked of one order, and what they were told.
    pub(crate) fn dealings(&self, order: OrderNumber) -> Dealings<'_> {
        Dealings { all: &self.evidence.history.operations, picks: self.index.operations.of(order) }
    }

    /// The linearizability of every item's stock, judged once.
    pub(crate) fn stock(&self) -> &StockJudgement {
        self.stock.get_or_init(|| StockJudgement::of(self))
    }

    /// Every fault of the run with its recovery, measured once.
    pub(crate) fn faults(&self) -> &[Disturbance] {
        self.faults.get_or_init(|| disturbances(&self.evidence.plan, &self.evidence.history))
    }

    /// The operation with this number.
    pub(crate) fn operation(&self, id: OpId) -> Option<&'a Operation> {
        let operations = &self.evidence.history.operations;
        operations.binary_search_by_key(&id, |op| op.id).ok().map(|at| &operations[at])
    }

    /// Last instant that the run speaks of.
    pub(crate) fn ended(&self) -> Offset {
        let operations = self.evidence.history.operations.iter().map(|op| op.answered.unwrap_or(op.sent));
        let stops = self.evidence.stops.iter().map(|stop| stop.snapshot.taken_at.max(stop.quiescence.ended));
        operations.chain(stops).max().unwrap_or_default()
    }

    /// Whether an order sent at `sent` can have expired by `until`. A second is allowed for the database's clock.
    pub(crate) fn may_expire(&self, sent: Offset, until: Offset) -> bool {
        self.expiry_of(sent) <= until
    }

    /// Earliest instant at which an order sent at `sent` can expire.
    pub(crate) fn expiry_of(&self, sent: Offset) -> Offset {
        let ttl_ms = self.evidence.scenario().promises.order_ttl_ms.saturating_sub(1_000);
        sent.plus(std::time::Duration::from_millis(ttl_ms))
    }
}

fn unrested(view: StopView<'_>) -> Option<String> {
    let why = match view.stop.quiescence.rest {
        Rest::Quiesced | Rest::Stuck => return None,
        Rest::Slow => "the backlog was still falling",
        Rest::Unread => "the wait for rest was interrupted or a store did not answer",
    };
    Some(format!("not at rest after the {}: {why}", view.stop.after))
}

/// A trusted stop with its rows by order and by item.
#[derive(Clone, Copy)]
pub(crate) struct StopView<'c> {
    pub(crate) stop: &'c Stop,
    rows: &'c StopRows<'c>,
}

impl<'c> StopView<'c> {
    /// `after the load`.
    pub(crate) fn name(self) -> String {
        format!("after the {}", self.stop.after)
    }

    /// Rows of `orders` with this id; one at most in a sound database.
    pub(crate) fn orders(self, order: OrderNumber) -> impl Iterator<Item = &'c OrderRow> {
        self.rows.orders.of(order).iter().map(move |at| &self.stop.snapshot.orders[*at as usize])
    }

    /// The row of an order.
    pub(crate) fn order(self, order: OrderNumber) -> Option<&'c OrderRow> {
        self.orders(order).next()
    }

    /// Rows of the ledger with this id.
    pub(crate) fn ledger(self, order: OrderNumber) -> impl Iterator<Item = &'c LedgerRow> {
        self.rows.ledger.of(order).iter().map(move |at| &self.stop.snapshot.ledger[*at as usize])
    }

    /// SALE rows of an order.
    pub(crate) fn sales(self, order: OrderNumber) -> impl Iterator<Item = &'c LedgerRow> {
        self.ledger(order).filter(|row| row.kind == "SALE")
    }

    /// Rows of the outbox with this id.
    pub(crate) fn outbox(self, order: OrderNumber) -> impl Iterator<Item = &'c OutboxRow> {
        self.rows.outbox.of(order).iter().map(move |at| &self.stop.snapshot.outbox[*at as usize])
    }

    /// What the stop holds by item.
    pub(crate) fn items(self) -> &'c BTreeMap<ItemId, ItemRows<'c>> {
        &self.rows.items
    }

    /// Whether `op` was answered before the stores were read.
    pub(crate) fn is_after(self, op: &Operation) -> bool {
        op.answered.is_some_and(|answered| answered <= self.stop.quiescence.ended.max(self.stop.quiescence.began))
    }
}

/// All operations with one order id.
#[derive(Clone, Copy)]
pub(crate) struct Dealings<'c> {
    all: &'c [Operation],
    picks: &'c [u32],
}

impl<'c> Dealings<'c> {
    /// The operations, in the order in which they were sent.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'c Operation> {
        self.picks.iter().map(move |at| &self.all[*at as usize])
    }

    /// The operations of one function.
    pub(crate) fn of(self, function: Function) -> impl Iterator<Item = &'c Operation> {
        self.iter().filter(move |op| op.function == function)
    }

    /// The attempts to create the order.
    pub(crate) fn creates(self) -> impl Iterator<Item = &'c Operation> {
        self.of(Function::CreateOrder)
    }

    /// The acknowledged attempt that was answered first.
    pub(crate) fn accepted(self) -> Option<&'c Operation> {
        self.creates().filter(|op| op.is_ok()).min_by_key(|op| op.answered)
    }

    /// Whether it was asked for, and every attempt was refused for certain.
    pub(crate) fn is_refused(self) -> bool {
        self.creates().next().is_some() && self.creates().all(|op| matches!(op.outcome, Outcome::Fail(_)))
    }

    /// An operation of this function that had its effect or may have had it.
    pub(crate) fn possibly(self, function: Function) -> Option<&'c Operation> {
        self.of(function).filter(|op| !matches!(op.outcome, Outcome::Fail(_))).min_by_key(|op| op.sent)
    }

    /// An acknowledged operation of this function: the one answered first.
    pub(crate) fn done(self, function: Function) -> Option<&'c Operation> {
        self.of(function).filter(|op| op.is_ok()).min_by_key(|op| op.answered)
    }

    /// What the order may stand for: the body of the acknowledged attempt, or else of any one of the attempts.
    pub(crate) fn bodies(self) -> impl Iterator<Item = &'c [ItemQuantity]> {
        let accepted = self.accepted();
        let fits = move |op: &&Operation| accepted.is_none_or(|accepted| accepted.id == op.id);
        self.creates().filter(fits).map(|op| op.items.as_slice())
    }

    /// What was asked for: of the acknowledged attempt, or else of the first.
    pub(crate) fn asked(self) -> &'c [ItemQuantity] {
        self.accepted().or_else(|| self.creates().next()).map_or(&[], |op| &op.items)
    }
}

/// The different items of a list of lines, each with its whole quantity, sorted.
pub(crate) fn merged(lines: &[ItemQuantity]) -> BTreeMap<ItemId, u64> {
    let mut units = BTreeMap::new();
    for line in lines {
        *units.entry(line.item).or_insert(0) += u64::from(line.qty);
    }
    units
}
