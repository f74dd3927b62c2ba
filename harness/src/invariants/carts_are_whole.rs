//! An order has all of its items or none: a live one has exactly one sale of each item that was asked for, one that is not live
//! has given every item back.
//!
//! An order of one item is a cart of one, so the claim is asked of every order.

use std::collections::BTreeMap;

use super::case::{Case, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::story;
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "carts_are_whole",
    sentence: "A live order holds every item that was asked for, in full; any other order holds none.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.stops() {
        for order in case.index.orders() {
            let Some(row) = view.order(order) else { continue };
            examined += 1;
            let broken = if row.is_live() { broken_live(case, view, order) } else { kept_back(view, order) };
            if let Some(broken) = broken {
                let name = case.index.name(order);
                violations.add(|| story::of_order(case, name, format!("order {name} is {}: {broken} {}", row.status, view.name())));
            }
        }
    }
    Examination::new(format!("{examined} order rows with their sales"), violations.verdict(examined))
}

fn broken_live(case: &Case<'_>, view: StopView<'_>, order: OrderNumber) -> Option<String> {
    // An order that nobody asked for is the matter of `nothing_unasked`.
    let mut broken = None;
    for body in case.dealings(order).bodies() {
        broken = broken.or(Some(not_as_asked(view, order, &merged(body))?));
    }
    broken
}

/// Why the sales of an order are not what one request for it asked for.
fn not_as_asked(view: StopView<'_>, order: OrderNumber, asked: &BTreeMap<ItemId, u64>) -> Option<String> {
    let standing = || view.sales(order).filter(|row| matches!(row.transaction_type.as_str(), "LOCK" | "OUT"));
    for (item, units) in asked {
        let sold: Vec<i64> = standing().filter(|row| row.item == *item).map(|row| row.quantity).collect();
        if sold != [i64::try_from(*units).unwrap_or(i64::MAX)] {
            return Some(format!("{units} units of item {item} were asked for, its sales hold {sold:?}"));
        }
    }
    let extra = standing().find(|row| !asked.contains_key(&row.item));
    extra.map(|row| format!("it holds {} units of item {}, which nobody asked for", row.quantity, row.item))
}

fn kept_back(view: StopView<'_>, order: OrderNumber) -> Option<String> {
    let returned = |sale: &crate::snapshot::LedgerRow| {
        view.ledger(order).any(|row| row.kind == "RETURN" && row.item == sale.item && row.quantity == sale.quantity)
    };
    let kept = view.sales(order).find(|sale| match sale.transaction_type.as_str() {
        "OUT" => !returned(sale),
        "LOCK" => true,
        _ => false,
    });
    kept.map(|sale| format!("it still holds {} units of item {} in {}", sale.quantity, sale.item, sale.transaction_type))
}
