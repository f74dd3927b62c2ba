//! The timeline of an order: what its clients saw, what both stores hold of it, and what was broken near it.
//!
//! In: a [`Case`] and an order id. Out: [`Story`] lines, dated ones first and in order of time. Only called for violations that are
//! kept, so that it may look at every fault and process step.

use super::case::{Case, StopView};
use super::suspects::suspect;
use super::verdict::{Story, Violation};
use super::words::outcome;
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{ItemQuantity, OpId, ProcStep, Witness};
use crate::scenario::ItemId;

/// Operations of one order that a story tells; an order with more is repeated by a machine, and the rest says nothing new.
const OPERATIONS_TOLD: usize = 12;
/// Orders of a held frame that a line names.
const ORDERS_TOLD: usize = 5;
/// Fault and process steps this near to an order are part of its story.
const NEAR: std::time::Duration = std::time::Duration::from_secs(1);

/// A violation about one order: names it, its operations, and tells its story.
pub(crate) fn of_order(case: &Case<'_>, order_id: &str, what: String) -> Violation {
    let operations = operations_of(case, order_id);
    Violation {
        what,
        orders: vec![order_id.to_owned()],
        operations: operations.iter().map(|op| op.id).collect(),
        at: operations.iter().filter_map(|op| op.answered).min(),
        story: timeline(case, order_id, &operations),
        ..Violation::default()
    }
}

/// A violation about one item: tells what each trusted stop holds of it, and the story of the order that shows best how that came.
pub(crate) fn of_item(case: &Case<'_>, item: ItemId, units: i64, what: String) -> Violation {
    let lines = case.stops().flat_map(|view| item_lines(view, item));
    let Some((order, contradiction)) = suspect(case, item) else {
        return Violation { what, item: Some(item), units: Some(units), story: lines.collect(), ..Violation::default() };
    };
    let told = of_order(case, order, format!("{what}; {contradiction}"));
    let story = told.story.into_iter().chain(lines).collect();
    // The order is an example: what is wrong was not first seen when it was answered.
    Violation { item: Some(item), units: Some(units), at: None, story, ..told }
}

/// A violation about one operation: named, dated, with the story of its order.
pub(crate) fn of_operation(case: &Case<'_>, id: OpId, what: String) -> Violation {
    let Some(op) = case.operation(id) else { return Violation { what, operations: vec![id], ..Violation::default() } };
    let told = of_order(case, &op.order, what);
    Violation { operations: vec![id], at: op.answered.or(Some(op.sent)), ..told }
}

/// A violation about a stretch of time: dated at its end, with what was broken in it.
pub(crate) fn of_time(case: &Case<'_>, from: Option<Offset>, to: Offset, what: String) -> Violation {
    let mut story = nearby(case, from.unwrap_or(to), to);
    story.sort_by_key(|line| line.at);
    Violation { what, at: Some(to), story, ..Violation::default() }
}

fn operations_of<'c>(case: &'c Case<'_>, order_id: &str) -> Vec<&'c Operation> {
    let number = case.index.find(order_id);
    number.map(|number| case.dealings(number).iter().take(OPERATIONS_TOLD).collect()).unwrap_or_default()
}

fn timeline(case: &Case<'_>, order_id: &str, operations: &[&Operation]) -> Vec<Story> {
    let mut lines: Vec<Story> = operations.iter().flat_map(|op| client_lines(op)).collect();
    let first = operations.iter().map(|op| op.sent).min();
    let last = operations.iter().map(|op| op.answered.unwrap_or(op.sent)).max();
    if let (Some(first), Some(last)) = (first, last) {
        lines.extend(nearby(case, first, last));
    }
    lines.sort_by_key(|line| line.at);
    for view in case.stops() {
        lines.extend(mysql_lines(case, view, order_id));
        lines.extend(redis_lines(view, order_id));
    }
    lines
}

fn line(at: Option<Offset>, lane: &str, what: String) -> Story {
    Story { at, lane: lane.to_owned(), what }
}

fn client_lines(op: &Operation) -> Vec<Story> {
    let asked =
        format!("{} {}{} sent to api-{} (operation {})", op.function.name(), op.order, list(&op.items), op.instance + 1, op.id.0);
    let mut lines = vec![line(Some(op.sent), "client", asked)];
    if let Some(answered) = op.answered {
        let witness: String = op.witness.iter().map(witnessed).collect();
        let told = format!("{} {}: {}{witness}", op.function.name(), op.order, outcome(op.outcome));
        lines.push(line(Some(answered), "client", told));
    }
    lines
}

fn list(items: &[ItemQuantity]) -> String {
    items.iter().map(|item| format!(" {} x {}", item.qty, item.item)).collect()
}

