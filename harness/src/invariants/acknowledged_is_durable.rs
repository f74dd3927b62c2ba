//! What a client was told is done stays done: accepted orders stand with their items or have an explained end, paid orders are
//! paid or refunded, cancelled and refunded orders are not live.
//!
//! An end is explained by a cancel or refund that was acknowledged or is in doubt, or by an expiry that was due and that no acknowledged
//! payment forestalled. Only replies that came before a stop are held against it.

use super::case::{Case, Dealings, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::story;
use crate::history::operation::Operation;
use crate::history::record::Function;
use crate::snapshot::OrderRow;

pub(crate) const CLAIM: Claim = Claim {
    name: "acknowledged_is_durable",
    sentence: "Every acknowledged order, payment, cancel and refund is in the ledger, with its user and items.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

const FLUSH_SETTING: &str = "innodb_flush_log_at_trx_commit";

fn examine(case: &Case<'_>) -> Examination {
    if let Some(why) = case.stops().find_map(not_durable) {
        return Examination::unknown("the durability settings of the database", why);
    }
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.stops() {
        for order in case.index.orders() {
            let dealings = case.dealings(order);
            let told = dealings.iter().filter(|op| op.is_ok() && is_write(op) && view.is_after(op)).count();
            examined += told;
            if let Some(lost) = (told > 0).then(|| lost(case, view, order)).flatten() {
                let name = case.index.name(order);
                violations.add(|| story::of_order(case, name, format!("order {name}: {lost} {}", view.name())));
            }
        }
    }
    Examination::new(format!("{examined} acknowledgements against the rows of each stop"), violations.verdict(examined))
}

fn not_durable(view: StopView<'_>) -> Option<String> {
    match view.stop.snapshot.servers.settings.get(FLUSH_SETTING).map(String::as_str) {
        Some("1") => None,
        Some(value) => Some(format!("the database promises no durability: {FLUSH_SETTING} = {value}")),
        None => Some(format!("the database's {FLUSH_SETTING} was not read")),
    }
}

fn is_write(op: &Operation) -> bool {
    matches!(op.function, Function::CreateOrder | Function::PayOrder | Function::CancelOrder | Function::RefundOrder)
}

/// What of the acknowledgements of one order is not there.
fn lost(case: &Case<'_>, view: StopView<'_>, order: OrderNumber) -> Option<String> {
    let dealings = case.dealings(order);
    let row = view.order(order);
    let cancelled = dealings.done(Function::CancelOrder).filter(|op| view.is_after(op));
    if let Some(op) = cancelled.filter(|_| row.is_none_or(OrderRow::is_live)) {
        let found = row.map_or("no row", |row| &row.status);
        return Some(format!("its cancel was acknowledged at {}, the ledger has {found}", op.effect_before()));
    }
    let found = row.map_or("no row", |row| &row.status);
    if let Some(op) = dealings.done(Function::RefundOrder).filter(|op| view.is_after(op) && found != "REFUNDED") {
        return Some(format!("its refund was acknowledged at {}, the ledger has {found}", op.effect_before()));
    }
    let given_back = found == "REFUNDED" && dealings.possibly(Function::RefundOrder).is_some();
    let paid = dealings.done(Function::PayOrder).filter(|op| view.is_after(op) && found != "PAID" && !given_back);
    if let Some(op) = paid {
        return Some(format!("its payment was acknowledged at {}, the ledger has {found}", op.effect_before()));
    }
    let op = dealings.accepted().filter(|op| view.is_after(op))?;
    let Some(row) = row else {
        return Some(format!("acknowledged at {}, the ledger has no row of it", op.effect_before()));
    };
    wrong_row(view, order, op, row).or_else(|| unexplained_end(case, view, dealings, row))
}

fn wrong_row(view: StopView<'_>, order: OrderNumber, op: &Operation, row: &OrderRow) -> Option<String> {
    if row.status != "FENCED" && row.user_id != op.user {
        return Some(format!("acknowledged to user {}, the ledger names user {}", op.user, row.user_id));
    }
    let mut missing = merged(&op.items).into_iter().filter(|(item, units)| {
        let units = i64::try_from(*units).unwrap_or(i64::MAX);
        !view.sales(order).any(|sale| sale.item == *item && sale.quantity == units)
    });
    let (item, units) = missing.next().filter(|_| row.status != "FENCED")?;
    Some(format!("acknowledged with {units} units of item {item}, the ledger has no such sale"))
}

fn unexplained_end(case: &Case<'_>, view: StopView<'_>, dealings: Dealings<'_>, row: &OrderRow) -> Option<String> {
    let first_sent = dealings.creates().map(|op| op.sent).min()?;
    let explained = match row.status.as_str() {
        "CREATED" | "PAID" => true,
        "CANCELLED" => dealings.possibly(Function::CancelOrder).is_some(),
        "REFUNDED" => dealings.possibly(Function::RefundOrder).is_some(),
        "EXPIRED" => case.may_expire(first_sent, view.stop.snapshot.taken_at.max(view.stop.quiescence.ended)),
        _ => false,
    };
    (!explained).then(|| format!("acknowledged, the ledger has {} and nobody asked for it", row.status))
}
