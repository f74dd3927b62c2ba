//! Orders, sales and events only move along the edges of their state machines, and end in a combination that belongs together.
//!
//! Observed: replies during the run (one that was sent after another was answered must not show an earlier state), every stop, and
//! the final reads through each api process. Those come after the snapshot, so they may be ahead of the row where something was
//! on its way, and never behind it. An unpaid order does not stand for ever: long after its time it is stuck. A process that gave no definite answer shows nothing and is not counted.

use std::time::Duration;

use super::case::{Case, Dealings, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::OrderNumber;
use super::story;
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, OpId, Outcome};
use crate::snapshot::{FinalRead, LedgerRow, OrderRow, Rest};

pub(crate) const CLAIM: Claim = Claim {
    name: "legal_transitions",
    sentence: "Orders, sales and events move only along their state machines, and every reader sees them do so.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

/// No order has the id.
const NONE: &str = "none";
/// What the reply to a cancel shows: an order that was cancelled, or a tombstone for an id that no order had.
const GONE: &str = "CANCELLED or FENCED";

/// How late an expiry may be. The worker looks every second; the rest allows for its backlog.
const EXPIRY_LATE: Duration = Duration::from_secs(20);

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut examined = 0;
    let mut report = |name: &str, what: String| violations.add(|| story::of_order(case, name, format!("order {name}: {what}")));
    let stops: Vec<StopView<'_>> = case.stops().collect();
    for order in case.index.orders() {
        let name = case.index.name(order);
        let seen = observations(case.dealings(order));
        examined += seen.len();
        if let Some(what) = backwards(&seen) {
            report(name, what);
        }
        for view in &stops {
            examined += view.orders(order).count();
            let findings = [wrong_combination(*view, order), behind_replies(*view, order, &seen), overdue(case, *view, order)];
            for what in findings.into_iter().flatten() {
                report(name, format!("{what} {}", view.name()));
            }
        }
        for pair in stops.windows(2) {
            if let Some(what) = illegal_step(pair[0], pair[1], order) {
                report(name, what);
            }
        }
    }
    for view in &stops {
        for read in view.stop.snapshot.reads.iter().filter(|read| says_something(read)) {
            examined += 1;
            if let Some(what) = disagrees(case, *view, read) {
                report(&read.order_id, format!("{what} {}", view.name()));
            }
        }
        let unknown_events = view.stop.snapshot.outbox.iter().filter(|row| !matches!(row.status.as_str(), "NEW" | "DONE" | "DEAD"));
        unknown_events.for_each(|row| report(&row.order_id, format!("outbox row {} is in {:?}", row.id, row.status)));
    }
    Examination::new(format!("{examined} states seen by clients, in rows and in final reads"), violations.verdict(examined))
}

/// Whether an order in state `from` can come to be in state `to`.
fn leads_to(from: &str, to: &str) -> bool {
    from == to
        || match from {
            NONE => true,
            "CREATED" => matches!(to, "PAID" | "REFUNDED" | "CANCELLED" | "EXPIRED"),
            "PAID" => to == "REFUNDED",
            _ => false,
        }
}

/// The same for states that replies show: the contract leaves open whether a tombstone is told as an order.
fn reply_leads_to(from: &str, to: &str) -> bool {
    match (from, to) {
        (GONE, _) => matches!(to, GONE | "CANCELLED" | "FENCED" | NONE),
        ("FENCED", _) => matches!(to, GONE | "FENCED" | NONE),
        (_, GONE) => leads_to(from, "CANCELLED"),
        _ => leads_to(from, to),
    }
}

/// A state that a reply showed.
#[derive(Debug, Clone, Copy)]
struct Seen<'c> {
    op: OpId,
    state: &'c str,
    sent: Offset,
    answered: Offset,
}

fn observations(dealings: Dealings<'_>) -> Vec<Seen<'_>> {
    dealings.iter().filter_map(seen).collect()
}

fn seen(op: &Operation) -> Option<Seen<'_>> {
    let state = match op.outcome {
        Outcome::Ok => match (op.function, op.status.as_deref()?) {
            (Function::CancelOrder, "CANCELLED" | "FENCED") => GONE,
            (_, state) => state,
        },
        Outcome::Fail(FailCode::UnknownOrder) if op.function != Function::CreateOrder => NONE,
        _ => return None,
    };
    Some(Seen { op: op.id, state, sent: op.sent, answered: op.answered? })
}

/// Two replies that did not overlap, the later of which shows a state that the earlier does not lead to.
fn backwards(seen: &[Seen<'_>]) -> Option<String> {
    let mut by_answer = seen.to_vec();
    by_answer.sort_by_key(|seen| seen.answered);
    let mut earlier = by_answer.iter().peekable();
    // One reply for each different state is enough: there are seven.
    let mut before: Vec<&Seen<'_>> = Vec::new();
    for later in seen {
        while let Some(done) = earlier.next_if(|done| done.answered < later.sent) {
            if before.iter().all(|kept| kept.state != done.state) {
                before.push(done);
            }
        }
        if let Some(first) = before.iter().find(|first| !reply_leads_to(first.state, later.state)) {
            return Some(format!(
                "operation {} saw {}, and later operation {} saw {}",
                first.op.0, first.state, later.op.0, later.state
            ));
        }
    }
    None
}

/// A reply before the stop that showed a state from which the row's cannot be reached.
fn behind_replies(view: StopView<'_>, order: OrderNumber, seen: &[Seen<'_>]) -> Option<String> {
    let state = view.order(order).map_or(NONE, |row| row.status.as_str());
    let read_at = view.stop.quiescence.ended;
    let told = seen.iter().filter(|seen| seen.answered <= read_at).find(|seen| !reply_leads_to(seen.state, state))?;
    Some(format!("operation {} saw {}, the ledger has {state}", told.op.0, told.state))
}