/// `, token 3:17 left 1281`; the units that are left stand in the reply of the attempt that took them only.
fn witnessed(told: &Witness) -> String {
    let left = told.stock_after.map(|left| format!(" left {left}")).unwrap_or_default();
    if told.token.is_empty() { left } else { format!(", token {}{left}", told.token) }
}

/// Faults, kill points and ends of processes within a second of a stretch of time.
fn nearby(case: &Case<'_>, first: Offset, last: Offset) -> Vec<Story> {
    let near = |at: Offset| at.plus(NEAR) >= first && at <= last.plus(NEAR);
    let history = &case.evidence.history;
    let faults = history.faults.iter().filter(|mark| near(mark.at)).map(|mark| {
        let fault = &mark.what;
        let proof = if fault.proof.is_empty() { String::new() } else { format!(", {}", fault.proof) };
        line(Some(mark.at), "fault", format!("{} on {}: {}{proof}", fault.kind, fault.target, fault.step.name()))
    });
    let points = history.points.iter().filter(|mark| near(mark.at)).map(|mark| {
        let point = &mark.what;
        let orders = point.orders.iter().take(ORDERS_TOLD).map(String::as_str).collect::<Vec<_>>().join(" ");
        let what = format!("{} of {} pid {}: {}, holding {orders}", point.name, point.role, point.pid, point.action.name());
        line(Some(mark.at), "fault", what)
    });
    let ends = |step: ProcStep| matches!(step, ProcStep::Signalled | ProcStep::Exited);
    let processes = history.processes.iter().filter(|mark| ends(mark.what.step) && near(mark.at)).map(|mark| {
        let process = &mark.what;
        let lane = if process.role.starts_with("worker") { "workers" } else { "process" };
        line(Some(mark.at), lane, format!("{} pid {}: {} {}", process.role, process.pid, process.step.name(), process.detail))
    });
    faults.chain(points).chain(processes).collect()
}

fn mysql_lines(case: &Case<'_>, view: StopView<'_>, order_id: &str) -> Vec<Story> {
    let say = |what: String| line(None, "mysql", format!("{}: {what}", view.name()));
    let Some(number) = case.index.find(order_id) else { return vec![say("no row".to_owned())] };
    let mut lines: Vec<Story> =
        view.orders(number).map(|row| say(format!("order {} of user {}", row.status, row.user_id))).collect();
    if lines.is_empty() {
        lines.push(say("no order row".to_owned()));
    }
    lines.extend(view.ledger(number).take(OPERATIONS_TOLD).map(|row| {
        let (kind, state) = (&row.kind, &row.transaction_type);
        say(format!(
            "ledger row {}: {kind} {state}, {} x {}, epoch {}, token {}",
            row.id, row.quantity, row.item, row.epoch, row.token
        ))
    }));
    lines.extend(view.outbox(number).take(OPERATIONS_TOLD).map(|row| {
        say(format!(
            "outbox row {}: {} {} {}, {} attempts {}",
            row.id, row.event_type, row.event_id, row.status, row.attempts, row.last_error
        ))
    }));
    lines
}

fn redis_lines(view: StopView<'_>, order_id: &str) -> Vec<Story> {
    let mut lines = Vec::new();
    for (item, redis) in &view.stop.snapshot.redis {
        let own = redis.locks.iter().filter(|lock| lock.member.split('|').next() == Some(order_id));
        lines.extend(own.map(|lock| line(None, "redis", format!("{}: lock {} of item {item}", view.name(), lock.member))));
        let record = redis.records.get(order_id);
        lines.extend(record.map(|record| line(None, "redis", format!("{}: deduct record {record} of item {item}", view.name()))));
    }
    lines
}

fn item_lines(view: StopView<'_>, item: ItemId) -> Vec<Story> {
    let Some(rows) = view.items().get(&item) else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(row) = rows.inventory {
        let what = format!("{}: current_stock {}, locked_stock {}", view.name(), row.current_stock, row.locked_stock);
        lines.push(line(None, "mysql", what));
    }
    lines.extend(rows.epochs.iter().map(|row| {
        line(
            None,
            "mysql",
            format!("{}: shard {} in epoch {}, mode {}, base {}", view.name(), row.shard, row.epoch, row.mode, row.base),
        )
    }));
    if let Some(redis) = rows.redis {
        let (stock, locks) = (redis.stock.as_deref().unwrap_or("missing"), redis.locks.len());
        let meta: Vec<String> = redis.meta.iter().map(|(field, value)| format!("{field} {value}")).collect();
        let meta = if meta.is_empty() { "missing".to_owned() } else { meta.join(", ") };
        lines.push(line(None, "redis", format!("{}: stock {stock}, meta: {meta}; {locks} locks", view.name())));
    }
    lines
}
