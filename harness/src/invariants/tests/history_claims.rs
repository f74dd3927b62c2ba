//! Claims about what clients were told, and the service levels.

use super::super::hand_written::{HandWritten, item, shed};
use super::*;
use crate::clock::Offset;
use crate::history::record::{FailCode, Function, InfoCause, Outcome};
use crate::snapshot::FinalRead;

fn set_status(evidence: &mut Evidence, order: &str, status: &str) {
    for stop in &mut evidence.stops {
        stop.snapshot.orders.iter_mut().filter(|row| row.order_id == order).for_each(|row| row.status = status.into());
    }
}

#[test]
fn an_acknowledged_order_with_another_user_other_units_or_an_unexplained_end_is_lost() {
    let claim = "acknowledged_is_durable";
    trips(claim, "acknowledged to user 7, the ledger names user 8", |evidence| evidence.stops[0].snapshot.orders[0].user_id = 8);
    trips(claim, "order o-2: acknowledged with 2 units of item 1:1:1", |evidence| {
        evidence.stops[0].snapshot.ledger.iter_mut().filter(|row| row.order_id == "o-2").for_each(|row| row.quantity = 1);
    });
    for end in ["CANCELLED", "EXPIRED", "REFUNDED", "FENCED"] {
        trips(claim, &format!("order o-2: acknowledged, the ledger has {end}"), |evidence| set_status(evidence, "o-2", end));
    }
}

#[test]
fn an_end_that_was_asked_for_or_was_due_is_explained() {
    let mut evidence = clean_run();
    set_status(&mut evidence, "o-2", "EXPIRED");
    evidence.plan.scenario.promises.order_ttl_ms = 1_000;
    assert!(judged(&evidence, "acknowledged_is_durable").verdict.is_held());
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cancel("o-1");
    run.evidence.history.operations[1].outcome = Outcome::Info(InfoCause::Timeout);
    assert!(judged(&run.stop("load").finish(), "acknowledged_is_durable").verdict.is_held());
}

#[test]
fn acknowledged_payments_and_cancels_are_held_to() {
    trips("acknowledged_is_durable", "order o-4: its payment was acknowledged", |evidence| set_status(evidence, "o-4", "CREATED"));
    trips("acknowledged_is_durable", "order o-5: its cancel was acknowledged", |evidence| set_status(evidence, "o-5", "CREATED"));
}

#[test]
fn a_database_that_promises_no_durability_leaves_it_open() {
    let set = |value: Option<&'static str>| {
        move |evidence: &mut Evidence| {
            let settings = &mut evidence.stops[0].snapshot.servers.settings;
            settings.clear();
            settings.extend(value.map(|value| ("innodb_flush_log_at_trx_commit".to_owned(), value.to_owned())));
        }
    };
    is_unknown("acknowledged_is_durable", "innodb_flush_log_at_trx_commit = 2", set(Some("2")));
    is_unknown("acknowledged_is_durable", "was not read", set(None));
}

#[test]
fn a_repetition_that_is_told_sold_out_although_its_order_stands_is_caught() {
    let told = |cancelled: bool| {
        let mut run = HandWritten::sale(&[(1, 1)]);
        run.accept("o-1", &[(1, 1)]);
        if cancelled {
            run.cancel("o-1");
        }
        run.refuse("o-1", 1, 1).stop("load");
        run.finish()
    };
    trips_on(&told(false), "once_per_order_id", "order o-1: acknowledged at ");
    assert!(judged(&told(true), "once_per_order_id").verdict.is_held());
}

#[test]
fn two_effects_of_one_order_id_are_caught() {
    let claim = "once_per_order_id";
    trips(claim, "order o-1: acknowledged with 1 units and token 1:1, and with 1 units and token 1:7", |evidence| {
        evidence.history.operations[1].witness[0].token = "1:7".into();
    });
    trips(claim, "asked for different things and both were accepted", |evidence| evidence.history.operations[1].items[0].qty = 2);
    trips(claim, "it has two rows after the load", |evidence| {
        let row = evidence.stops[0].snapshot.orders[0].clone();
        evidence.stops[0].snapshot.orders.push(row);
    });
    trips(claim, "it has two SALE rows of item 1:1:1", |evidence| {
        let row = evidence.stops[0].snapshot.ledger[2].clone();
        evidence.stops[0].snapshot.ledger.push(row);
    });
    trips(claim, "it has two DEDUCT_STOCK_DB events of item 1:1:1", |evidence| {
        let row = evidence.stops[0].snapshot.outbox[0].clone();
        evidence.stops[0].snapshot.outbox.push(row);
    });
}

