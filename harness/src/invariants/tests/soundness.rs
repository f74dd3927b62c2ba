//! What unsound evidence does to the claims.

use super::super::hand_written::{HandWritten, item};
use super::*;
use crate::clock::Offset;
use crate::history::operation::Timed;
use crate::history::record::{FaultMark, FaultStep};
use crate::snapshot::Rest;

#[test]
fn every_kind_of_broken_evidence_is_named() {
    let claim = "evidence_is_sound";
    trips(claim, "snapshot.json.zst: hash differs", |evidence| evidence.damage.push("snapshot.json.zst: hash differs".into()));
    trips(claim, "n is not dense", |evidence| evidence.history.problems.push("n is not dense at 7".into()));
    trips(claim, "no head record", |evidence| evidence.history.head = None);
    trips(claim, "the plan of other", |evidence| evidence.plan.scenario.name = "other".into());
    trips(claim, "the tail counts 99 operations", |evidence| evidence.history.tail.as_mut().unwrap().ops = 99);
    trips(claim, "operation 2: due, sent and answered", |evidence| evidence.history.operations[2].answered = Some(Offset(1)));
    trips(claim, "not of one moment", |evidence| evidence.stops[0].snapshot.consistent = false);
    trips(claim, "planned to open with 3 units", |evidence| evidence.stops[0].snapshot.ledger[0].quantity = 30);
}

#[test]
fn a_fault_that_was_not_healed_makes_the_snapshots_worthless() {
    let add = |evidence: &mut Evidence| {
        let what = FaultMark {
            id: 1,
            kind: "stall".into(),
            target: "redis".into(),
            step: FaultStep::Injected,
            generation: 0,
            proof: String::new(),
        };
        evidence.history.faults.push(Timed { at: Offset::ZERO, what });
    };
    trips("evidence_is_sound", "fault 1 (stall on redis) was not healed", add);
    is_unknown("redis_equals_ledger", "was not healed", add);
}

#[test]
fn a_broken_history_makes_every_claim_that_leans_on_it_unknown_and_no_other() {
    let mut evidence = clean_run();
    evidence.history.problems.push("n is not dense at 7".into());
    for claim in ["no_oversell", "acknowledged_is_durable", "nothing_unasked", "legal_transitions", "generator_kept_up"] {
        assert!(judged(&evidence, claim).verdict.is_unknown(), "{claim}");
    }
    for claim in ["ledger_balances", "redis_equals_ledger", "every_lock_resolved", "one_epoch_commits"] {
        assert!(judged(&evidence, claim).verdict.is_held(), "{claim}");
    }
}

#[test]
fn a_violation_on_the_sound_part_is_not_masked() {
    let torn_and_drifted = |evidence: &mut Evidence| {
        evidence.stops[1].snapshot.consistent = false;
        evidence.stops[0].snapshot.redis.get_mut(&item(2)).unwrap().stock = Some("9".into());
    };
    trips("redis_equals_ledger", "Redis offers 9 units", torn_and_drifted);
    is_unknown("ledger_balances", "not of one moment", torn_and_drifted);
}

#[test]
fn clients_convict_of_overselling_without_any_snapshot() {
    let mut run = HandWritten::sale(&[(1, 1)]);
    run.accept("o-1", &[(1, 1)]).accept("o-2", &[(1, 1)]);
    trips_on(&run.finish(), "no_oversell", "item 1:1:1: 1 units over: 2 were acknowledged");
}

#[test]
fn without_a_stop_the_claims_about_stores_are_unknown() {
    for claim in ["no_oversell", "acknowledged_is_durable", "ledger_balances", "outbox_drained", "carts_are_whole"] {
        is_unknown(claim, "cut off before the stores were read", |evidence| evidence.stops.clear());
    }
}

#[test]
fn a_backlog_that_still_falls_leaves_equality_and_liveness_open_and_judges_safety() {
    let slow = |evidence: &mut Evidence| evidence.stops[0].quiescence.rest = Rest::Slow;
    for claim in ["redis_equals_ledger", "every_lock_resolved", "outbox_drained", "rejected_left_no_trace"] {
        is_unknown(claim, "still falling", slow);
    }
    let mut evidence = clean_run();
    slow(&mut evidence);
    assert!(judged(&evidence, "ledger_balances").verdict.is_held());
    assert!(judged(&evidence, "no_oversell").verdict.is_held());
}

#[test]
fn what_a_stuck_run_left_is_judged() {
    trips("outbox_drained", "is NEW after 3 attempts", |evidence| {
        evidence.stops[0].quiescence.rest = Rest::Stuck;
        let row = &mut evidence.stops[0].snapshot.outbox[0];
        (row.status, row.attempts) = ("NEW".into(), 3);
    });
}
