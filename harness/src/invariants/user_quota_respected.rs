//! Nobody holds more units of an item than the purchase limit of the sale allows, by the ledger and by the clients' word alone; the quota
//! that the database counts is what the user's live orders hold; and nobody is refused for the limit who is certainly below it.
//!
//! A refusal is judged against everything that the user may have held by the time of it: units of every other attempt that was sent by then and
//! may have become an order, whether it was undone or not. So what is certainly below the limit is.

use std::collections::{BTreeMap, HashMap};

use super::case::{Case, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::no_oversell::may_be_undone;
use super::story;
use super::verdict::Violation;
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, OpId, Outcome};
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "user_quota_respected",
    sentence: "No user holds more units of an item than its purchase limit, and nobody is refused for it who is certainly below.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

/// Orders that a violation names at most.
const ORDERS_NAMED: usize = 20;

/// A user and an item.
type Holder = (u64, ItemId);

/// Units that users hold, and by which orders.
type Holdings = BTreeMap<Holder, (u64, Vec<OrderNumber>)>;

fn examine(case: &Case<'_>) -> Examination {
    let limit = u64::from(case.evidence.scenario().promises.limit_per_user);
    if limit == 0 {
        return Examination::not_applicable("the scenario sets no purchase limit");
    }
    let mut violations = Violations::default();
    let accepted = never_undone(case);
    over(case, &accepted, limit, ("were acknowledged and never undone", ""), &mut violations);
    let mut examined = accepted.len();
    for view in case.stops() {
        let held = held(case, view);
        let name = format!(" {}", view.name());
        over(case, &held, limit, ("are held by live orders", &name), &mut violations);
        examined += held.len();
    }
    for view in case.rested() {
        examined += wrong_quotas(case, view, &mut violations);
    }
    let refused = refused_below(case, limit, &mut violations);
    let looked_at = format!("{examined} holdings and quotas of users and {refused} refusals for a limit of {limit}");
    Examination::new(looked_at, violations.verdict(examined + refused))
}

/// What the live orders of each user hold at a stop, by their SALE rows.
fn held(case: &Case<'_>, view: StopView<'_>) -> Holdings {
    let mut held = Holdings::new();
    for order in case.index.orders() {
        let Some(row) = view.order(order).filter(|row| row.is_live()) else { continue };
        for sale in view.sales(order) {
            add(&mut held, (row.user_id, sale.item), order, u64::try_from(sale.quantity).unwrap_or(0));
        }
    }
    held
}

/// What each user was acknowledged and nobody can have undone.
fn never_undone(case: &Case<'_>) -> Holdings {
    let mut held = Holdings::new();
    let ended = case.ended();
    for order in case.index.orders() {
        let dealings = case.dealings(order);
        let Some(op) = dealings.accepted().filter(|_| !may_be_undone(case, dealings, ended)) else { continue };
        for (item, units) in merged(&op.items) {
            add(&mut held, (op.user, item), order, units);
        }
    }
    held
}

fn add(held: &mut Holdings, holder: Holder, order: OrderNumber, units: u64) {
    let (sum, orders) = held.entry(holder).or_default();
    *sum += units;
    orders.push(order);
}

fn over(case: &Case<'_>, held: &Holdings, limit: u64, (how, when): (&str, &str), violations: &mut Violations) {
    for ((user, item), (units, orders)) in held.iter().filter(|(_, (units, _))| *units > limit) {
        violations.add_weighed(units - limit, || {
            let what = format!("user {user}: {units} units of item {item} {how}{when}, the limit is {limit}");
            let named: Vec<String> = orders.iter().take(ORDERS_NAMED).map(|order| case.index.name(*order).to_owned()).collect();
            let told = named.first().map(|order| story::of_order(case, order, what)).unwrap_or_default();
            Violation { item: Some(*item), units: Some((units - limit).cast_signed()), orders: named, ..told }
        });
    }
}

/// Quota rows that are not the sum of what the user's live orders hold; returns how many were compared. A user without a row has a quota
/// of none.
fn wrong_quotas(case: &Case<'_>, view: StopView<'_>, violations: &mut Violations) -> usize {
    let held = held(case, view);
    let mut counted: BTreeMap<Holder, i64> = held.keys().map(|holder| (*holder, 0)).collect();
    for row in &view.stop.snapshot.quotas {
        *counted.entry((row.user_id, row.item)).or_insert(0) += row.quantity;
    }
    let compared = counted.len();
    for ((user, item), counted) in counted {
        let due = held.get(&(user, item)).map_or(0, |(units, _)| units.cast_signed());
        if counted != due {
            let what =
                format!("user {user}: the quota of item {item} counts {counted} units, live orders hold {due} {}", view.name());
            violations.add_weighed(counted.abs_diff(due), || story::of_item(case, item, counted - due, what));
        }
    }
    compared
}

/// An attempt of which the user may have held units, at some time from when it was sent.
struct Attempt {
    op: OpId,
    sent: Offset,
    units: u64,
}

/// Judges the refusals for the limit; returns how many there are.
fn refused_below(case: &Case<'_>, limit: u64, violations: &mut Violations) -> usize {
    let mut attempts: HashMap<Holder, Vec<Attempt>> = HashMap::new();
    for op in case.evidence.history.of(Function::CreateOrder).filter(|op| may_have_held(op)) {
        for (item, units) in merged(&op.items) {
            attempts.entry((op.user, item)).or_default().push(Attempt { op: op.id, sent: op.sent, units });
        }
    }
    let is_refusal = |op: &&Operation| op.outcome == Outcome::Fail(FailCode::QuotaExceeded);
    let mut refused = 0;
    for op in case.evidence.history.of(Function::CreateOrder).filter(is_refusal) {
        refused += 1;
        let until = op.answered.unwrap_or(op.sent);
        let possibly_held = |item: ItemId| -> u64 {
            let others = attempts.get(&(op.user, item)).into_iter().flatten();
            others.filter(|other| other.op != op.id && other.sent <= until).map(|other| other.units).sum()
        };
        // The item that the reply names, or else any of the order: one that was at its limit explains it.
        let judged = merged(&op.items).into_iter().filter(|(item, _)| op.short.is_none_or(|short| short == *item));
        let explained = judged.map(|(item, units)| possibly_held(item) + units).any(|units| units > limit);
        if !explained {
            let what = format!("user {}: order {} was refused for the limit of {limit}, and certainly below it", op.user, op.order);
            violations.add(|| story::of_operation(case, op.id, what));
        }
    }
    refused
}

/// Whether an attempt can have become an order, if only for a moment.
fn may_have_held(op: &Operation) -> bool {
    let never = matches!(
        op.outcome,
        Outcome::Fail(FailCode::NotSent | FailCode::Invalid | FailCode::UnknownSku | FailCode::SoldOut | FailCode::QuotaExceeded)
    );
    !never
}
