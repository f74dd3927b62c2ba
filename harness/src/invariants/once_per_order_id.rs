//! However often an order id is sent, it has one effect: one row, one sale and one return of each item, one event of each type, and
//! the same answer to everybody who was told that it stands.

use std::collections::HashSet;

use super::case::{Case, Dealings, StopView, merged};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::no_oversell::may_be_undone;
use super::story;
use super::words::outcome;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Outcome};

pub(crate) const CLAIM: Claim = Claim {
    name: "once_per_order_id",
    sentence: "An order id that is sent several times has one effect, and every acknowledgement tells of the same one.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut repeated = 0;
    let mut report = |order: OrderNumber, what: String| {
        let name = case.index.name(order);
        violations.add(|| story::of_order(case, name, format!("order {name}: {what}")));
    };
    for order in case.index.orders() {
        let dealings = case.dealings(order);
        repeated += usize::from(dealings.creates().nth(1).is_some());
        for what in disagreement(dealings).into_iter().chain(forgotten(case, dealings)) {
            report(order, what);
        }
        for view in case.stops() {
            if let Some(what) = twice(view, order) {
                report(order, format!("{what} {}", view.name()));
            }
        }
    }
    let verdict = violations.verdict(repeated.max(1));
    if repeated > 0 || verdict.is_violated() {
        return Examination::new(
            format!("{repeated} order ids that were sent more than once, and every row of each stop"),
            verdict,
        );
    }
    if case.evidence.scenario().mix.duplicates > 0.0 {
        return Examination::unknown("the order ids", "no order id was sent twice");
    }
    Examination::not_applicable("the scenario repeats no order id")
}

/// Two acknowledgements of one id that tell of different effects.
fn disagreement(dealings: Dealings<'_>) -> Option<String> {
    let first = dealings.accepted()?;
    dealings.creates().filter(|op| op.is_ok()).find_map(|op| differs(first, op))
}

fn differs(first: &Operation, other: &Operation) -> Option<String> {
    if other.user != first.user || merged(&other.items) != merged(&first.items) {
        return Some(format!("operations {} and {} asked for different things and both were accepted", first.id.0, other.id.0));
    }
    let told_first = |told: &crate::history::record::Witness| first.witness.iter().find(|line| line.item == told.item).cloned();
    let pairs = other.witness.iter().filter_map(|told| Some((told_first(told)?, told)));
    let mut different = pairs.filter(|(one, two)| one.token != two.token || one.qty != two.qty);
    different.next().map(|(one, two)| {
        format!("acknowledged with {} units and token {}, and with {} units and token {}", one.qty, one.token, two.qty, two.token)
    })
}

/// A repeat that says it is one, sent when the order had been acknowledged, nobody had ended it, and refused as if there were none.
/// Without saying so it may be refused from a memory of what is sold out (`docs/http-api.md`).
fn forgotten(case: &Case<'_>, dealings: Dealings<'_>) -> Option<String> {
    let first = dealings.accepted()?;
    let acknowledged = first.answered?;
    let first_due = dealings.creates().map(|op| op.due).min()?;
    let forgets = |op: &&Operation| {
        let ended = op.answered.unwrap_or(op.sent);
        let denied = matches!(op.outcome, Outcome::Fail(FailCode::SoldOut | FailCode::QuotaExceeded));
        denied && op.due > first_due && op.sent > acknowledged && !may_be_undone(case, dealings, ended)
    };
    let op = dealings.creates().find(forgets)?;
    Some(format!("acknowledged at {acknowledged}, and its repetition at {} was {}", op.sent, outcome(op.outcome)))
}

/// Something that one id has twice.
fn twice(view: StopView<'_>, order: OrderNumber) -> Option<String> {
    if view.orders(order).nth(1).is_some() {
        return Some("it has two rows".to_owned());
    }
    let mut rows = HashSet::new();
    if let Some(row) = view.ledger(order).find(|row| !rows.insert((row.item, row.kind.as_str()))) {
        return Some(format!("it has two {} rows of item {}", row.kind, row.item));
    }
    let mut events = HashSet::new();
    let again = view.outbox(order).find(|row| !events.insert((row.item, row.event_type.as_str())));
    again.map(|row| format!("it has two {} events of item {}", row.event_type, row.item))
}
