//! A judge that believes everything is none: each test spoils a copy of a good run in one place, and the verdict must name it.

use std::fs::File;

use harness::report::RunFolder;
use harness::snapshot::{LedgerRow, LockState, Stop};

use crate::saved_run::{Copy, saved_run};
use crate::workplace::turn;

const HISTORY: &str = "history.jsonl.zst";

/// A sale that stands at both stops, and was acknowledged by a run in which nothing went wrong.
fn some_sale() -> LedgerRow {
    let [first, last] = <[Stop; 2]>::try_from(RunFolder::open(&saved_run().place.latest()).unwrap().read_stops().unwrap()).unwrap();
    let stands = |row: &&LedgerRow| {
        let live = |stop: &Stop| stop.snapshot.orders.iter().any(|order| order.order_id == row.order_id && order.is_live());
        row.kind == "SALE" && row.transaction_type == "OUT" && live(&first) && live(&last)
    };
    first.snapshot.ledger.iter().find(stands).expect("a sale that stands").clone()
}

/// Judges the spoiled copy: it must be violated, by `claim`, and tell `what`.
#[track_caller]
fn expect_violated(copy: &Copy, claim: &str, what: &str) {
    let done = copy.verify();
    done.expect_code(1).expect_said("VIOLATED (exit code 1)").expect_said(&format!("  ✗ {claim} ")).expect_said(what);
    done.expect_said(&format!("differs from the saved report: {claim} was held, is violated"));
    done.expect_said("WARNING: Changed evidence: snapshot.json.zst was changed after the run");
}

#[test]
fn one_unit_too_many_in_redis_is_found_and_its_sku_named() {
    let _turn = turn();
    let copy = Copy::new("one-unit");
    let mut item = None;
    copy.edit_stops(|stops| {
        let (id, redis) = stops[1].snapshot.redis.iter_mut().next().unwrap();
        redis.stock = Some((redis.stock_units().unwrap() + 1).to_string());
        item = Some(*id);
    });
    expect_violated(&copy, "redis_equals_ledger", &format!("item {}", item.unwrap()));
}

#[test]
fn an_accepted_order_that_is_gone_is_found_and_named() {
    let _turn = turn();
    let (copy, order) = (Copy::new("lost-order"), some_sale().order_id);
    copy.edit_stops(|stops| stops.iter_mut().for_each(|stop| stop.snapshot.orders.retain(|row| row.order_id != order)));
    expect_violated(&copy, "acknowledged_is_durable", &format!("order {order}: "));
}

#[test]
fn a_lock_that_nobody_resolved_is_found_with_its_order_and_sku() {
    let _turn = turn();
    let (copy, sale) = (Copy::new("left-lock"), some_sale());
    let member = format!("{}|{}|{}", sale.order_id, sale.token, sale.quantity);
    copy.edit_stops(|stops| {
        let redis = stops[1].snapshot.redis.get_mut(&sale.item).unwrap();
        redis.locks.push(LockState { member: member.clone(), since_ms: 1 });
    });
    expect_violated(&copy, "every_lock_resolved", &format!("item {}: lock {member} of order {}", sale.item, sale.order_id));
}

#[test]
fn a_ledger_row_that_nobody_asked_for_is_found_and_the_balance_no_longer_fits() {
    let _turn = turn();
    let (copy, sale) = (Copy::new("foreign-row"), some_sale());
    copy.edit_stops(|stops| {
        let ledger = &mut stops[1].snapshot.ledger;
        let id = ledger.last().unwrap().id + 1;
        ledger.push(LedgerRow { id, order_id: "nobody-1".to_owned(), ..sale.clone() });
    });
    expect_violated(&copy, "nothing_unasked", "nobody-1");
    expect_violated(&copy, "ledger_balances", &format!("item {}", sale.item));
}

#[test]
fn a_history_without_its_end_is_not_held() {
    let _turn = turn();
    let copy = Copy::new("cut-history");
    let history = File::options().write(true).open(copy.file(HISTORY)).unwrap();
    history.set_len(history.metadata().unwrap().len() - 10).unwrap();
    let done = copy.verify();
    done.expect_code(3).expect_said("WARNING: The run was cut off: its history has no end.");
    done.expect_said("WARNING: Changed evidence: history.jsonl.zst was changed after the run");
}

#[test]
fn a_flipped_byte_in_the_history_is_not_held() {
    let _turn = turn();
    let copy = Copy::new("flipped-byte");
    let mut history = std::fs::read(copy.file(HISTORY)).unwrap();
    let middle = history.len() / 2;
    history[middle] ^= 1;
    std::fs::write(copy.file(HISTORY), history).unwrap();
    let done = copy.verify();
    assert!(matches!(done.code, Some(3 | 4)), "{done:?}");
    done.expect_said("WARNING: Broken history: ").expect_said("history.jsonl.zst was changed after the run");
}

#[test]
fn a_run_without_its_snapshot_is_inconclusive() {
    let _turn = turn();
    let copy = Copy::new("no-snapshot");
    std::fs::remove_file(copy.file("snapshot.json.zst")).unwrap();
    let done = copy.verify();
    done.expect_code(3).expect_said("INCONCLUSIVE").expect_said("snapshot.json.zst was removed after the run");
    done.expect_said("There is no snapshot: claims about the stores cannot be judged.");
}

#[test]
fn a_run_without_its_plan_cannot_be_judged() {
    let _turn = turn();
    let copy = Copy::new("no-plan");
    std::fs::remove_file(copy.file("plan.json")).unwrap();
    copy.verify().expect_code(4).expect_complaint("rig failed: read ").expect_complaint("plan.json");
}
