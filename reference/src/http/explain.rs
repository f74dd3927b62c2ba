//! What the operator's tools found, as JSON that explains each row.

use serde_json::{Value, json};

use crate::alerts::Alert;
use crate::domain::{Member, OrderId};
use crate::flow::{AuditReport, LockFate, Repaired, Resolution};
use crate::ledger::{Audited, Comparison, DeadMessage, Increase, LedgerCheck};

/// Rows told at most; the sums are of all.
const ROWS_MAX: usize = 1_000;

pub(super) fn audit(report: &AuditReport) -> Value {
    let (comparison, why) = match &report.audited {
        Audited::Compared(found) => (comparison(found), None),
        Audited::NotComparable { why, .. } => (Value::Null, Some(why.clone())),
        Audited::NoPart { state } => (Value::Null, Some(format!("Redis has no part in mode {}", state.mode.name()))),
        Audited::UnknownItem => (Value::Null, Some("no such item".to_owned())),
    };
    json!({
        "item": report.item.to_string(),
        "result": report.word(),
        "not_compared_because": why,
        "redis_and_ledger": comparison,
        "ledger": report.ledger.as_ref().map(ledger),
        "installed": report.installed,
    })
}

fn comparison(found: &Comparison) -> Value {
    let lock = |member: &Member, owned: bool| {
        let means = if owned {
            "the ledger has its sale: the lock only waits to be confirmed"
        } else {
            "no sale yet: Redis holds these units until an order is committed or the resolver gives them back"
        };
        row("lock", &member.to_string(), i64::from(member.quantity.get()), means)
    };
    let increase = |increase: &Increase| {
        let means =
            if increase.applied { "in Redis; its message is not yet done" } else { "committed in MySQL, on its way to Redis" };
        row("increase", &increase.event_id, increase.units, means)
    };
    let unowned = found.unowned.iter().map(|member| lock(member, false));
    let owned = found.owned.iter().map(|member| lock(member, true));
    let rows: Vec<Value> = unowned.chain(found.increases.iter().map(increase)).chain(owned).take(ROWS_MAX).collect();
    let all = found.unowned.len() + found.owned.len() + found.increases.len();
    json!({
        "epoch": found.state.epoch.0,
        "mode": found.state.mode.name(),
        "stock_in_redis": found.stock,
        "held_by_locks_without_sale": found.held(),
        "increases_on_their_way": found.on_their_way(),
        "available_in_ledger": found.available,
        "drift": found.drift(),
        "foreign_locks": found.foreign,
        "findings": found.findings.iter().map(|finding| finding.name()).collect::<Vec<_>>(),
        "opened_epoch": found.opened.map(|state| state.epoch.0),
        "rows": rows,
        "rows_left_out": all.saturating_sub(ROWS_MAX),
    })
}

fn row(kind: &str, id: &str, units: i64, means: &str) -> Value {
    json!({ "kind": kind, "id": id, "units": units, "means": means })
}

fn ledger(check: &LedgerCheck) -> Value {
    json!({
        "current_stock": check.current,
        "locked_stock": check.locked,
        "sum_of_rows": check.booked,
        "open_orders": check.open,
        "difference": check.difference(),
        "sound": check.is_sound(),
    })
}

pub(super) fn repaired(repaired: &Repaired) -> Value {
    json!({
        "item": repaired.report.item.to_string(),
        "old_locks": repaired.old_locks,
        "counter_was_unready": repaired.unready,
        "audit": audit(&repaired.report),
    })
}

pub(super) fn resolution(order: &OrderId, resolution: &Resolution) -> Value {
    let fate = |fate| match fate {
        LockFate::Confirm => ("confirm", "the ledger owns its units: the lock goes, the counter stays"),
        LockFate::RollBack => ("roll_back", "the order's row does not carry its token and never will: its units go back"),
        LockFate::FenceAndRollBack => {
            ("fence_and_roll_back", "no order has this id: a tombstone spends it, then its units go back")
        }
    };
    let locks = resolution.locks.iter().map(|lock| {
        let (fate, means) = fate(lock.fate);
        let (token, units) = (lock.member.token.to_string(), lock.member.quantity.get());
        json!({ "item": lock.item.to_string(), "token": token, "units": units, "fate": fate, "means": means })
    });
    json!({
        "order_id": order.to_string(),
        "status": resolution.stored.as_ref().map(|stored| stored.status.name()),
        "locks": locks.collect::<Vec<_>>(),
        "done": resolution.done,
    })
}

pub(super) fn dead(message: &DeadMessage) -> Value {
    let (store, product, sku) = message.item;
    json!({
        "row": message.id,
        "event_type": message.event_type,
        "order_id": message.order,
        "item": format!("{store}:{product}:{sku}"),
        "quantity": message.quantity,
        "attempts": message.attempts,
        "reason": message.why,
        "age_ms": message.age_ms,
    })
}

pub(super) fn alert(alert: &Alert) -> Value {
    json!({
        "name": alert.rule.name,
        "severity": alert.rule.severity.name(),
        "state": alert.state.name(),
        "value": alert.value,
        "above": alert.rule.above,
        "for_seconds": alert.rule.for_seconds,
        "summary": alert.rule.summary,
        "action": alert.rule.action,
    })
}
