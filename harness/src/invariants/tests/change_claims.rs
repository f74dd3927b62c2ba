//! Restocks, cuts, holds, refunds, expiries and carts: what a correct service leaves passes every claim, and each way to get it wrong is
//! caught.

use super::super::SERVICE_LEVELS;
use super::super::hand_written::{HandWritten, item};
use super::*;
use crate::history::record::{FailCode, Function, InfoCause, Outcome};

/// A sale in which everything happens that may happen to stock, drained to the last unit.
fn eventful() -> HandWritten {
    let mut run = HandWritten::sale(&[(1, 6), (2, 4)]);
    run.accept("o-1", &[(1, 1), (2, 1)]).pay("o-1").refund("o-1").accept("o-2", &[(1, 1)]).restock(1, 2);
    run.cut(1, 3).hold(2, 2).hold(2, 1).release(2, 1).accept("o-3", &[(2, 1)]).cancel("o-3");
    run.accept("o-4", &[(1, 3)]).pay("o-4").stop("load");
    run.accept("d-1", &[(1, 1)]).accept("d-2", &[(2, 1)]).accept("d-3", &[(2, 1)]).repeat("d-3").dry(1).dry(2).stop("drain");
    run
}

fn trips_eventful(claim: &str, named: &str, change: impl FnOnce(&mut Evidence)) {
    let mut evidence = eventful().finish();
    change(&mut evidence);
    trips_on(&evidence, claim, named);
}

#[test]
fn every_claim_holds_on_a_sale_with_every_kind_of_change() {
    // A sale without a limit, without faults, and without a service that anybody measured.
    const NOTHING_TO_JUDGE: [&str; 5] =
        ["user_quota_respected", "faults_bit", "kill_points_covered", "recovers_in_time", "stops_cleanly"];
    for finding in judge(&eventful().finish()) {
        match finding.invariant.as_str() {
            name if NOTHING_TO_JUDGE.contains(&name) => {
                assert!(matches!(finding.verdict, Verdict::NotApplicable { .. }), "{finding:#?}")
            }
            name if SERVICE_LEVELS.contains(&name) => assert!(!finding.verdict.is_violated(), "{finding:#?}"),
            _ => assert!(finding.verdict.is_held(), "{finding:#?}"),
        }
    }
}

#[test]
fn a_cut_lowers_the_supply_and_units_that_are_sold_cannot_be_cut() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).cut(1, 1).accept("o-2", &[(1, 1)]).stop("load");
    let evidence = run.finish();
    trips_on(&evidence, "no_oversell", "1 units over: live orders hold 2 of a supply of 1");
    trips_on(&evidence, "no_oversell", "1 units over: 2 were acknowledged and never undone, of a supply of 1");
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cut(1, 1).stop("load");
    trips_on(&run.finish(), "no_oversell", "1 more units taken while 1 of 1 were certainly out (interval bounds");
}

#[test]
fn a_hold_takes_units_from_sale_until_it_is_released() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.hold(1, 1).refuse("o-1", 1, 1).stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held(), "the unit is held");
    run.evidence.stops.clear();
    run.accept("o-2", &[(1, 1)]).stop("load");
    trips_on(&run.finish(), "no_oversell", "1 units over: live orders hold 1 of a supply of 0");
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.hold(1, 1).release(1, 1).accept("o-1", &[(1, 1)]).stop("load");
    assert!(judged(&run.finish(), "no_oversell").verdict.is_held());
}

#[test]
fn a_refusal_long_after_a_release_is_false() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.hold(1, 2).release(1, 2).stop("load").refuse("d-1", 1, 1).stop("drain");
    trips_on(&run.finish(), "no_false_sold_out", "while 2 of 2 units were certainly free (interval bounds");
}

