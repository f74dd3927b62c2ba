//! no_oversell, no_false_sold_out, drain_sells_exactly_supply.

use super::super::hand_written::{HandWritten, item, lock};
use super::super::verdict::Strength;
use super::*;
use crate::clock::Offset;
use crate::history::record::{FailCode, Function, InfoCause, Outcome};
use crate::snapshot::RedisItem;

#[test]
fn live_orders_beyond_the_supply_are_an_oversell_by_name() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]).doubt_that_happened("o-3", 1, 1).stop("load");
    let evidence = run.finish();
    trips_on(&evidence, "no_oversell", "item 1:1:1: 1 units over: live orders hold 3 of a supply of 2 after the load");
    assert_eq!(judged(&evidence, "no_oversell").verdict.violations()[0].orders, ["o-3"]);
}

#[test]
fn orders_that_overlap_an_undo_may_exceed_the_supply_and_those_that_do_not_may_not() {
    let mut legal = HandWritten::sale(&[(1, 1)]);
    legal.accept("o-1", &[(1, 1)]).cancel("o-1").accept("o-2", &[(1, 1)]).stop("load");
    assert!(judged(&legal.finish(), "no_oversell").verdict.is_held());
    let mut early = HandWritten::sale(&[(1, 1)]);
    early.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]).cancel("o-1").stop("load");
    trips_on(&early.finish(), "no_oversell", "were certainly out (interval bounds, evidence: clients)");
}

#[test]
fn a_token_that_admits_two_orders_is_an_oversell() {
    trips("no_oversell", "both hold token 1:1", |evidence| {
        for stop in &mut evidence.stops {
            stop.snapshot.ledger.iter_mut().filter(|row| row.order_id == "o-2").for_each(|row| row.token = "1:1".into());
        }
    });
}

#[test]
fn a_reply_with_more_units_left_than_can_be_is_an_oversell() {
    trips("no_oversell", "token 1:2 left 1 units where 0 can be left", |evidence| {
        evidence.history.operations[2].witness[0].stock_after = Some(1);
    });
}

#[test]
fn single_units_never_given_back_are_decided_exactly() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).refuse("o-2", 1, 1).stop("load");
    let finding = judged(&run.finish(), "no_false_sold_out");
    assert!(finding.verdict.is_held());
    assert_eq!(finding.strength, Some(Strength::Exact));
}

#[test]
fn a_refusal_before_the_last_unit_was_sold_is_false() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).refuse("o-2", 1, 1).accept("o-3", &[(1, 1)]).stop("load");
    trips_on(&run.finish(), "no_false_sold_out", "refused as sold out while 1 of 2 units were certainly free (closed form");
}

#[test]
fn a_refusal_that_an_order_in_doubt_explains_is_not_false() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.doubt("o-1", 1, 1).refuse("o-2", 1, 1).stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
}

#[test]
fn a_refusal_shortly_after_a_cancel_is_legal_because_units_come_back_later() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cancel("o-1").refuse("o-2", 1, 1).stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
}

#[test]
fn a_refusal_long_after_the_units_of_a_cancel_were_back_is_false() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cancel("o-1").refuse("o-2", 1, 1).stop("load").refuse("d-1", 1, 1).stop("drain");
    trips_on(&run.finish(), "no_false_sold_out", "while 1 of 1 units were certainly free (interval bounds");
}

#[test]
fn a_refusal_from_a_flag_within_its_declared_age_is_legal() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cancel("o-1").refuse("o-2", 1, 1).stop("load");
    run.evidence.plan.scenario.promises.staleness_ms = 10_000;
    run.refuse("d-1", 1, 1).stop("drain");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
}

#[test]
fn a_refused_repeat_of_an_accepted_order_is_no_false_refusal_by_itself() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).refuse("o-1", 1, 1).stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
}

#[test]
fn a_cart_that_names_no_short_item_is_falsely_refused_only_if_all_its_items_were_free() {
    let mut run = HandWritten::sale(&[(1, 1), (2, 1)]);
    run.accept("o-1", &[(1, 1)]);
    run.operation(Function::CreateOrder, "o-2", &[(1, 1), (2, 1)], Outcome::Fail(FailCode::SoldOut));
    run.stop("load");
    assert!(judged(&run.finish(), "no_false_sold_out").verdict.is_held());
    let mut run = HandWritten::sale(&[(1, 3), (2, 3)]);
    run.accept("o-1", &[(1, 1)]);
    run.operation(Function::CreateOrder, "o-2", &[(1, 1), (2, 1)], Outcome::Fail(FailCode::SoldOut));
    run.stop("load");
    trips_on(&run.finish(), "no_false_sold_out", "refused as sold out");
}

