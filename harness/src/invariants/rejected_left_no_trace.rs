//! An order whose every attempt was refused for certain left nothing: no live order, no sale, no lock, no open event. An order whose
//! every payment was refused for certain is not paid.
//!
//! Tombstones (FENCED), cancelled rows, sales that came back, finished events and the deduct record that waits for its TTL are allowed.

use std::collections::HashMap;

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::story;
use crate::history::record::{FailCode, Function, Outcome};
use crate::snapshot::LedgerRow;

pub(crate) const CLAIM: Claim = Claim {
    name: "rejected_left_no_trace",
    sentence: "An order that was refused for certain left no live order, no sale, no lock and no open event, a refused payment no paid order.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.rested() {
        let locks = locks_by_order(view);
        let before = |order: &OrderNumber| case.dealings(*order).creates().all(|op| view.is_after(op));
        let refused = case.index.orders().filter(|order| case.dealings(*order).is_refused()).filter(before);
        for order in refused {
            examined += 1;
            let name = case.index.name(order);
            if let Some(trace) = trace(case, view, order, locks.get(name).copied()) {
                violations.add(|| {
                    story::of_order(case, name, format!("order {name}: every attempt was refused, yet {trace} {}", view.name()))
                });
            }
        }
        for order in case.index.orders().filter(|order| payment_is_refused(case, view, *order)) {
            examined += 1;
            let name = case.index.name(order);
            if view.order(order).is_some_and(|row| row.status == "PAID") {
                let what = || format!("order {name}: every payment was refused, yet the order is PAID {}", view.name());
                violations.add(|| story::of_order(case, name, what()));
            }
        }
    }
    Examination::new(format!("{examined} refused orders and payments against both stores"), violations.verdict(examined))
}

/// Whether payments were tried and all of them were refused for certain before the stop.
fn payment_is_refused(case: &Case<'_>, view: StopView<'_>, order: OrderNumber) -> bool {
    let mut payments = case.dealings(order).of(Function::PayOrder).peekable();
    payments.peek().is_some() && payments.all(|op| matches!(op.outcome, Outcome::Fail(_)) && view.is_after(op))
}

fn locks_by_order(view: StopView<'_>) -> HashMap<&str, &str> {
    let locks = view.stop.snapshot.redis.values().flat_map(|redis| &redis.locks);
    locks.map(|lock| (lock.member.split('|').next().unwrap_or_default(), lock.member.as_str())).collect()
}

fn trace(case: &Case<'_>, view: StopView<'_>, order: OrderNumber, lock: Option<&str>) -> Option<String> {
    if let Some(row) = view.orders(order).find(|row| row.is_live()) {
        return Some(format!("the order is {}", row.status));
    }
    // An order that was cancelled while its creation was in doubt is refused as cancelled: what was out by then has come back.
    let mut creates = case.dealings(order).creates();
    let is_cancelled = creates.any(|op| op.outcome == Outcome::Fail(FailCode::Cancelled));
    let returns =
        |row: &LedgerRow, sale: &LedgerRow| row.kind == "RETURN" && row.item == sale.item && row.quantity == sale.quantity;
    let came_back = |sale: &LedgerRow| is_cancelled && view.ledger(order).any(|row| returns(row, sale));
    let holds = |sale: &LedgerRow| match sale.transaction_type.as_str() {
        "OUT" => !came_back(sale),
        other => other == "LOCK",
    };
    if let Some(sale) = view.sales(order).find(|sale| holds(sale)) {
        return Some(format!(
            "ledger row {} holds {} units of item {} in {}",
            sale.id, sale.quantity, sale.item, sale.transaction_type
        ));
    }
    if let Some(event) = view.outbox(order).find(|row| row.status == "NEW") {
        return Some(format!("event {} {} is still NEW", event.event_type, event.event_id));
    }
    lock.map(|lock| format!("lock {lock} is still there"))
}
