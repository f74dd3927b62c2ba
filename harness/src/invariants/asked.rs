//! What was asked for in a whole run: orders with their bodies, users and items, changes of the stock.
//!
//! In: a [`Case`]. Out: whether a row or key of the stores belongs to something that was asked for. A history without its tail lost its
//! last records, so there what was planned counts as asked, and ids of this run that are not in the plan (the drain draws its own) are left
//! out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::case::{Case, StopView, merged};
use super::evidence_is_sound::OPENING_ID;
use crate::history::record::Function;
use crate::scenario::ItemId;
use crate::scenario::faults::Fault;
use crate::scenario::plan::{Action, Plan, PlannedOrder};
use crate::snapshot::{LedgerRow, OrderRow, OutboxRow};
use crate::target::changes::ledger_id;
use crate::target::ledger::BAD_MESSAGE;

/// Units by item.
type Units = BTreeMap<ItemId, u64>;

/// What was asked for in the whole run.
pub(super) struct Asked<'c> {
    case: &'c Case<'c>,
    users: HashSet<(u64, ItemId)>,
    /// Item and units of each restock and cut, by the id of its ledger row.
    changes: HashMap<String, (ItemId, i64)>,
    cut_off: bool,
}

impl<'c> Asked<'c> {
    pub(super) fn new(case: &'c Case<'c>) -> Self {
        let (history, plan) = (&case.evidence.history, &case.evidence.plan);
        let creates = history.of(Function::CreateOrder);
        let mut users: HashSet<(u64, ItemId)> = creates.flat_map(|op| op.items.iter().map(|line| (op.user, line.item))).collect();
        let mut asked: HashMap<String, (ItemId, i64)> = HashMap::new();
        for change in &case.changes {
            let id = case.operation(change.op).and_then(|op| ledger_id(op.function, &op.order));
            asked.extend(id.map(|id| (id, (change.item, change.units.cast_signed()))));
        }
        let cut_off = history.tail.is_none();
        if cut_off {
            users.extend(plan.orders.iter().flat_map(|order| planned(plan, order).into_keys().map(|item| (order.user, item))));
            users.extend(journeying(plan));
            asked.extend(planned_changes(plan));
        }
        Self { case, users, changes: asked, cut_off }
    }

    /// The bodies with which an order id was asked for: user and units by item. `None` if nobody can say.
    fn bodies(&self, order_id: &str) -> Option<Vec<(u64, Units)>> {
        let number = self.case.index.find(order_id);
        let creates = number.into_iter().flat_map(|order| self.case.dealings(order).creates());
        let bodies: Vec<_> = creates.map(|op| (op.user, merged(&op.items))).collect();
        if !bodies.is_empty() || !self.cut_off {
            return Some(bodies);
        }
        let plan = &self.case.evidence.plan;
        let Some(index) = order_id.strip_prefix(plan.run_tag.as_str()).and_then(|rest| rest.strip_prefix('-')) else {
            return Some(bodies);
        };
        let order = plan.orders.get(index.parse::<usize>().ok()?)?;
        Some(vec![(order.user, planned(plan, order))])
    }

    /// Whether an order asked for these units of an item, all its lines together.
    pub(super) fn has(&self, order_id: &str, item: ItemId, units: i64) -> bool {
        let fits = |(_, lines): &(u64, Units)| lines.get(&item).is_some_and(|asked| asked.cast_signed() == units);
        self.bodies(order_id).is_none_or(|bodies| bodies.iter().any(fits))
    }

    /// Whether a user asked for an item.
    pub(super) fn has_user(&self, user: u64, item: ItemId) -> bool {
        self.users.contains(&(user, item))
    }

    /// A tombstone may also come from the cancel of an id that no order had, and names no user.
    pub(super) fn has_order(&self, row: &OrderRow) -> bool {
        let Some(bodies) = self.bodies(&row.order_id) else { return true };
        if row.status == "FENCED" {
            let number = self.case.index.find(&row.order_id);
            let cancelled = number.is_some_and(|order| self.case.dealings(order).of(Function::CancelOrder).next().is_some());
            return cancelled || !bodies.is_empty();
        }
        bodies.iter().any(|(user, _)| *user == row.user_id)
    }

    /// Whether a payment or refund that was sent before the stop had its effect or may have had it.
    pub(super) fn has_been(&self, function: Function, row: &OrderRow, view: StopView<'_>) -> bool {
        let number = self.case.index.find(&row.order_id);
        let asked = number.and_then(|order| self.case.dealings(order).possibly(function));
        self.cut_off || asked.is_some_and(|op| op.sent <= view.stop.snapshot.taken_at)
    }

    pub(super) fn has_ledger(&self, row: &LedgerRow) -> bool {
        match row.kind.as_str() {
            "SALE" | "RETURN" => self.has(&row.order_id, row.item, row.quantity),
            "RESTOCK" if row.order_id == OPENING_ID => self.is_for_sale(row.item),
            "RESTOCK" | "ADJUST" => self.changes.get(&row.order_id) == Some(&(row.item, row.quantity)),
            _ => false,
        }
    }

    pub(super) fn has_event(&self, row: &OutboxRow) -> bool {
        if is_strangers(self.case, row) {
            return true;
        }
        if row.event_id == OPENING_ID {
            return self.is_for_sale(row.item);
        }
        match self.changes.get(&row.event_id) {
            Some(change) => *change == (row.item, row.quantity),
            None => self.has(&row.order_id, row.item, row.quantity),
        }
    }

    pub(super) fn has_marker(&self, event_id: &str) -> bool {
        if event_id == OPENING_ID || self.changes.contains_key(event_id) {
            return true;
        }
        let order_id = event_id.strip_prefix("C.").unwrap_or(event_id);
        self.bodies(order_id).is_none_or(|bodies| !bodies.is_empty())
    }

    fn is_for_sale(&self, item: ItemId) -> bool {
        self.case.evidence.scenario().items.iter().any(|sale| sale.item == item)
    }
}

/// Whether it is the message that a fault of the plan put into the outbox, given up as it should be.
pub(super) fn is_strangers(case: &Case<'_>, row: &OutboxRow) -> bool {
    let put = || case.evidence.scenario().faults.iter().any(|window| matches!(window.fault, Fault::MysqlBadMessage));
    row.event_id == BAD_MESSAGE && row.status == "DEAD" && put()
}

/// What a planned order will ask for.
fn planned(plan: &Plan, order: &PlannedOrder) -> Units {
    let mut units = Units::new();
    for line in order.lines() {
        let item = plan.item_of(line);
        item.into_iter().for_each(|item| *units.entry(item).or_insert(0) += u64::from(line.quantity));
    }
    units
}

/// Closed-loop users with the items of their rounds.
fn journeying(plan: &Plan) -> impl Iterator<Item = (u64, ItemId)> {
    let users = plan.journeys.iter().enumerate();
    users.flat_map(move |(user, rounds)| {
        rounds.iter().filter_map(move |round| Some((plan.journey_user(user), plan.item_of(round.line)?)))
    })
}

/// Item and units of the planned restocks and cuts, by the id of their ledger rows.
fn planned_changes(plan: &Plan) -> impl Iterator<Item = (String, (ItemId, i64))> {
    plan.arrivals.iter().filter_map(|arrival| {
        let function = match arrival.action {
            Action::Restock => Function::Restock,
            Action::Cut => Function::CutStock,
            _ => return None,
        };
        let line = *plan.changes.get(arrival.order as usize)?;
        Some((ledger_id(function, &plan.change_id(arrival.order))?, (plan.item_of(line)?, i64::from(line.quantity))))
    })
}