#[test]
fn refusals_long_after_a_cut_held_nothing_and_those_beside_it_may_have() {
    let refused_twice = |after_ms: u64| {
        let mut run = HandWritten::sale(&[(1, 3)]);
        run.accept("o-1", &[(1, 1)]).cut(1, 1);
        run.now_ms += after_ms;
        run.refuse("o-2", 1, 1).refuse("o-3", 1, 1).stop("load");
        judged(&run.finish(), "no_false_sold_out").verdict
    };
    assert!(refused_twice(0).is_held(), "each may have held the unit that the other was refused");
    assert!(refused_twice(2_000).is_violated(), "one unit was certainly free");
}

#[test]
fn a_change_that_nobody_can_say_happened_counts_for_the_service() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.restock(1, 1).evidence.history.operations[0].outcome = Outcome::Info(InfoCause::Timeout);
    run.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]).stop("load");
    assert!(judged(&run.finish(), "no_oversell").verdict.is_held());
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.operation(Function::CutStock, "s-1", &[(1, 1)], Outcome::Info(InfoCause::Timeout));
    run.accept("o-1", &[(1, 1)]).stop("load");
    assert!(judged(&run.finish(), "no_oversell").verdict.is_held());
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.operation(Function::CutStock, "s-1", &[(1, 1)], Outcome::Info(InfoCause::Timeout));
    run.refuse("o-1", 1, 1).stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
}

#[test]
fn a_change_that_is_sent_again_under_its_id_happens_once() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.restock(1, 1);
    run.operation(Function::Restock, "s-0", &[(1, 1)], Outcome::Ok);
    run.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]).stop("load").dry(1).stop("drain");
    for claim in ["no_oversell", "drain_sells_exactly_supply", "nothing_unasked", "ledger_balances"] {
        assert!(judged(&run.finish(), claim).verdict.is_held(), "{claim}");
    }
    trips_eventful("once_per_order_id", "it has two RESTOCK rows", |evidence| {
        let rows = &mut evidence.stops[0].snapshot.ledger;
        let row = rows.iter().find(|row| row.order_id.starts_with("rst.s-")).unwrap().clone();
        rows.push(row);
    });
}

#[test]
fn changes_that_nobody_asked_for_are_caught() {
    trips_eventful("nothing_unasked", "ADJUST of 2 units of item 1:1:1", |evidence| {
        let row = evidence.stops[0].snapshot.ledger.iter_mut().find(|row| row.kind == "ADJUST").unwrap();
        row.quantity = 2;
    });
    trips_eventful("nothing_unasked", "of adj.other: ADJUST of 3 units", |evidence| {
        let row = evidence.stops[0].snapshot.ledger.iter_mut().find(|row| row.kind == "ADJUST").unwrap();
        row.order_id = "adj.other".into();
    });
    trips_eventful("nothing_unasked", "order o-1 is REFUNDED, and no refund of it was acknowledged", |evidence| {
        evidence.history.operations.retain(|op| op.function != Function::RefundOrder);
        evidence.history.tail.as_mut().unwrap().ops -= 1;
    });
    trips_eventful("ledger_balances", "locked_stock is 1, and 2 to 2 units were put aside", |evidence| {
        evidence.stops[0].snapshot.inventory[1].locked_stock = 1;
    });
    trips_eventful("outbox_drained", "its IN of item 1:1:1 has no APPLY_DELTA event", |evidence| {
        evidence.stops[0].snapshot.outbox.retain(|row| !row.event_id.starts_with("rst."));
    });
}

#[test]
fn planned_changes_count_as_asked_if_the_history_lost_its_end() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).cut(1, 1).stop("load");
    let mut evidence = run.finish();
    evidence.history.operations.pop();
    evidence.history.tail = None;
    trips_on(&evidence, "nothing_unasked", "ADJUST of 1 units");
    let row = evidence.stops[0].snapshot.ledger.iter_mut().find(|row| row.kind == "ADJUST").unwrap();
    row.order_id = "adj.o-s0".into();
    evidence.plan.changes = vec![crate::scenario::plan::PlannedLine { item: 0, quantity: 1 }];
    evidence.plan.arrivals[0] =
        crate::scenario::plan::Arrival { action: crate::scenario::plan::Action::Cut, ..evidence.plan.arrivals[0] };
    assert!(judged(&evidence, "nothing_unasked").verdict.is_held());
}