/// Rows of one order that do not belong together.
fn wrong_combination(view: StopView<'_>, order: OrderNumber) -> Option<String> {
    let row = view.order(order)?;
    let at_rest = matches!(view.stop.quiescence.rest, Rest::Quiesced | Rest::Stuck);
    if !matches!(row.status.as_str(), "CREATED" | "PAID" | "REFUNDED" | "CANCELLED" | "EXPIRED" | "FENCED") {
        return Some(format!("it is in {:?}, which is no state", row.status));
    }
    let mut sales = view.sales(order).filter(|sale| !belongs(row, sale, returns(view, order, sale), at_rest));
    if let Some(sale) = sales.next() {
        let returns = returns(view, order, sale);
        return Some(format!("order {}, sale of item {} in {}, {returns} returns", row.status, sale.item, sale.transaction_type));
    }
    let unsold = row.status != "FENCED" && view.sales(order).next().is_none();
    unsold.then(|| format!("order {} without any sale", row.status))
}

/// An acknowledged order that stands unpaid although its time was over long before the stores were read, by the clock of the run.
fn overdue(case: &Case<'_>, view: StopView<'_>, order: OrderNumber) -> Option<String> {
    view.order(order).filter(|row| row.status == "CREATED")?;
    let answered = case.dealings(order).accepted()?.answered?;
    let lived = view.stop.quiescence.ended.since(answered);
    let late = lived.checked_sub(Duration::from_millis(case.evidence.scenario().promises.order_ttl_ms))?;
    (late > EXPIRY_LATE).then(|| format!("it is CREATED {} ms after it was to expire", late.as_millis()))
}

fn returns(view: StopView<'_>, order: OrderNumber, sale: &LedgerRow) -> usize {
    view.ledger(order).filter(|row| row.kind == "RETURN" && row.item == sale.item).count()
}

/// The combinations of `docs/protocol.md` 4.3; a sale in LOCK is on its way, so it belongs to a live order unless the workers are
/// done.
fn belongs(row: &OrderRow, sale: &LedgerRow, returns: usize, at_rest: bool) -> bool {
    match (row.status.as_str(), sale.transaction_type.as_str()) {
        ("CREATED" | "PAID", "OUT") => returns == 0,
        ("CREATED" | "PAID", "LOCK") => returns == 0 && !at_rest,
        ("CANCELLED" | "EXPIRED" | "REFUNDED", "UNLOCK") => returns == 0,
        ("CANCELLED" | "EXPIRED" | "REFUNDED", "OUT") => returns == 1,
        _ => false,
    }
}

fn illegal_step(earlier: StopView<'_>, later: StopView<'_>, order: OrderNumber) -> Option<String> {
    let state = |view: StopView<'_>| view.order(order).map_or(NONE.to_owned(), |row| row.status.clone());
    let (from, to) = (state(earlier), state(later));
    if !leads_to(&from, &to) {
        return Some(format!("it was {from} {}, and is {to} {}", earlier.name(), later.name()));
    }
    let sale_leads_to = |from: &str, to: &str| from == to || (from == "LOCK" && matches!(to, "OUT" | "UNLOCK"));
    earlier.sales(order).find_map(|sale| {
        let now = later.sales(order).find(|row| row.item == sale.item).map_or(NONE, |row| row.transaction_type.as_str());
        let (was, item) = (sale.transaction_type.as_str(), sale.item);
        (!sale_leads_to(was, now))
            .then(|| format!("its sale of item {item} was {was} {}, and is {now} {}", earlier.name(), later.name()))
    })
}

/// Whether a final read says in which state the order is.
const fn says_something(read: &FinalRead) -> bool {
    matches!(read.http, 200 | 404)
}

/// Whether an order in state `row` when its row was read can show `read` a little later: it moves on only if somebody asked for
/// that or, for an expiry, on its own.
fn may_move_on(case: &Case<'_>, order: Option<OrderNumber>, row: &str, read: &str) -> bool {
    let cut_off = case.evidence.history.tail.is_none();
    let asked_for = |function: Function| cut_off || order.is_some_and(|order| case.dealings(order).possibly(function).is_some());
    let created = row != NONE || asked_for(Function::CreateOrder);
    let moved = match read {
        "CREATED" | "EXPIRED" => true,
        "PAID" => asked_for(Function::PayOrder),
        "REFUNDED" => asked_for(Function::RefundOrder),
        "CANCELLED" => asked_for(Function::CancelOrder),
        _ => false,
    };
    leads_to(row, read) && created && moved
}

/// A final read that neither shows the row nor what can have become of it since.
fn disagrees(case: &Case<'_>, view: StopView<'_>, read: &FinalRead) -> Option<String> {
    let order = case.index.find(&read.order_id);
    let row = order.and_then(|order| view.order(order));
    let state = row.map_or(NONE, |row| row.status.as_str());
    let agrees = match read.http {
        404 => state == NONE || state == "FENCED",
        _ => read.status == state || may_move_on(case, order, state, &read.status),
    };
    (!agrees).then(|| format!("api-{} answers {} {}, the ledger has {state}", read.instance + 1, read.http, read.status))
}