#[test]
fn without_a_repeat_the_claim_about_repeats_is_unknown_or_not_asked() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    let mut evidence = run.accept("o-1", &[(1, 1)]).stop("load").finish();
    assert!(judged(&evidence, "once_per_order_id").verdict.is_unknown());
    evidence.plan.scenario.mix.duplicates = 0.0;
    assert!(matches!(judged(&evidence, "once_per_order_id").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn a_later_reply_that_shows_an_earlier_state_goes_backwards() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).pay("o-1").read("o-1", "CREATED").stop("load");
    trips_on(&run.finish(), "legal_transitions", "operation 1 saw PAID, and later operation 2 saw CREATED");
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]);
    run.operation(Function::ReadOrder, "o-1", &[], Outcome::Fail(FailCode::UnknownOrder));
    trips_on(&run.stop("load").finish(), "legal_transitions", "operation 0 saw CREATED, and later operation 1 saw none");
}

#[test]
fn replies_that_overlap_may_show_states_in_either_order() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).pay("o-1").read("o-1", "CREATED").stop("load");
    let paid = run.evidence.history.operations[1].sent;
    run.evidence.history.operations[2].sent = paid;
    run.evidence.history.operations[2].due = paid;
    assert!(judged(&run.finish(), "legal_transitions").verdict.is_held());
}

#[test]
fn a_cancelled_id_that_no_order_had_is_a_tombstone_and_a_cancelled_order_stays_cancelled() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).cancel("o-1").read("o-1", "CREATED").stop("load");
    trips_on(&run.finish(), "legal_transitions", "operation 1 saw CANCELLED or FENCED, and later operation 2 saw CREATED");
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).operation(Function::CancelOrder, "o-2", &[], Outcome::Ok).status = Some("CANCELLED".into());
    let tombstone = crate::snapshot::OrderRow { order_id: "o-2".into(), status: "FENCED".into(), ..run.stores.orders[0].clone() };
    run.stores.orders.push(tombstone);
    run.operation(Function::ReadOrder, "o-2", &[], Outcome::Fail(FailCode::UnknownOrder));
    let evidence = run.stop("load").finish();
    for claim in ["legal_transitions", "acknowledged_is_durable", "nothing_unasked", "carts_are_whole"] {
        assert!(judged(&evidence, claim).verdict.is_held(), "{claim}: {:?}", judged(&evidence, claim).verdict);
    }
}

#[test]
fn rows_that_do_not_belong_together_are_caught() {
    let claim = "legal_transitions";
    trips(claim, "order o-2: order CANCELLED, sale of item 1:1:1 in OUT, 0 returns", |evidence| {
        set_status(evidence, "o-2", "CANCELLED")
    });
    trips(claim, "order o-2: order FENCED, sale of item 1:1:1 in OUT", |evidence| set_status(evidence, "o-2", "FENCED"));
    trips(claim, "it is in \"SOLD\", which is no state", |evidence| set_status(evidence, "o-2", "SOLD"));
    trips(claim, "sale of item 1:1:1 in LOCK", |evidence| evidence.stops[0].snapshot.ledger[3].transaction_type = "LOCK".into());
    trips(claim, "order o-2: order CREATED without any sale", |evidence| {
        evidence.stops[0].snapshot.ledger.retain(|row| row.order_id != "o-2");
    });
    trips(claim, "outbox row 1 is in \"LOST\"", |evidence| evidence.stops[0].snapshot.outbox[0].status = "LOST".into());
}

#[test]
fn states_that_go_backwards_between_two_stops_are_caught() {
    trips("legal_transitions", "order o-4: it was PAID after the load, and is CREATED after the drain", |evidence| {
        evidence.stops[1]
            .snapshot
            .orders
            .iter_mut()
            .filter(|row| row.order_id == "o-4")
            .for_each(|row| row.status = "CREATED".into());
    });
    trips("legal_transitions", "its sale of item 1:1:1 was OUT after the load, and is UNLOCK after the drain", |evidence| {
        evidence.stops[1].snapshot.ledger[3].transaction_type = "UNLOCK".into();
    });
}

#[test]
fn a_row_behind_what_a_client_saw_is_caught() {
    trips("legal_transitions", "saw PAID, the ledger has CREATED after the load", |evidence| {
        set_status(evidence, "o-4", "CREATED")
    });
}

#[test]
fn a_final_read_that_does_not_show_the_row_is_caught() {
    let read =
        |order: &str, http: u16, status: &str| FinalRead { order_id: order.into(), instance: 1, http, status: status.into() };
    trips("legal_transitions", "order o-2: api-2 answers 200 PAID, the ledger has CREATED", |evidence| {
        evidence.stops[0].snapshot.reads.push(read("o-2", 200, "PAID"));
    });
    trips("legal_transitions", "order o-2: api-2 answers 404 unknown_order", |evidence| {
        evidence.stops[0].snapshot.reads.push(read("o-2", 404, "unknown_order"));
    });
    let mut evidence = clean_run();
    evidence.stops[0].snapshot.reads.push(read("o-3", 404, "unknown_order"));
    evidence.stops[0].snapshot.reads.push(read("o-2", 503, "not_admitted"));
    assert!(judged(&evidence, "legal_transitions").verdict.is_held());
}

