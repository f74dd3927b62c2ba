//! At rest every event was delivered: none is NEW or DEAD, every sale that Redis admitted has its deduct event, everything that
//! was given back or restocked has its increase.
//!
//! A sale without a token was admitted by MySQL and needs no deduct event; the same holds for items that are not in mode REDIS. Nothing
//! tells in which mode an item was in an epoch that has ended, and a sale that was admitted in mode STRICT has a token and no event.
//! So only sales of the present epoch must have theirs.

use super::asked::is_strangers;
use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::evidence_is_sound::OPENING_ID;
use super::index::{ItemRows, OrderNumber};
use super::story;
use super::verdict::Violation;
use crate::snapshot::LedgerRow;

pub(crate) const CLAIM: Claim = Claim {
    name: "outbox_drained",
    sentence: "At rest no event is NEW or DEAD, and every sale and every return has its event.",
    required: true,
    needs: &[],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.rested() {
        for row in &view.stop.snapshot.outbox {
            examined += 1;
            if row.status != "DONE" && !is_strangers(case, row) {
                let (id, event, item) = (row.id, &row.event_id, row.item);
                let cause = format!("{} after {} attempts {}", row.status, row.attempts, row.last_error);
                let what = || {
                    format!(
                        "order {}: outbox row {id}, {} {event} of item {item}, is {cause} {}",
                        row.order_id,
                        row.event_type,
                        view.name()
                    )
                };
                violations.add(|| Violation { item: Some(item), ..story::of_order(case, &row.order_id, what()) });
            }
        }
        for order in case.index.orders() {
            for row in view.ledger(order).filter(|row| matches!(row.kind.as_str(), "SALE" | "RESTOCK")) {
                examined += 1;
                if let Some(missing) = missing_event(view, order, row) {
                    let name = case.index.name(order);
                    let what = || {
                        format!(
                            "order {name}: its {} of item {} has no {missing} event {}",
                            row.transaction_type,
                            row.item,
                            view.name()
                        )
                    };
                    violations.add(|| Violation { item: Some(row.item), ..story::of_order(case, name, what()) });
                }
            }
        }
    }
    Examination::new(format!("{examined} events and sales"), violations.verdict(examined))
}

fn missing_event(view: StopView<'_>, order: OrderNumber, sale: &LedgerRow) -> Option<&'static str> {
    let has = |event_type: &str| view.outbox(order).any(|row| row.event_type == event_type && row.item == sale.item);
    if sale.kind == "RESTOCK" {
        return (sale.order_id != OPENING_ID && !has("APPLY_DELTA")).then_some("APPLY_DELTA");
    }
    let given_back =
        sale.transaction_type == "UNLOCK" || view.ledger(order).any(|row| row.kind == "RETURN" && row.item == sale.item);
    if !sale.token.is_empty() && deducts_later(view, sale) && !has("DEDUCT_STOCK_DB") {
        return Some("DEDUCT_STOCK_DB");
    }
    (given_back && !has("APPLY_DELTA")).then_some("APPLY_DELTA")
}

fn deducts_later(view: StopView<'_>, sale: &LedgerRow) -> bool {
    let is_redis = |rows: &ItemRows<'_>| rows.epochs.iter().any(|row| row.mode == "REDIS");
    view.items().get(&sale.item).is_some_and(|rows| is_redis(rows) && rows.epoch() == Some(sale.epoch))
}
