//! At rest no lock is left in Redis and no sale is left in LOCK: every reservation became a sale or was given back.

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::story;
use super::verdict::Violation;
use crate::scenario::ItemId;
use crate::snapshot::{LockState, OrderRow};

pub(crate) const CLAIM: Claim = Claim {
    name: "every_lock_resolved",
    sentence: "At rest no lock is left in Redis and no sale is left in LOCK.",
    required: true,
    needs: &[],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let (mut items, mut sales) = (0, 0);
    for view in case.rested() {
        for (item, redis) in &view.stop.snapshot.redis {
            items += 1;
            for lock in &redis.locks {
                violations.add(|| unresolved(case, view, *item, lock));
            }
        }
        for row in view.stop.snapshot.ledger.iter().filter(|row| row.kind == "SALE") {
            sales += 1;
            if row.transaction_type == "LOCK" {
                let (id, units, item) = (&row.order_id, row.quantity, row.item);
                let what =
                    || format!("order {id}: ledger row {} still has {units} units of item {item} in LOCK {}", row.id, view.name());
                violations.add(|| Violation { item: Some(item), ..story::of_order(case, id, what()) });
            }
        }
    }
    Examination::new(format!("the lock sets of {items} items and {sales} sales"), violations.verdict(items + sales))
}

fn unresolved(case: &Case<'_>, view: StopView<'_>, item: ItemId, lock: &LockState) -> Violation {
    let order_id = lock.member.split('|').next().unwrap_or_default();
    let age = age_ms(case, view, lock).map_or(String::new(), |age| format!(", {age} ms old"));
    let state = half_state(case, view, item, order_id);
    let what = format!("item {item}: lock {} of order {order_id} is unresolved{age}: {state} {}", lock.member, view.name());
    let units = lock.parts().map(|(_, _, units)| -units.cast_signed());
    Violation { item: Some(item), units, ..story::of_order(case, order_id, what) }
}

fn age_ms(case: &Case<'_>, view: StopView<'_>, lock: &LockState) -> Option<i64> {
    let wall = case.evidence.history.head.as_ref()?.wall_start_ms.cast_signed();
    let taken_ms = (view.stop.snapshot.taken_at.nanos() / 1_000_000).cast_signed();
    Some(wall + taken_ms - lock.since_ms).filter(|age| *age >= 0)
}

/// The name of what a crash left behind (`docs/verification.md` 8).
fn half_state(case: &Case<'_>, view: StopView<'_>, item: ItemId, order_id: &str) -> &'static str {
    const NO_ORDER: &str = "its units are taken and no order has them (pre_deducted_no_order)";
    let Some(order) = case.index.find(order_id) else { return NO_ORDER };
    let sale = view.sales(order).find(|row| row.item == item);
    match (view.order(order).is_some_and(OrderRow::is_live), sale.map(|row| row.transaction_type.as_str())) {
        (false, None) => NO_ORDER,
        (true, None) => "its order stands without a sale (ordered_no_event)",
        (_, Some("LOCK")) => "its sale was never deducted (event_not_deducted)",
        (_, Some("OUT")) => "it is sold and deducted, and was never confirmed (deducted_not_confirmed)",
        (_, Some(_)) => "its sale was undone, and it was never confirmed (undone_not_confirmed)",
    }
}
