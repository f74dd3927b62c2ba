//! Nothing is in the stores that nobody asked for: every row, lock, record and key belongs to an invoked operation with those items,
//! or to the opening of the sale. An order that is paid belongs to a payment that was acknowledged or is in doubt, one that is refunded to
//! a refund.

use super::asked::Asked;
use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::story;
use super::verdict::Violation;
use crate::history::record::Function;
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "nothing_unasked",
    sentence: "Every row, lock, record and key in the stores belongs to something that was asked for.",
    required: true,
    needs: &[Part::History],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let asked = Asked::new(case);
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.stops() {
        let mut report = |item: Option<ItemId>, order: &str, what: String| {
            violations.add(|| Violation { item, ..story::of_order(case, order, format!("{what} {}", view.name())) });
        };
        examined += judge_ledger(&asked, view, &mut report) + judge_redis(&asked, view, &mut report);
    }
    Examination::new(format!("{examined} rows, locks, records and keys"), violations.verdict(examined))
}

type Report<'r> = dyn FnMut(Option<ItemId>, &str, String) + 'r;

fn judge_ledger(asked: &Asked<'_>, view: StopView<'_>, report: &mut Report<'_>) -> usize {
    let snapshot = &view.stop.snapshot;
    for row in snapshot.orders.iter().filter(|row| !asked.has_order(row)) {
        let (id, user) = (&row.order_id, row.user_id);
        report(None, id, format!("order {id} of user {user} is {}, and nobody asked for it", row.status));
    }
    for (status, function, what) in [("PAID", Function::PayOrder, "payment"), ("REFUNDED", Function::RefundOrder, "refund")] {
        for row in snapshot.orders.iter().filter(|row| row.status == status && !asked.has_been(function, row, view)) {
            let id = &row.order_id;
            report(None, id, format!("order {id} is {status}, and no {what} of it was acknowledged or is in doubt"));
        }
    }
    for row in snapshot.ledger.iter().filter(|row| !asked.has_ledger(row)) {
        let (id, units, item) = (&row.order_id, row.quantity, row.item);
        report(
            Some(item),
            id,
            format!("ledger row {} of {id}: {} of {units} units of item {item}, which nobody asked for", row.id, row.kind),
        );
    }
    for row in snapshot.outbox.iter().filter(|row| !asked.has_event(row)) {
        let (id, units, item) = (&row.order_id, row.quantity, row.item);
        report(
            Some(item),
            id,
            format!(
                "outbox row {}: {} {} of {units} units of item {item}, which nobody asked for",
                row.id, row.event_type, row.event_id
            ),
        );
    }
    for row in snapshot.quotas.iter().filter(|row| row.quantity > 0 && !asked.has_user(row.user_id, row.item)) {
        report(
            Some(row.item),
            "",
            format!("user {} holds a quota of {} units of item {}, and never asked", row.user_id, row.quantity, row.item),
        );
    }
    snapshot.orders.len() + snapshot.ledger.len() + snapshot.outbox.len() + snapshot.quotas.len()
}

fn judge_redis(asked: &Asked<'_>, view: StopView<'_>, report: &mut Report<'_>) -> usize {
    let mut examined = view.stop.snapshot.stray_keys.len();
    for key in &view.stop.snapshot.stray_keys {
        report(None, "", format!("redis key {key} belongs to nothing"));
    }
    for (item, redis) in &view.stop.snapshot.redis {
        examined += redis.locks.len() + redis.records.len() + redis.markers.len();
        for lock in &redis.locks {
            let fits = lock.parts().is_some_and(|(order, _, units)| asked.has(order, *item, units.cast_signed()));
            if !fits {
                let order = lock.member.split('|').next().unwrap_or_default();
                report(Some(*item), order, format!("lock {} of item {item} belongs to nothing that was asked for", lock.member));
            }
        }
        for (order, record) in &redis.records {
            let units = record.split_once('|').and_then(|(_, units)| units.parse().ok());
            if !units.is_some_and(|units| asked.has(order, *item, units)) {
                report(
                    Some(*item),
                    order,
                    format!("deduct record {record} of order {order} and item {item} belongs to nothing that was asked for"),
                );
            }
        }
        for event in redis.markers.keys().filter(|event| !asked.has_marker(event)) {
            report(Some(*item), "", format!("marker of event {event} of item {item} belongs to nothing that was asked for"));
        }
    }
    examined
}
