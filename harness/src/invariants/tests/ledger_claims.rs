//! Claims about rows and keys.

use super::super::hand_written::{HandWritten, item, lock};
use super::*;
use crate::history::record::{FailCode, Outcome};
use crate::snapshot::{AuditFinding, LedgerRow, QuotaRow, Snapshot};

fn first(evidence: &mut Evidence) -> &mut Snapshot {
    &mut evidence.stops[0].snapshot
}

fn ledger_row<'s>(snapshot: &'s mut Snapshot, order: &str) -> &'s mut LedgerRow {
    snapshot.ledger.iter_mut().find(|row| row.order_id == order).unwrap()
}

#[test]
fn a_balance_that_is_not_the_sum_of_its_ledger_is_caught() {
    trips("ledger_balances", "item 1:1:1: current_stock is 1, the ledger sums to 0", |evidence| {
        first(evidence).inventory[0].current_stock = 1
    });
    trips("ledger_balances", "it has ledger rows and no balance", |evidence| {
        first(evidence).inventory.remove(0);
    });
    trips("ledger_balances", "locked_stock is 1, and nobody put units aside", |evidence| {
        first(evidence).inventory[1].locked_stock = 1
    });
    trips("ledger_balances", "locked_stock is 1 with a current_stock of 0", |evidence| {
        first(evidence).inventory[0].locked_stock = 1
    });
}

#[test]
fn open_sales_beyond_the_balance_are_caught() {
    trips("ledger_balances", "open sales hold 3 units, 2 are there", |evidence| {
        let snapshot = first(evidence);
        let row = ledger_row(snapshot, "o-2");
        (row.transaction_type, row.quantity) = ("LOCK".into(), 3);
        snapshot.inventory[0].current_stock = 2;
    });
}

#[test]
fn every_way_in_which_redis_differs_from_the_ledger_is_caught() {
    let claim = "redis_equals_ledger";
    trips(claim, "the stock key is missing, the ledger has 1 units", |evidence| {
        first(evidence).redis.get_mut(&item(2)).unwrap().stock = None;
    });
    trips(claim, "which is no number", |evidence| first(evidence).redis.get_mut(&item(2)).unwrap().stock = Some("x".into()));
    trips(claim, "its copy in meta Some(7)", |evidence| {
        first(evidence).redis.get_mut(&item(2)).unwrap().meta.insert("avail".into(), "7".into());
    });
    trips(claim, "Redis is in epoch Some(4), the ledger in 1", |evidence| {
        first(evidence).redis.get_mut(&item(2)).unwrap().meta.insert("epoch".into(), "4".into());
    });
    trips(claim, "shard 1 is in epoch 3, another in 7", |evidence| {
        let snapshot = first(evidence);
        let row = snapshot.epochs[1].clone();
        snapshot.epochs.push(crate::snapshot::EpochRow { shard: 1, epoch: 3, ..row.clone() });
        snapshot.epochs[1].epoch = 7;
    });
    trips(claim, "item 1:1:1: it has a balance and no epoch", |evidence| {
        first(evidence).epochs.remove(0);
    });
    trips(claim, "1 too few", |evidence| first(evidence).redis.get_mut(&item(2)).unwrap().stock = Some("0".into()));
}