#[test]
fn a_cart_with_an_unknown_item_may_have_held_its_other_items_for_a_moment() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.operation(Function::CreateOrder, "o-1", &[(1, 1), (9, 1)], Outcome::Fail(FailCode::UnknownSku));
    run.refuse("o-2", 1, 1).stop("load");
    let verdict = judged(&run.finish(), "no_false_sold_out").verdict;
    assert!(verdict.is_held(), "{verdict:?}");
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.operation(Function::CreateOrder, "o-1", &[(1, 1)], Outcome::Fail(FailCode::UnknownSku));
    run.refuse("o-2", 1, 1).stop("load");
    trips_on(&run.finish(), "no_false_sold_out", "refused as sold out");
}

/// A sale of three units, rebuilt once: an order took one, a second order was refused after it held one for a moment at most.
fn rebuilt(change: impl FnOnce(&mut RedisItem)) -> Verdict {
    let mut run = HandWritten::sale(&[(1, 3)]);
    run.accept("o-1", &[(1, 1)]).refuse("o-2", 1, 1);
    run.stores.epochs[0].epoch = 2;
    change(run.stores.redis.get_mut(&item(1)).unwrap());
    judged(&run.stop("load").finish(), "no_false_sold_out").verdict
}

#[test]
fn a_second_token_of_an_order_after_a_rebuild_may_hold_units_too() {
    let untouched = rebuilt(|_| {});
    assert!(untouched.is_violated(), "{untouched:?}");
    let second_record = rebuilt(|redis| {
        redis.records.insert("o-1".into(), "2:1|1".into());
    });
    assert!(second_record.is_held(), "{second_record:?}");
    let second_lock = rebuilt(|redis| redis.locks.push(lock("o-1|2:1|1")));
    assert!(second_lock.is_held(), "{second_lock:?}");
    let first_lock = rebuilt(|redis| redis.locks.push(lock("o-1|1:1|1")));
    assert!(first_lock.is_violated(), "{first_lock:?}");
}

#[test]
fn units_that_vanish_between_two_replies_are_a_false_sold_out() {
    trips("no_false_sold_out", "token 1:1 left 1 units where at least 2 must be left", |evidence| {
        evidence.history.operations[0].witness[0].stock_after = Some(1);
    });
}

#[test]
fn an_order_in_doubt_that_stands_convicts_with_the_ledger_as_witness() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).refuse("o-2", 1, 1).doubt_that_happened("o-3", 1, 1).stop("load");
    trips_on(&run.finish(), "no_oversell", "evidence: ledger");
}

#[test]
fn a_unit_that_nobody_got_is_missing_after_the_drain() {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).stop("load").dry(1).stop("drain");
    trips_on(&run.finish(), "drain_sells_exactly_supply", "item 1:1:1: 1 units missing: live orders hold 1 of a supply of 2");
}

#[test]
fn a_unit_too_many_or_left_in_redis_after_the_drain_is_a_violation() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).stop("load").accept("d-1", &[(1, 1)]).stop("drain");
    trips_on(&run.finish(), "drain_sells_exactly_supply", "1 units too many");
    trips("drain_sells_exactly_supply", "item 1:1:1: sold out, and Redis still offers 1 units", |evidence| {
        evidence.stops[1].snapshot.redis.get_mut(&item(1)).unwrap().stock = Some("1".into());
    });
}

#[test]
fn a_drain_that_did_not_run_or_did_not_end_says_nothing() {
    is_unknown("drain_sells_exactly_supply", "no snapshot at rest after a drain", |evidence| {
        evidence.stops.pop();
    });
    let mut run = HandWritten::sale(&[(1, 3)]);
    run.accept("o-1", &[(1, 1)]).stop("load").accept("d-1", &[(1, 1)]).stop("drain");
    assert!(judged(&run.finish(), "drain_sells_exactly_supply").verdict.is_unknown());
}

/// A drain of a sale of two units, one of which is sold before, at two api processes.
fn drained(drain: impl FnOnce(&mut HandWritten)) -> Verdict {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.evidence.plan.scenario.processes.api = 2;
    run.accept("o-1", &[(1, 1)]).stop("load");
    drain(&mut run);
    judged(&run.stop("drain").finish(), "drain_sells_exactly_supply").verdict
}

