//! Which order of an item shows how its units went astray.
//!
//! In: a [`Case`] and an item whose numbers do not add up. Out: the order whose traces contradict each other most plainly, and the contradiction in
//! one sentence. It judges nothing: that the numbers are wrong was found already, and an item whose orders all agree has no suspect.

use super::case::{Case, Dealings, StopView};
use super::index::OrderNumber;
use crate::history::record::{FailCode, Function, Outcome};
use crate::scenario::ItemId;
use crate::snapshot::OrderRow;

/// Attempts of one order further apart than this have nothing to do with each other.
const TOGETHER_MS: f64 = 2_000.0;

/// A contradiction in what is known of an order and an item, in one sentence.
type Contradiction = fn(&Case<'_>, OrderNumber, ItemId) -> Option<String>;

/// The kinds of contradiction, the plainest first.
const KINDS: [Contradiction; 4] = [taken_twice, sold_to_nobody, lost, judged_twice];

/// The first order of the plainest kind.
pub(super) fn suspect<'c>(case: &'c Case<'_>, item: ItemId) -> Option<(&'c str, String)> {
    let asks = |order: &OrderNumber| case.dealings(*order).asked().iter().any(|line| line.item == item);
    let orders: Vec<OrderNumber> = case.index.orders().filter(asks).collect();
    let first = |kind: &Contradiction| orders.iter().find_map(|order| Some((case.index.name(*order), kind(case, *order, item)?)));
    KINDS.iter().find_map(first)
}

/// Redis remembers another reservation than the one that the ledger sold, or the client was told of another.
fn taken_twice(case: &Case<'_>, order: OrderNumber, item: ItemId) -> Option<String> {
    let name = case.index.name(order);
    case.stops().find_map(|view| {
        let sold = sale_token(view, order, item)?;
        let record = view.items().get(&item)?.redis?.records.get(name)?;
        let (remembered, units) = record.split_once('|')?;
        let same_epoch = remembered.split_once(':')?.0 == sold.split_once(':')?.0;
        (same_epoch && remembered != sold).then(|| {
            format!(
                "order {name} took {units} of its units twice: its sale has token {sold}, its record in Redis token {remembered}"
            )
        })
    })
}

fn sale_token<'c>(view: StopView<'c>, order: OrderNumber, item: ItemId) -> Option<&'c str> {
    let sale = view.sales(order).find(|row| row.item == item && matches!(row.transaction_type.as_str(), "LOCK" | "OUT"))?;
    Some(sale.token.as_str()).filter(|token| !token.is_empty())
}

/// Every attempt was refused, and the order stands.
fn sold_to_nobody(case: &Case<'_>, order: OrderNumber, _item: ItemId) -> Option<String> {
    let stands = case.stops().any(|view| view.order(order).is_some_and(OrderRow::is_live));
    let refused = case.dealings(order).is_refused() && stands;
    refused.then(|| format!("order {} stands although every attempt at it was refused", case.index.name(order)))
}

/// It was acknowledged, nobody can have ended it, and it has no sale.
fn lost(case: &Case<'_>, order: OrderNumber, item: ItemId) -> Option<String> {
    let dealings = case.dealings(order);
    let at = dealings.accepted()?.answered?;
    let ended = [Function::CancelOrder, Function::RefundOrder].into_iter().any(|function| dealings.possibly(function).is_some());
    let last = case.stops().last()?;
    let sold = last.sales(order).any(|row| row.item == item && matches!(row.transaction_type.as_str(), "LOCK" | "OUT"));
    let expires = case.may_expire(dealings.iter().map(|op| op.sent).min()?, last.stop.snapshot.taken_at);
    let was_there = last.is_after(dealings.accepted()?);
    (was_there && !ended && !expires && !sold)
        .then(|| format!("order {} was acknowledged at {at} and holds no stock", case.index.name(order)))
}

/// One attempt was accepted and another one at about the same time was not.
fn judged_twice(case: &Case<'_>, order: OrderNumber, _item: ItemId) -> Option<String> {
    let dealings: Dealings<'_> = case.dealings(order);
    let accepted = dealings.accepted()?;
    let at = accepted.answered?;
    // For lack of stock or of room an attempt may be refused whatever became of another.
    let contradicts = |code| matches!(code, FailCode::Fenced | FailCode::Cancelled | FailCode::Conflict | FailCode::Mismatch);
    let other = dealings.creates().filter(|op| match op.outcome {
        Outcome::Ok => false,
        Outcome::Fail(code) => contradicts(code),
        Outcome::Info(_) => true,
    });
    let near = other.filter_map(|op| Some((op, op.answered?.as_millis_f64() - at.as_millis_f64())));
    let (op, apart) =
        near.min_by(|one, two| one.1.abs().total_cmp(&two.1.abs())).filter(|(_, apart)| apart.abs() <= TOGETHER_MS)?;
    let (side, why) = (if apart < 0.0 { "before" } else { "after" }, super::words::outcome(op.outcome));
    Some(format!(
        "order {} was accepted in operation {} and {why} in operation {}, {:.0} ms {side} that",
        case.index.name(order),
        accepted.id.0,
        op.id.0,
        apart.abs()
    ))
}
