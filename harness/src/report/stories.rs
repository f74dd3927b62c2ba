//! Counter-examples as plain text.
//!
//! In: a [`Violation`]. Out: lines for console, markdown and JUnit; the page has its own form.

use super::figures::plural;
use crate::clock::Offset;
use crate::invariants::Violation;

/// Order ids named in one line; the rest is counted.
pub const ORDERS_NAMED: usize = 5;

/// A time, or a dash of the same meaning everywhere: the history does not date it.
#[must_use]
pub fn time(at: Option<Offset>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.to_string())
}

/// `order a-1`, `orders a-1, a-2 and 7 more`; empty if none is concerned.
#[must_use]
pub fn orders(violation: &Violation) -> String {
    let named = violation.orders.iter().take(ORDERS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match violation.orders.len() {
        0 => String::new(),
        1 => format!("order {named}"),
        number if number <= ORDERS_NAMED => format!("orders {named}"),
        number => format!("orders {named} and {} more", number - ORDERS_NAMED),
    }
}

/// What is concerned: item, units, orders, operations, time. Empty if the violation names nothing.
#[must_use]
pub fn concerns(violation: &Violation) -> Vec<String> {
    let item = violation.item.map(|item| format!("item {item}"));
    let units = violation.units.map(|units| {
        let sense = if units < 0 { "lost" } else { "too many" };
        format!("{} {sense}", plural(units.unsigned_abs(), "unit", "units"))
    });
    let operations = match violation.operations.as_slice() {
        [] => None,
        [first] => Some(format!("operation {}", first.0)),
        [first, rest @ ..] => Some(format!("operation {} and {} more", first.0, rest.len())),
    };
    let at = violation.at.map(|at| format!("first seen at {at}"));
    let orders = Some(orders(violation)).filter(|text| !text.is_empty());
    [item, units, orders, operations, at].into_iter().flatten().collect()
}

/// The whole counter-example: what, what is concerned, and its story.
#[must_use]
pub fn lines(violation: &Violation) -> Vec<String> {
    let concerns = Some(concerns(violation).join("; ")).filter(|text| !text.is_empty());
    let story = violation.story.iter().map(|line| format!("  {:>12}  {:<8} {}", time(line.at), line.lane, line.what));
    std::iter::once(violation.what.clone()).chain(concerns).chain(story).collect()
}
