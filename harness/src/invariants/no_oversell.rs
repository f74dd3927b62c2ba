//! No item is sold beyond its supply.
//!
//! Three views, each enough to convict: live orders at every stop; orders that were acknowledged and cannot have been undone, by
//! the clients' word alone, so that it convicts even if the database lost them; and the linearizability of the stock over time.

use std::collections::BTreeMap;

use super::case::{Case, Dealings, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::evidence_is_sound::OPENING_ID;
use super::holdings;
use super::linearizable::{Basis, Contradiction, Finding};
use super::story;
use super::verdict::Violation;
use crate::history::record::Function;
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "no_oversell",
    sentence: "No item is sold beyond its supply, at any time.",
    required: true,
    needs: &[Part::Supply],
    uses: &[Part::History, Part::Stores],
    examine,
};

/// Orders that a violation names at most.
const ORDERS_NAMED: usize = 20;

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let live: usize = case.stops().map(|view| over_at_stop(case, view, &mut violations)).sum();
    let accepted = if case.history_is_sound() { over_by_clients(case, &mut violations) } else { 0 };
    let judgement = case.stock();
    for finding in judgement.findings.iter().filter(|finding| finding.contradiction.is_oversell()) {
        violations.add(|| tell(case, finding));
    }
    let looked_at = format!("{accepted} accepted orders of {} items, {live} live orders at the stops", judgement.items);
    Examination { strength: Some(judgement.strength()), ..Examination::new(looked_at, violations.verdict(accepted + live)) }
}

/// Judges the live orders of one stop; returns how many there are.
fn over_at_stop(case: &Case<'_>, view: StopView<'_>, violations: &mut Violations) -> usize {
    for (item, units) in holdings::held(case, view) {
        let supply = supply_at(case, view, item);
        let Some(over) = units.checked_sub(supply).filter(|over| *over > 0) else { continue };
        violations.add_weighed(over, || {
            let past = holdings::beyond(case, view, item, supply);
            let what = format!("item {item}: {over} units over: live orders hold {units} of a supply of {supply} {}", view.name());
            let orders: Vec<String> = past.iter().take(ORDERS_NAMED).map(|order| case.index.name(*order).to_owned()).collect();
            let mut violation = story::of_item(case, item, over.cast_signed(), what);
            violation.operations =
                past.iter().take(ORDERS_NAMED).filter_map(|order| case.dealings(*order).accepted()).map(|op| op.id).collect();
            violation.story.extend(orders.first().into_iter().flat_map(|order| story::of_order(case, order, String::new()).story));
            Violation { orders, ..violation }
        });
    }
    view.stop.snapshot.orders.iter().filter(|row| row.is_live()).count()
}

/// Most units that there may be. Without a sound history the ledger's own restocks are taken for it.
fn supply_at(case: &Case<'_>, view: StopView<'_>, item: ItemId) -> u64 {
    let supply = case.supplies.get(&item).copied().unwrap_or_default();
    if case.history_is_sound() {
        return supply.most();
    }
    let restocks =
        view.stop.snapshot.ledger.iter().filter(|row| row.item == item && row.kind == "RESTOCK" && row.order_id != OPENING_ID);
    supply.opening + restocks.map(|row| u64::try_from(row.quantity).unwrap_or(0)).sum::<u64>()
}

/// Judges by acknowledgements alone; returns how many orders were accepted.
fn over_by_clients(case: &Case<'_>, violations: &mut Violations) -> usize {
    let ended = case.ended();
    let mut accepted = 0;
    let mut units: BTreeMap<ItemId, u64> = BTreeMap::new();
    for order in case.index.orders() {
        let dealings = case.dealings(order);
        let Some(op) = dealings.accepted() else { continue };
        accepted += 1;
        if !may_be_undone(case, dealings, ended) {
            merged(&op.items).into_iter().for_each(|(item, quantity)| *units.entry(item).or_insert(0) += quantity);
        }
    }
    for (item, units) in units {
        let supply = case.supplies.get(&item).copied().unwrap_or_default().most();
        let Some(over) = units.checked_sub(supply).filter(|over| *over > 0) else { continue };
        let what =
            || format!("item {item}: {over} units over: {units} were acknowledged and never undone, of a supply of {supply}");
        violations.add_weighed(over, || story::of_item(case, item, over.cast_signed(), what()));
    }
    accepted
}

/// Whether anybody can have ended the order: its user, or an expiry that no acknowledged payment forestalled.
pub(crate) fn may_be_undone(case: &Case<'_>, dealings: Dealings<'_>, ended: crate::clock::Offset) -> bool {
    let asked = [Function::CancelOrder, Function::RefundOrder].into_iter().any(|function| dealings.possibly(function).is_some());
    let first_sent = dealings.creates().map(|op| op.sent).min();
    let unpaid = dealings.done(Function::PayOrder).is_none();
    asked || (unpaid && first_sent.is_some_and(|sent| case.may_expire(sent, ended)))
}

/// A contradiction of the stock over time, in words.
pub(crate) fn tell(case: &Case<'_>, finding: &Finding) -> Violation {
    let (item, supply, tier) = (finding.item, finding.opening, finding.tier);
    let witness = match finding.basis {
        Basis::Clients => "evidence: clients",
        Basis::Ledger => "evidence: ledger",
    };
    let name = |order| case.index.name(order);
    let (what, names): (String, Vec<&str>) = match finding.contradiction {
        Contradiction::Oversold { op, out, units } => {
            let what =
                format!("item {item}: {units} more units taken while {out} of {supply} were certainly out ({tier}, {witness})");
            return Violation {
                item: Some(item),
                units: Some(out + units.cast_signed() - supply.cast_signed()),
                ..story::of_operation(case, op, what)
            };
        }
        Contradiction::FalseRefusal { op, free } => {
            let what =
                format!("item {item}: refused as sold out while {free} of {supply} units were certainly free ({tier}, {witness})");
            return Violation { item: Some(item), units: Some(-free), ..story::of_operation(case, op, what) };
        }
        Contradiction::SharedVersion { epoch, version, orders: (one, other) } => (
            format!("item {item}: orders {} and {} both hold token {epoch}:{version}", name(one), name(other)),
            vec![name(one), name(other)],
        ),
        Contradiction::OutOfOrder { epoch, version, order } => {
            let why = "was answered before an order with an older token was sent";
            (format!("item {item}: order {} with token {epoch}:{version} {why}", name(order)), vec![name(order)])
        }
        Contradiction::UnitsAppeared { epoch, version, order, found, .. } if found < 0 => (
            format!("item {item}: order {} took units that were not there: its token {epoch}:{version} left {found}", name(order)),
            vec![name(order)],
        ),
        Contradiction::UnitsAppeared { epoch, version, order, most, found } => {
            (format!("item {item}: token {epoch}:{version} left {found} units where {most} can be left at most"), vec![name(order)])
        }
        Contradiction::UnitsVanished { epoch, version, order, least, found } => (
            format!("item {item}: token {epoch}:{version} left {found} units where at least {least} must be left"),
            vec![name(order)],
        ),
    };
    let told = names.first().map(|order| story::of_order(case, order, format!("{what} ({tier}, {witness})"))).unwrap_or_default();
    Violation { item: Some(item), orders: names.into_iter().map(str::to_owned).collect(), ..told }
}