#[test]
fn units_that_a_change_lost_are_missing_after_the_drain() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).restock(1, 1).cut(1, 1).stop("load").dry(1).stop("drain");
    trips_on(&run.finish(), "drain_sells_exactly_supply", "1 units missing: live orders hold 1 of a supply of 2");
}

#[test]
fn an_acknowledged_refund_is_held_to_and_explains_the_end_of_a_paid_order() {
    let set = |status: &'static str| {
        move |evidence: &mut Evidence| {
            let rows = evidence.stops.iter_mut().flat_map(|stop| &mut stop.snapshot.orders);
            rows.filter(|row| row.order_id == "o-1").for_each(|row| row.status = status.into());
        }
    };
    trips_eventful("acknowledged_is_durable", "order o-1: its refund was acknowledged", set("PAID"));
    trips_eventful("legal_transitions", "order o-1: order PAID, sale of item 1:1:1 in OUT, 1 returns", set("PAID"));
    trips_eventful("carts_are_whole", "order o-1 is REFUNDED: it still holds 1 units of item 1:1:2", |evidence| {
        evidence.stops[0].snapshot.ledger.retain(|row| row.kind != "RETURN" || row.item != item(2));
    });
}

#[test]
fn half_a_cart_and_a_cart_with_more_than_was_asked_are_caught() {
    let cart = || {
        let mut run = HandWritten::sale(&[(1, 9), (2, 9)]);
        run.accept("o-1", &[(1, 2), (2, 1), (1, 1)]);
        // The service merges lines of one item.
        run.stores.ledger.retain(|row| row.order_id != "o-1" || row.quantity != 1 || row.item != item(1));
        run.stores.ledger.iter_mut().filter(|row| row.quantity == 2).for_each(|row| row.quantity = 3);
        run
    };
    assert!(judged(&cart().stop("load").finish(), "carts_are_whole").verdict.is_held());
    let mut half = cart();
    half.stores.ledger.retain(|row| row.order_id != "o-1" || row.item != item(2));
    trips_on(&half.stop("load").finish(), "carts_are_whole", "1 units of item 1:1:2 were asked for, its sales hold []");
    let mut unmerged = cart();
    unmerged.stores.ledger.iter_mut().filter(|row| row.order_id == "o-1").for_each(|row| row.quantity = 2);
    trips_on(&unmerged.stop("load").finish(), "carts_are_whole", "3 units of item 1:1:1 were asked for, its sales hold [2]");
}

#[test]
fn an_expiry_that_was_due_is_explained_and_one_of_a_paid_order_is_not() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.evidence.plan.scenario.promises.order_ttl_ms = 1_000;
    run.accept("o-1", &[(1, 1)]).expire("o-1").accept("o-2", &[(1, 1)]).pay("o-2").stop("load");
    for claim in ["acknowledged_is_durable", "no_oversell", "no_false_sold_out", "legal_transitions", "redis_equals_ledger"] {
        let verdict = judged(&run.finish(), claim).verdict;
        assert!(!verdict.is_violated(), "{claim}: {verdict:?}");
    }
    run.evidence.stops.clear();
    run.expire("o-2").stop("load");
    trips_on(&run.finish(), "acknowledged_is_durable", "order o-2: its payment was acknowledged");
}

#[test]
fn an_unpaid_order_that_stands_long_after_its_time_is_stuck() {
    let standing_for = |ms: u64| {
        let mut run = HandWritten::sale(&[(1, 1)]);
        run.evidence.plan.scenario.promises.order_ttl_ms = 5_000;
        run.accept("o-1", &[(1, 1)]);
        // It was answered 1 ms before, and the stop ends 600 ms later.
        run.now_ms += ms + 5_000 - 601;
        judged(&run.stop("load").finish(), "legal_transitions")
    };
    let in_time = standing_for(20_000);
    assert!(in_time.verdict.is_held(), "{in_time:?}");
    let late = standing_for(20_001);
    assert!(late.verdict.violations()[0].what.contains("order o-1: it is CREATED 20001 ms after it was to expire"), "{late:?}");
}