#[test]
fn a_counter_that_no_traffic_touched_may_be_missing_and_other_modes_are_not_judged() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    *run.stores.redis.get_mut(&item(1)).unwrap() = Default::default();
    let evidence = run.stop("load").finish();
    assert!(judged(&evidence, "redis_equals_ledger").verdict.is_held());
    let mut evidence = clean_run();
    for stop in &mut evidence.stops {
        stop.snapshot.epochs.iter_mut().for_each(|row| row.mode = "DB".into());
    }
    assert!(matches!(judged(&evidence, "redis_equals_ledger").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn an_unresolved_lock_tells_its_half_state() {
    let leave = |member: &'static str, change: fn(&mut Snapshot)| {
        move |evidence: &mut Evidence| {
            first(evidence).redis.get_mut(&item(1)).unwrap().locks.push(lock(member));
            change(first(evidence));
        }
    };
    trips("every_lock_resolved", "pre_deducted_no_order", leave("o-3|1:3|1", |_| {}));
    trips("every_lock_resolved", "deducted_not_confirmed", leave("o-2|1:2|2", |_| {}));
    trips(
        "every_lock_resolved",
        "event_not_deducted",
        leave("o-2|1:2|2", |rows| ledger_row(rows, "o-2").transaction_type = "LOCK".into()),
    );
    trips("every_lock_resolved", "ordered_no_event", leave("o-2|1:2|2", |rows| rows.ledger.retain(|row| row.order_id != "o-2")));
}

#[test]
fn a_difference_names_the_order_that_shows_how_it_came() {
    let mut evidence = clean_run();
    let snapshot = first(&mut evidence);
    snapshot.redis.get_mut(&item(1)).unwrap().stock = Some("-1".into());
    trips_on(&evidence, "redis_equals_ledger", "1 too few after the load");
    first(&mut evidence).redis.get_mut(&item(1)).unwrap().records.insert("o-1".into(), "1:9|1".into());
    let named = "order o-1 took 1 of its units twice: its sale has token 1:1, its record in Redis token 1:9";
    trips_on(&evidence, "redis_equals_ledger", named);
    let finding = judged(&evidence, "redis_equals_ledger");
    let story = &finding.verdict.violations()[0].story;
    assert!(story.iter().any(|line| line.lane == "client" && line.what.contains("o-1")), "{story:#?}");
}

#[test]
fn what_an_audit_of_the_service_found_convicts_it_once() {
    let found = |drift| AuditFinding {
        item: item(1),
        epoch: 1,
        findings: "drift".into(),
        drift,
        details: "stock 3, available 1".into(),
        created_at_ms: 1_200,
    };
    let mut evidence = clean_run();
    for stop in &mut evidence.stops {
        stop.snapshot.audit_findings = Some(vec![found(2), found(-1)]);
    }
    trips_on(&evidence, "audits_find_nothing", "item 1:1:1: an audit in epoch 1 found drift: Redis promised 2 units too many");
    trips_on(&evidence, "audits_find_nothing", "Redis kept 1 units back");
    let finding = judged(&evidence, "audits_find_nothing");
    assert!(matches!(finding.verdict, Verdict::Violated { count, .. } if count.get() == 2), "{finding:#?}");
    for stop in &mut evidence.stops {
        stop.snapshot.audit_findings = None;
    }
    assert!(matches!(judged(&evidence, "audits_find_nothing").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn a_sale_left_in_lock_is_unresolved() {
    trips("every_lock_resolved", "order o-2: ledger row 4 still has 2 units of item 1:1:1 in LOCK", |evidence| {
        ledger_row(first(evidence), "o-2").transaction_type = "LOCK".into();
    });
}

#[test]
fn events_that_are_dead_or_missing_are_caught() {
    trips("outbox_drained", "is DEAD after 10 attempts refused", |evidence| {
        let row = &mut first(evidence).outbox[0];
        (row.status, row.attempts, row.last_error) = ("DEAD".into(), 10, "refused".into());
    });
    trips("outbox_drained", "order o-2: its OUT of item 1:1:1 has no DEDUCT_STOCK_DB event", |evidence| {
        first(evidence).outbox.retain(|row| row.order_id != "o-2");
    });
    trips("outbox_drained", "order o-5: its OUT of item 1:1:2 has no APPLY_DELTA event", |evidence| {
        first(evidence).outbox.retain(|row| row.event_type != "APPLY_DELTA");
    });
}

#[test]
fn a_sale_that_mysql_admitted_needs_no_event() {
    let mut evidence = clean_run();
    for stop in &mut evidence.stops {
        ledger_row(&mut stop.snapshot, "o-2").token.clear();
        stop.snapshot.outbox.retain(|row| row.order_id != "o-2");
    }
    assert!(judged(&evidence, "outbox_drained").verdict.is_held());
}

#[test]
fn a_sale_of_an_epoch_that_has_ended_may_be_one_of_mode_strict_and_needs_no_event() {
    let mut evidence = clean_run();
    for stop in &mut evidence.stops {
        stop.snapshot.epochs[0].epoch = 2;
        stop.snapshot.outbox.retain(|row| row.order_id != "o-2");
    }
    let verdict = judged(&evidence, "outbox_drained").verdict;
    assert!(verdict.is_held(), "{verdict:?}");
}

#[test]
fn tokens_and_epochs_that_show_two_counters_at_once_are_caught() {
    trips("one_epoch_commits", "orders o-1 and o-2 were both admitted by token 1:1", |evidence| {
        ledger_row(first(evidence), "o-2").token = "1:1".into()
    });
    trips("one_epoch_commits", "order o-2 was committed in epoch 1 with token 2:2", |evidence| {
        ledger_row(first(evidence), "o-2").token = "2:2".into();
    });
    trips("one_epoch_commits", "ledger row 4 of order o-2 is of epoch 1, after a row of epoch 2", |evidence| {
        let row = ledger_row(first(evidence), "o-1");
        (row.epoch, row.token) = (2, "2:1".into());
    });
}

#[test]
fn a_cart_that_misses_an_item_or_holds_another_is_not_whole() {
    let mut run = HandWritten::sale(&[(1, 5), (2, 5)]);
    run.accept("o-1", &[(1, 1), (2, 2)]).stop("load");
    let whole = run.finish();
    assert!(judged(&whole, "carts_are_whole").verdict.is_held());
    let mut half = whole.clone();
    half.stops[0].snapshot.ledger.retain(|row| row.order_id != "o-1" || row.item != item(2));
    trips_on(&half, "carts_are_whole", "2 units of item 1:1:2 were asked for, its sales hold []");
    let mut wrong = whole.clone();
    ledger_row(&mut wrong.stops[0].snapshot, "o-1").quantity = 9;
    trips_on(&wrong, "carts_are_whole", "1 units of item 1:1:1 were asked for, its sales hold [9]");
    trips("carts_are_whole", "which nobody asked for", |evidence| {
        let stray = LedgerRow { item: item(2), ..ledger_row(first(evidence), "o-1").clone() };
        first(evidence).ledger.push(stray);
    });
}

#[test]
fn an_order_in_doubt_that_was_asked_for_in_two_ways_stands_for_one_of_them() {
    let asked_twice = |standing| {
        let mut run = HandWritten::sale(&[(1, 9)]);
        let mut evidence = run.doubt("o-1", 1, 1).doubt_that_happened("o-1", 1, 2).stop("load").finish();
        ledger_row(first(&mut evidence), "o-1").quantity = standing;
        evidence
    };
    for standing in [1, 2] {
        assert!(judged(&asked_twice(standing), "carts_are_whole").verdict.is_held());
    }
    trips_on(&asked_twice(3), "carts_are_whole", "1 units of item 1:1:1 were asked for, its sales hold [3]");
}

#[test]
fn an_order_that_ended_and_kept_its_units_is_not_whole() {
    trips("carts_are_whole", "order o-5 is CANCELLED: it still holds 1 units of item 1:1:2 in OUT", |evidence| {
        first(evidence).ledger.retain(|row| row.kind != "RETURN");
    });
    trips("carts_are_whole", "in LOCK", |evidence| ledger_row(first(evidence), "o-5").transaction_type = "LOCK".into());
}

#[test]
fn everything_that_nobody_asked_for_is_named() {
    let claim = "nothing_unasked";
    trips(claim, "order ghost of user 7", |evidence| {
        let mut row = first(evidence).orders[0].clone();
        row.order_id = "ghost".into();
        first(evidence).orders.push(row);
    });
    trips(claim, "order o-1 of user 8", |evidence| first(evidence).orders[0].user_id = 8);
    trips(claim, "SALE of 5 units of item 1:1:1", |evidence| ledger_row(first(evidence), "o-1").quantity = 5);
    trips(claim, "ADJUST of 1 units", |evidence| ledger_row(first(evidence), "o-1").kind = "ADJUST".into());
    trips(claim, "ledger row 3 of rst.9: RESTOCK", |evidence| {
        let row = ledger_row(first(evidence), "o-1");
        (row.kind, row.order_id) = ("RESTOCK".into(), "rst.9".into());
    });
    trips(claim, "outbox row 1: DEDUCT_STOCK_DB o-1 of 9 units", |evidence| first(evidence).outbox[0].quantity = 9);
    trips(claim, "deduct record 1:9|1 of order ghost", |evidence| {
        first(evidence).redis.get_mut(&item(1)).unwrap().records.insert("ghost".into(), "1:9|1".into());
    });
    trips(claim, "marker of event C.ghost", |evidence| {
        first(evidence).redis.get_mut(&item(1)).unwrap().markers.insert("C.ghost".into(), "1".into());
    });
    trips(claim, "redis key inventory:odd belongs to nothing", |evidence| first(evidence).stray_keys.push("inventory:odd".into()));
    trips(claim, "user 99 holds a quota of 1 units", |evidence| {
        first(evidence).quotas.push(QuotaRow { item: item(1), user_id: 99, quantity: 1 });
    });
}

#[test]
fn orders_of_the_plan_count_as_asked_if_the_history_lost_its_end() {
    let planned = crate::scenario::plan::PlannedOrder::of_one(0, 1, 7);
    let mut evidence = clean_run();
    evidence.plan.orders = vec![planned.clone(), planned];
    evidence.history.operations.retain(|op| &*op.order != "o-1");
    assert!(judged(&evidence, "nothing_unasked").verdict.is_unknown(), "the tail shows that operations are missing");
    evidence.history.tail = None;
    assert!(judged(&evidence, "nothing_unasked").verdict.is_held());
    evidence.plan.orders[1].first.quantity = 2;
    trips_on(&evidence, "nothing_unasked", "SALE of 1 units of item 1:1:1");
}

#[test]
fn a_tombstone_and_a_record_of_a_refused_order_are_no_trace_but_anything_else_is() {
    let claim = "rejected_left_no_trace";
    let with_row = |status: &'static str| {
        move |evidence: &mut Evidence| {
            let mut row = first(evidence).orders[0].clone();
            (row.order_id, row.status) = ("o-3".into(), status.into());
            first(evidence).orders.push(row);
            first(evidence).redis.get_mut(&item(1)).unwrap().records.insert("o-3".into(), "1:9|1".into());
        }
    };
    let mut evidence = clean_run();
    with_row("FENCED")(&mut evidence);
    assert!(judged(&evidence, claim).verdict.is_held());
    trips(claim, "order o-3: every attempt was refused, yet the order is CREATED", with_row("CREATED"));
    trips(claim, "lock o-3|1:9|1 is still there", |evidence| {
        first(evidence).redis.get_mut(&item(1)).unwrap().locks.push(lock("o-3|1:9|1"));
    });
    trips(claim, "ledger row 4 holds 2 units", |evidence| ledger_row(first(evidence), "o-2").order_id = "o-3".into());
    trips(claim, "event DEDUCT_STOCK_DB o-1 is still NEW", |evidence| {
        let row = &mut first(evidence).outbox[0];
        (row.order_id, row.status) = ("o-3".into(), "NEW".into());
    });
}

#[test]
fn what_was_out_of_an_order_that_is_refused_as_cancelled_may_have_come_back() {
    let claim = "rejected_left_no_trace";
    let sold_and_returned = |why: FailCode| {
        let mut evidence = clean_run();
        for operation in evidence.history.operations.iter_mut().filter(|op| &*op.order == "o-3") {
            operation.outcome = Outcome::Fail(why);
        }
        let sale = ledger_row(first(&mut evidence), "o-2");
        sale.order_id = "o-3".into();
        let returned = LedgerRow { id: 99, kind: "RETURN".into(), transaction_type: "IN".into(), ..sale.clone() };
        first(&mut evidence).ledger.push(returned);
        evidence
    };
    assert!(judged(&sold_and_returned(FailCode::Cancelled), claim).verdict.is_held());
    trips_on(&sold_and_returned(FailCode::SoldOut), claim, "ledger row 4 holds 2 units");
}
