//! Nothing is in the stores that nobody asked for: every row, lock, record and key belongs to an invoked operation with those items,
//! or to the opening of the sale. An order that is paid belongs to a payment that was acknowledged or is in doubt.
//!
//! A history without its tail lost its last records, so there the orders of the plan count as asked, and ids of this run that are
//! not in the plan (the drain draws its own) are left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::case::{Case, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::evidence_is_sound::OPENING_ID;
use super::story;
use super::verdict::Violation;
use crate::history::record::{Function, Outcome};
use crate::scenario::ItemId;
use crate::snapshot::{LedgerRow, OrderRow, OutboxRow};

pub(crate) const CLAIM: Claim = Claim {
    name: "nothing_unasked",
    sentence: "Every row, lock, record and key in the stores belongs to something that was asked for.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let asked = Asked::new(case);
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.stops() {
        let mut report = |item: Option<ItemId>, order: &str, what: String| {
            violations.add(|| Violation { item, ..story::of_order(case, order, format!("{what} {}", view.name())) });
        };
        examined += judge_ledger(&asked, view, &mut report) + judge_redis(&asked, view, &mut report);
    }
    Examination::new(format!("{examined} rows, locks, records and keys"), violations.verdict(examined))
}

type Report<'r> = dyn FnMut(Option<ItemId>, &str, String) + 'r;

fn judge_ledger(asked: &Asked<'_>, view: StopView<'_>, report: &mut Report<'_>) -> usize {
    let snapshot = &view.stop.snapshot;
    for row in snapshot.orders.iter().filter(|row| !asked.has_order(row)) {
        let (id, user) = (&row.order_id, row.user_id);
        report(None, id, format!("order {id} of user {user} is {}, and nobody asked for it", row.status));
    }
    for row in snapshot.orders.iter().filter(|row| row.status == "PAID" && !asked.has_payment(row, view)) {
        let id = &row.order_id;
        report(None, id, format!("order {id} is PAID, and no payment of it was acknowledged or is in doubt"));
    }
    let mut restocks = asked.restocks.clone();
    for row in snapshot.ledger.iter().filter(|row| !asked.has_ledger(row, &mut restocks)) {
        let (id, units, item) = (&row.order_id, row.quantity, row.item);
        report(
            Some(item),
            id,
            format!("ledger row {} of {id}: {} of {units} units of item {item}, which nobody asked for", row.id, row.kind),
        );
    }
    for row in snapshot.outbox.iter().filter(|row| !asked.has_event(row)) {
        let (id, units, item) = (&row.order_id, row.quantity, row.item);
        report(
            Some(item),
            id,
            format!(
                "outbox row {}: {} {} of {units} units of item {item}, which nobody asked for",
                row.id, row.event_type, row.event_id
            ),
        );
    }
    for row in snapshot.quotas.iter().filter(|row| row.quantity > 0 && !asked.users.contains(&(row.user_id, row.item))) {
        report(
            Some(row.item),
            "",
            format!("user {} holds a quota of {} units of item {}, and never asked", row.user_id, row.quantity, row.item),
        );
    }
    snapshot.orders.len() + snapshot.ledger.len() + snapshot.outbox.len() + snapshot.quotas.len()
}

fn judge_redis(asked: &Asked<'_>, view: StopView<'_>, report: &mut Report<'_>) -> usize {
    let mut examined = view.stop.snapshot.stray_keys.len();
    for key in &view.stop.snapshot.stray_keys {
        report(None, "", format!("redis key {key} belongs to nothing"));
    }
    for (item, redis) in &view.stop.snapshot.redis {
        examined += redis.locks.len() + redis.records.len() + redis.markers.len();
        for lock in &redis.locks {
            let fits = lock.parts().is_some_and(|(order, _, units)| asked.has(order, *item, units.cast_signed()));
            if !fits {
                let order = lock.member.split('|').next().unwrap_or_default();
                report(Some(*item), order, format!("lock {} of item {item} belongs to nothing that was asked for", lock.member));
            }
        }
        for (order, record) in &redis.records {
            let units = record.split_once('|').and_then(|(_, units)| units.parse().ok());
            if !units.is_some_and(|units| asked.has(order, *item, units)) {
                report(
                    Some(*item),
                    order,
                    format!("deduct record {record} of order {order} and item {item} belongs to nothing that was asked for"),
                );
            }
        }
        for event in redis.markers.keys().filter(|event| !asked.has_marker(event)) {
            report(Some(*item), "", format!("marker of event {event} of item {item} belongs to nothing that was asked for"));
        }
    }
    examined
}