#[test]
fn an_item_misses_units_only_if_every_process_refused_it_often_enough_and_to_the_end() {
    let to_the_end = drained(|run| {
        run.dry(1);
    });
    assert!(to_the_end.is_violated(), "{to_the_end:?}");
    let silent_in_the_end = drained(|run| {
        run.dry(1).doubt("d-1", 1, 1);
    });
    let unavailable_in_the_end = drained(|run| {
        run.dry(1).operation(Function::CreateOrder, "d-1", &[(1, 1)], Outcome::Fail(FailCode::NotAdmitted));
    });
    let once_from_memory = drained(|run| {
        run.refuse("d-1", 1, 1).doubt("d-2", 1, 1).doubt("d-3", 1, 1);
    });
    let one_process_short = drained(|run| {
        run.dry(1).evidence.history.operations.pop();
    });
    let all_from_one_memory = drained(|run| {
        for (number, instance) in [0, 0, 0, 1, 1, 1].into_iter().enumerate() {
            run.refuse(&format!("d-{number}"), 1, 1).evidence.history.operations.last_mut().unwrap().instance = instance;
        }
    });
    for verdict in [silent_in_the_end, unavailable_in_the_end, once_from_memory, one_process_short, all_from_one_memory] {
        assert!(matches!(&verdict, Verdict::Unknown { why } if why.contains("not come to an end for 1:1:1")), "{verdict:?}");
    }
}

#[test]
fn an_item_that_the_drain_never_asked_for_says_nothing() {
    let mut run = HandWritten::sale(&[(1, 1), (2, 1)]);
    run.accept("o-1", &[(1, 1)]).stop("load").dry(1).stop("drain");
    let verdict = judged(&run.finish(), "drain_sells_exactly_supply").verdict;
    assert!(matches!(&verdict, Verdict::Unknown { why } if why.contains("1:1:2")), "{verdict:?}");
}

#[test]
fn units_too_many_convict_a_drain_that_did_not_end() {
    let over = drained(|run| {
        run.accept("d-1", &[(1, 1)]).accept("d-2", &[(1, 1)]).doubt("d-3", 1, 1);
    });
    assert!(over.is_violated(), "{over:?}");
}

#[test]
fn a_restock_in_doubt_and_orders_that_expire_meanwhile_leave_the_drain_undecided() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.operation(Function::Restock, "r-1", &[(1, 1)], Outcome::Info(InfoCause::Timeout));
    run.accept("o-1", &[(1, 1)]).stop("load").refuse("d-1", 1, 1).stop("drain");
    assert!(judged(&run.finish(), "drain_sells_exactly_supply").verdict.is_unknown());
    let expired = |order_ttl_ms: u64, before: bool| {
        let mut run = HandWritten::sale(&[(1, 2)]);
        run.evidence.plan.scenario.promises.order_ttl_ms = order_ttl_ms;
        run.accept("o-1", &[(1, 1)]);
        if before {
            run.expire("o-1").stop("load");
        } else {
            run.stop("load").expire("o-1");
        }
        run.accept("d-1", &[(1, 1)]).accept("d-2", &[(1, 1)]).dry(1).stop("drain");
        judged(&run.finish(), "drain_sells_exactly_supply").verdict
    };
    assert!(expired(2_000, true).is_held(), "{:?}", expired(2_000, true));
    assert!(expired(2_000, false).is_unknown(), "the run waits until nothing is left to expire");
    assert!(matches!(expired(20_000, false), Verdict::NotApplicable { .. }));
}

#[test]
fn a_restock_adds_to_the_supply_and_no_more() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).restock(1, 1).accept("o-2", &[(1, 1)]).refuse("o-3", 1, 1).stop("load");
    let evidence = run.finish();
    for claim in ["no_oversell", "no_false_sold_out", "nothing_unasked", "ledger_balances", "redis_equals_ledger", "outbox_drained"]
    {
        let verdict = judged(&evidence, claim).verdict;
        assert!(verdict.is_held(), "{claim}: {verdict:?}");
    }
    run.evidence.stops.clear();
    run.accept("o-4", &[(1, 1)]).stop("load");
    trips_on(&run.finish(), "no_oversell", "1 units over: live orders hold 3 of a supply of 2");
}

#[test]
fn replies_whose_tokens_contradict_the_clocks_are_caught() {
    trips("no_oversell", "was answered before an order with an older token was sent", |evidence| {
        evidence.history.operations[2].sent = Offset::from_millis(900);
        evidence.history.operations[2].due = Offset::from_millis(900);
        evidence.history.operations[2].answered = Some(Offset::from_millis(901));
    });
}