/// The verdict on a run whose three orders stand, the last of them in doubt to its client, and of which one is read at the end.
fn read_at_the_end(order: &str, http: u16, status: &str, row: &str) -> Verdict {
    let mut run = HandWritten::sale(&[(1, 3)]);
    run.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]).doubt("o-3", 1, 1);
    run.operation(Function::PayOrder, "o-2", &[], Outcome::Info(InfoCause::Timeout));
    let mut evidence = run.stop("load").finish();
    set_status(&mut evidence, "o-1", row);
    let (order_id, status) = (order.into(), status.into());
    evidence.stops[0].snapshot.reads = vec![FinalRead { order_id, instance: 0, http, status }];
    judged(&evidence, "legal_transitions").verdict
}

#[test]
fn a_final_read_may_be_ahead_of_its_row_by_what_was_on_its_way_and_never_behind() {
    assert!(read_at_the_end("o-1", 200, "EXPIRED", "CREATED").is_held(), "an expiry");
    assert!(read_at_the_end("o-2", 200, "PAID", "CREATED").is_held(), "a payment in doubt");
    assert!(read_at_the_end("o-3", 200, "CREATED", "CREATED").is_held(), "a late commit of an order in doubt");
    assert!(read_at_the_end("o-1", 200, "PAID", "CREATED").is_violated(), "nobody paid it");
    assert!(read_at_the_end("o-1", 200, "CANCELLED", "CREATED").is_violated(), "nobody cancelled it");
    assert!(read_at_the_end("o-1", 200, "CREATED", "PAID").is_violated(), "behind its row");
    assert!(read_at_the_end("o-3", 200, "SOLD", "CREATED").is_violated(), "no state");
    assert!(read_at_the_end("o-9", 200, "CREATED", "CREATED").is_violated(), "nobody asked for it");
}

#[test]
fn final_reads_without_a_statement_do_not_count_as_examined() {
    let examined = |http, status| match read_at_the_end("o-1", http, status, "CREATED") {
        Verdict::Held { examined } => examined.get(),
        other => panic!("{other:?}"),
    };
    let stated = examined(200, "CREATED");
    for (http, status) in [(0, "no_answer"), (503, "not_admitted"), (500, "unreadable")] {
        assert_eq!(examined(http, status) + 1, stated, "{http} {status}");
    }
}

#[test]
fn a_paid_order_that_nobody_paid_is_unasked() {
    let named = "order o-2 is PAID, and no payment of it was acknowledged or is in doubt";
    trips("nothing_unasked", named, |evidence| set_status(evidence, "o-2", "PAID"));
    let paid = |outcome: Outcome| {
        let mut run = HandWritten::sale(&[(1, 1)]);
        run.accept("o-1", &[(1, 1)]).operation(Function::PayOrder, "o-1", &[], outcome);
        run.stores.orders[0].status = "PAID".into();
        run.stop("load").finish()
    };
    let in_doubt = paid(Outcome::Info(InfoCause::Timeout));
    for claim in ["nothing_unasked", "legal_transitions"] {
        assert!(judged(&in_doubt, claim).verdict.is_held(), "{claim}");
    }
    assert!(!judged(&in_doubt, "rejected_left_no_trace").verdict.is_violated());
    let refused = paid(Outcome::Fail(FailCode::Conflict));
    trips_on(&refused, "nothing_unasked", "order o-1 is PAID");
    trips_on(&refused, "rejected_left_no_trace", "order o-1: every payment was refused, yet the order is PAID after the load");
    let mut cut_off = clean_run();
    set_status(&mut cut_off, "o-2", "PAID");
    cut_off.history.tail = None;
    assert!(!judged(&cut_off, "nothing_unasked").verdict.is_violated(), "the record of the payment may be lost");
}

/// A thousand accepted orders, of which `slow` are answered 50 ms after they were due.
fn busy_run(slow: usize) -> Evidence {
    let mut run = HandWritten::sale(&[(1, 1_000)]);
    for number in 0..1_000 {
        run.operation(Function::CreateOrder, &format!("o-{number}"), &[(1, 1)], Outcome::Ok);
    }
    let mut evidence = run.finish();
    for op in evidence.history.operations.iter_mut().take(slow) {
        op.answered = Some(Offset(op.due.0 + 50_000_000));
    }
    evidence
}

#[test]
fn the_p99_is_exact_and_judged_from_when_orders_were_due() {
    assert!(judged(&busy_run(10), "latency_within_budget").verdict.is_held());
    trips_on(
        &busy_run(11),
        "latency_within_budget",
        "accepted or timed out: p99 response time 50.000 ms of 1000 samples, the budget is 10.000 ms",
    );
}