/// What was asked for in the whole run.
struct Asked<'c> {
    case: &'c Case<'c>,
    users: HashSet<(u64, ItemId)>,
    /// Restocks by item and units, as often as they were asked for.
    restocks: HashMap<(ItemId, i64), usize>,
    cut_off: bool,
}

impl<'c> Asked<'c> {
    fn new(case: &'c Case<'c>) -> Self {
        let history = &case.evidence.history;
        let creates = history.of(Function::CreateOrder);
        let mut users: HashSet<(u64, ItemId)> = creates.flat_map(|op| op.items.iter().map(|line| (op.user, line.item))).collect();
        let cut_off = history.tail.is_none();
        if cut_off {
            let items = &case.evidence.scenario().items;
            let planned = case.evidence.plan.orders.iter();
            users.extend(planned.filter_map(|order| Some((order.user, items.get(order.item as usize)?.item))));
        }
        let mut restocks = HashMap::new();
        for op in history.of(Function::Restock).filter(|op| !matches!(op.outcome, Outcome::Fail(_))) {
            for (item, units) in merged(&op.items) {
                *restocks.entry((item, units.cast_signed())).or_insert(0) += 1;
            }
        }
        Self { case, users, restocks, cut_off }
    }

    /// The bodies with which an order id was asked for: user and units by item. `None` if nobody can say.
    fn bodies(&self, order_id: &str) -> Option<Vec<(u64, BTreeMap<ItemId, u64>)>> {
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
        let item = plan.scenario.items.get(order.item as usize)?.item;
        Some(vec![(order.user, BTreeMap::from([(item, u64::from(order.quantity))]))])
    }

    fn has(&self, order_id: &str, item: ItemId, units: i64) -> bool {
        let fits = |(_, lines): &(u64, BTreeMap<ItemId, u64>)| lines.get(&item).is_some_and(|asked| asked.cast_signed() == units);
        self.bodies(order_id).is_none_or(|bodies| bodies.iter().any(fits))
    }

    /// A tombstone may also come from the cancel of an id that no order had, and names no user.
    fn has_order(&self, row: &OrderRow) -> bool {
        let Some(bodies) = self.bodies(&row.order_id) else { return true };
        if row.status == "FENCED" {
            let number = self.case.index.find(&row.order_id);
            let cancelled = number.is_some_and(|order| self.case.dealings(order).of(Function::CancelOrder).next().is_some());
            return cancelled || !bodies.is_empty();
        }
        bodies.iter().any(|(user, _)| *user == row.user_id)
    }

    /// Whether a payment that was sent before the stop had its effect or may have had it.
    fn has_payment(&self, row: &OrderRow, view: StopView<'_>) -> bool {
        let number = self.case.index.find(&row.order_id);
        let paid = number.and_then(|order| self.case.dealings(order).possibly(Function::PayOrder));
        self.cut_off || paid.is_some_and(|op| op.sent <= view.stop.snapshot.taken_at)
    }

    fn has_ledger(&self, row: &LedgerRow, restocks: &mut HashMap<(ItemId, i64), usize>) -> bool {
        match row.kind.as_str() {
            "SALE" | "RETURN" => self.has(&row.order_id, row.item, row.quantity),
            "RESTOCK" if row.order_id == OPENING_ID => self.is_for_sale(row.item),
            "RESTOCK" => restocks
                .get_mut(&(row.item, row.quantity))
                .is_some_and(|left| left.checked_sub(1).map(|less| *left = less).is_some()),
            _ => false,
        }
    }

    fn has_event(&self, row: &OutboxRow) -> bool {
        if row.event_id == OPENING_ID {
            return self.is_for_sale(row.item);
        }
        if row.event_id.starts_with("rst.") {
            return self.restocks.contains_key(&(row.item, row.quantity));
        }
        self.has(&row.order_id, row.item, row.quantity)
    }

    fn has_marker(&self, event_id: &str) -> bool {
        if event_id == OPENING_ID {
            return true;
        }
        if event_id.starts_with("rst.") {
            return !self.restocks.is_empty();
        }
        let order_id = event_id.strip_prefix("C.").unwrap_or(event_id);
        self.bodies(order_id).is_none_or(|bodies| !bodies.is_empty())
    }

    fn is_for_sale(&self, item: ItemId) -> bool {
        self.case.evidence.scenario().items.iter().any(|sale| sale.item == item)
    }
}