/// A sale with a limit of two units.
fn limited(write: impl FnOnce(&mut HandWritten)) -> Evidence {
    let mut run = HandWritten::sale(&[(1, 9), (2, 9)]);
    run.evidence.plan.scenario.promises.limit_per_user = 2;
    write(&mut run);
    run.count_quotas().stop("load");
    run.finish()
}

fn over_quota(run: &mut HandWritten, order: &str, sku: u64, qty: u32) {
    run.operation(Function::CreateOrder, order, &[(sku, qty)], Outcome::Fail(FailCode::QuotaExceeded)).short = Some(item(sku));
}

const QUOTA: &str = "user_quota_respected";

#[test]
fn a_limit_that_is_kept_holds_and_orders_that_ended_give_their_units_back() {
    let evidence = limited(|run| {
        run.accept("o-1", &[(1, 2), (2, 1)]);
        over_quota(run, "o-2", 1, 1);
        run.cancel("o-1").accept("o-3", &[(1, 2)]).accept("o-4", &[(2, 2)]);
    });
    let verdict = judged(&evidence, QUOTA).verdict;
    assert!(verdict.is_held(), "{verdict:?}");
    assert!(judged(&limited(|_| {}), QUOTA).verdict.is_unknown(), "nothing was asked for");
}

#[test]
fn a_user_above_the_limit_is_caught_in_the_ledger_and_by_the_clients_alone() {
    let mut evidence = limited(|run| {
        run.accept("o-1", &[(1, 2)]).accept("o-2", &[(1, 1)]);
    });
    trips_on(&evidence, QUOTA, "user 7: 3 units of item 1:1:1 are held by live orders after the load, the limit is 2");
    evidence.stops.clear();
    trips_on(&evidence, QUOTA, "user 7: 3 units of item 1:1:1 were acknowledged and never undone, the limit is 2");
}

#[test]
fn a_quota_that_is_not_what_live_orders_hold_is_caught() {
    let mut evidence = limited(|run| {
        run.accept("o-1", &[(1, 2)]);
    });
    evidence.stops[0].snapshot.quotas[0].quantity = 1;
    trips_on(&evidence, QUOTA, "user 7: the quota of item 1:1:1 counts 1 units, live orders hold 2");
    evidence.stops[0].snapshot.quotas.clear();
    trips_on(&evidence, QUOTA, "counts 0 units, live orders hold 2");
    let mut kept = limited(|run| {
        run.accept("o-1", &[(1, 2)]).cancel("o-1");
    });
    kept.stops[0].snapshot.quotas.push(crate::snapshot::QuotaRow { item: item(1), user_id: 7, quantity: 2 });
    trips_on(&kept, QUOTA, "counts 2 units, live orders hold 0");
}

#[test]
fn a_refusal_for_the_limit_needs_other_attempts_that_can_explain_it() {
    let alone = limited(|run| over_quota(run, "o-1", 1, 2));
    trips_on(&alone, QUOTA, "user 7: order o-1 was refused for the limit of 2, and certainly below it");
    let after_a_refused_one = limited(|run| {
        run.refuse("o-1", 1, 2);
        over_quota(run, "o-2", 1, 2);
    });
    assert!(judged(&after_a_refused_one, QUOTA).verdict.is_violated());
    let of_another_item = limited(|run| {
        run.accept("o-1", &[(2, 2)]);
        over_quota(run, "o-2", 1, 2);
    });
    assert!(judged(&of_another_item, QUOTA).verdict.is_violated());
    let beside_doubt = limited(|run| {
        run.doubt("o-1", 1, 1);
        over_quota(run, "o-2", 1, 2);
    });
    assert!(judged(&beside_doubt, QUOTA).verdict.is_held());
    let too_many_at_once = limited(|run| over_quota(run, "o-1", 1, 3));
    assert!(judged(&too_many_at_once, QUOTA).verdict.is_held());
}