#[test]
fn an_order_that_timed_out_counts_with_the_time_that_its_client_waited() {
    let mut evidence = busy_run(11);
    for op in evidence.history.operations.iter_mut().take(11) {
        op.outcome = Outcome::Info(InfoCause::Timeout);
    }
    trips_on(&evidence, "latency_within_budget", "p99 response time 50.000 ms of 1000 samples");
}

/// A busy run in which the first orders end otherwise.
fn unanswered(orders: usize, outcome: Outcome, http: Option<u16>) -> Evidence {
    let mut evidence = busy_run(0);
    for op in evidence.history.operations.iter_mut().take(orders) {
        (op.outcome, op.http) = (outcome, http);
    }
    evidence
}

#[test]
fn more_than_one_order_in_a_hundred_without_an_answer_misses_the_service_level() {
    let errors = [
        (Outcome::Info(InfoCause::Timeout), None),
        (Outcome::Info(InfoCause::ConnectionLost), None),
        (Outcome::Info(InfoCause::ServerError), Some(500)),
        (Outcome::Fail(FailCode::NotAdmitted), Some(503)),
        (Outcome::Fail(FailCode::Throttled), Some(429)),
        (Outcome::Fail(FailCode::NotSent), None),
        (Outcome::Fail(FailCode::Conflict), Some(503)),
    ];
    for (outcome, http) in errors {
        assert!(judged(&unanswered(10, outcome, http), "answers_without_error").verdict.is_held(), "{outcome:?}");
        trips_on(&unanswered(11, outcome, http), "answers_without_error", "11 of 1000 got no answer, 1.10 %, at most 1 % may: 11 ");
    }
    let refused = unanswered(900, Outcome::Fail(FailCode::SoldOut), Some(409));
    assert!(judged(&refused, "answers_without_error").verdict.is_held(), "a refusal as sold out is an answer");
    assert!(SERVICE_LEVELS.contains(&"answers_without_error"));
}

#[test]
fn only_enough_orders_of_the_baseline_say_how_many_get_an_answer() {
    let mut evidence = unanswered(500, Outcome::Info(InfoCause::Timeout), None);
    for op in &mut evidence.history.operations[..500] {
        op.phase = crate::scenario::Phase::Fault;
    }
    let finding = judged(&evidence, "answers_without_error");
    assert!(finding.verdict.is_unknown() && !finding.required, "{finding:?}");
}

#[test]
fn too_few_samples_a_late_generator_or_shed_arrivals_give_no_latency_verdict() {
    let mut few = busy_run(11);
    few.history.operations[999].outcome = Outcome::Info(InfoCause::ConnectionLost);
    assert!(judged(&few, "latency_within_budget").verdict.is_unknown());
    let mut late = busy_run(11);
    for op in late.history.operations.iter_mut().take(11) {
        op.sent = Offset(op.due.0 + 3_000_000);
    }
    assert!(judged(&late, "latency_within_budget").verdict.is_unknown());
    let mut shedding = busy_run(11);
    shedding.history.sheds = vec![shed(); 2];
    assert!(judged(&shedding, "latency_within_budget").verdict.is_unknown());
    assert!(judged(&shedding, "generator_kept_up").verdict.is_held());
}

#[test]
fn a_generator_that_shed_more_than_one_in_a_hundred_makes_the_run_inconclusive() {
    let mut evidence = busy_run(0);
    evidence.history.sheds = vec![shed(); 11];
    let finding = judged(&evidence, "generator_kept_up");
    assert!(finding.verdict.is_unknown() && finding.required);
}

#[test]
fn a_generator_that_sent_nothing_did_not_keep_up() {
    let mut evidence = busy_run(0);
    evidence.history.operations.clear();
    evidence.history.tail.as_mut().unwrap().ops = 0;
    let nothing = crate::invariants::Verdict::unknown("nothing was sent");
    assert_eq!(judged(&evidence, "generator_kept_up").verdict, nothing);
}

#[test]
fn a_refused_part_with_enough_samples_is_judged_apart() {
    let mut evidence = busy_run(0);
    let refused = evidence.history.operations.clone().into_iter().enumerate().map(|(at, mut op)| {
        op.id.0 += 1_000;
        op.order = format!("r-{at}").into();
        op.outcome = Outcome::Fail(FailCode::SoldOut);
        op.short = Some(item(1));
        op.answered = Some(Offset(op.due.0 + 20_000_000));
        op
    });
    let refused: Vec<_> = refused.collect();
    evidence.history.operations.extend(refused);
    evidence.history.tail.as_mut().unwrap().ops = 2_000;
    trips_on(&evidence, "latency_within_budget", "refused as sold out: p99 response time 20.000 ms");
}
