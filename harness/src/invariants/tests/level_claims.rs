//! Service levels that are counted in samples: totals grow by 100 calls every 10 s.

use super::*;
use crate::clock::Offset;
use crate::history::operation::Timed;
use crate::history::record::Sample;

fn sample(evidence: &mut Evidence, at_s: u64, name: &str, of: &str, value: u64) {
    let what = Sample { name: name.to_owned(), of: of.to_owned(), value: value as f64 };
    evidence.history.samples.push(Timed { at: Offset::from_millis(at_s * 1_000), what });
}

/// Totals of one process; from `worse_s` on, `failing` of each 100 calls fail.
fn counted(names: (&str, &str), (worse_s, failing): (u64, u64)) -> Evidence {
    let mut evidence = clean_run();
    let mut failed = 0;
    for at_s in (10..=200).step_by(10) {
        failed += if at_s >= worse_s { failing } else { 0 };
        sample(&mut evidence, at_s, names.0, "api-1", at_s * 10);
        sample(&mut evidence, at_s, names.1, "api-1", failed);
    }
    evidence
}

const PRE_DEDUCT: (&str, &str) = ("pre_deduct_attempts", "pre_deduct_errors");

#[test]
fn a_share_of_failures_is_judged_in_windows_of_a_minute() {
    let claim = "pre_deduct_failures_below";
    assert!(judged(&counted(PRE_DEDUCT, (100, 5)), claim).verdict.is_held());
    trips_on(&counted(PRE_DEDUCT, (100, 6)), claim, "36 of 600 failed in the 60 s before 150.000 s, 6.0 %, at most 5 % may");
    let deduct = counted(("deduct_committed", "deduct_failed"), (100, 3));
    trips_on(&deduct, "deduct_failures_below", "deduct transactions: 18 of 618 failed");
}

#[test]
fn a_process_that_counts_from_zero_again_loses_nothing() {
    let mut evidence = clean_run();
    for (at_s, attempts, errors) in [(10, 1_000, 40), (20, 1_090, 40), (30, 50, 9)] {
        sample(&mut evidence, at_s, PRE_DEDUCT.0, "api-1", attempts);
        sample(&mut evidence, at_s, PRE_DEDUCT.1, "api-1", errors);
    }
    assert!(judged(&evidence, "pre_deduct_failures_below").verdict.is_held(), "49 of 1,140");
    evidence.history.samples.last_mut().unwrap().what.value = 30.0;
    trips_on(&evidence, "pre_deduct_failures_below", "70 of 1140 failed");
}

#[test]
fn levels_that_nobody_recorded_or_with_too_few_calls_are_unknown() {
    let levels = ["pre_deduct_failures_below", "deduct_failures_below", "inconsistencies_below", "alerts_match_history"];
    for level in levels {
        assert!(judged(&clean_run(), level).verdict.is_unknown(), "{level}");
    }
    let mut few = clean_run();
    sample(&mut few, 10, PRE_DEDUCT.0, "api-1", 99);
    sample(&mut few, 10, PRE_DEDUCT.1, "api-1", 99);
    assert!(judged(&few, levels[0]).verdict.is_unknown());
}

#[test]
fn the_counts_of_the_reconciler_have_a_limit() {
    let mut evidence = clean_run();
    sample(&mut evidence, 1, "inconsistencies", "", 100);
    assert!(judged(&evidence, "inconsistencies_below").verdict.is_held());
    sample(&mut evidence, 2, "inconsistencies", "", 101);
    trips_on(&evidence, "inconsistencies_below", "101 items and orders were out of balance at 2.000 s");
}

fn with_alert(name: &str, on: impl Fn(u64) -> bool) -> Evidence {
    let mut evidence = counted(PRE_DEDUCT, (100, 20));
    for at_s in (10..=200).step_by(10) {
        sample(&mut evidence, at_s, "alert", name, u64::from(on(at_s)));
    }
    evidence
}

#[test]
fn an_alert_must_be_on_exactly_when_its_threshold_is_passed() {
    let (claim, alert) = ("alerts_match_history", "HoldfastPreDeductErrors");
    // The share passes 5 % at 110 s; one interval before and after is nobody's fault.
    for begins_s in [100, 110, 120] {
        assert!(judged(&with_alert(alert, |at_s| at_s >= begins_s), claim).verdict.is_held(), "{begins_s}");
    }
    trips_on(&with_alert(alert, |_| false), claim, "alert HoldfastPreDeductErrors was off at 130.000 s, its threshold was passed");
    trips_on(&with_alert(alert, |_| true), claim, "was on at 20.000 s, its threshold was not passed");
    let finding = judged(&with_alert("HoldfastMystery", |_| true), claim);
    assert!(finding.verdict.is_unknown(), "the harness counts nothing for it: {finding:#?}");
}

#[test]
fn the_alert_of_old_locks_counts_those_of_items_that_redis_sells() {
    let (claim, alert) = ("alerts_match_history", "HoldfastLocksOld@worker-1");
    let with_locks = |open_from_s: u64, on_from_s: u64| {
        let mut evidence = clean_run();
        for at_s in (10..=200).step_by(10) {
            // One of a closed item is older than any limit all the time.
            sample(&mut evidence, at_s, "oldest_lock_ms", "", 500_000);
            sample(&mut evidence, at_s, "oldest_open_lock_ms", "", if at_s >= open_from_s { 100_000 } else { 10 });
            sample(&mut evidence, at_s, "alert", alert, u64::from(at_s >= on_from_s));
        }
        judged(&evidence, claim)
    };
    assert!(with_locks(999, 999).verdict.is_held());
    assert!(with_locks(100, 110).verdict.is_held());
    assert!(with_locks(100, 999).verdict.is_violated(), "nobody was told");
    assert!(with_locks(999, 100).verdict.is_violated(), "a false alarm");
}

/// As [`counted`], with the alert of one of two processes, and a doubt at `doubts_s`.
fn with_alert_of_one(on: impl Fn(u64) -> bool, doubts_s: u64) -> Evidence {
    let mut evidence = counted(PRE_DEDUCT, (100, 20));
    for at_s in (10..=200).step_by(10) {
        // The other process hides the share of the first in that of both.
        sample(&mut evidence, at_s, PRE_DEDUCT.0, "api-2", at_s * 1_000);
        sample(&mut evidence, at_s, "pre_deduct_doubts", "api-1", u64::from(at_s >= doubts_s));
        sample(&mut evidence, at_s, "alert", "HoldfastPreDeductErrors@api-1", u64::from(on(at_s)));
    }
    evidence
}

#[test]
fn an_alert_of_one_process_is_compared_with_what_that_process_did() {
    let claim = "alerts_match_history";
    assert!(judged(&with_alert_of_one(|at_s| at_s >= 110, 999), claim).verdict.is_held());
    trips_on(&with_alert_of_one(|_| false, 999), claim, "alert HoldfastPreDeductErrors@api-1 was off at 130.000 s");
}

#[test]
fn where_there_was_doubt_an_alert_may_be_on_and_must_be_when_enough_was_seen() {
    let claim = "alerts_match_history";
    trips_on(&with_alert_of_one(|at_s| at_s >= 50, 999), claim, "was on at 50.000 s, its threshold was not passed");
    assert!(judged(&with_alert_of_one(|at_s| at_s >= 50, 40), claim).verdict.is_held(), "calls that no proxy saw may have failed");
    trips_on(&with_alert_of_one(|_| false, 40), claim, "was off at 130.000 s, its threshold was passed");
}

#[test]
fn an_alert_knows_nothing_of_what_went_with_the_process_before() {
    use crate::history::record::{ProcMark, ProcStep};
    let mut evidence = clean_run();
    for at_s in (10..=200).step_by(10) {
        sample(&mut evidence, at_s, PRE_DEDUCT.0, "api-1", at_s * 10);
        sample(&mut evidence, at_s, PRE_DEDUCT.1, "api-1", (at_s.clamp(100, 140) - 100) * 2);
        sample(&mut evidence, at_s, "alert", "HoldfastPreDeductErrors@api-1", u64::from((120..=140).contains(&at_s)));
    }
    trips_on(&evidence, "alerts_match_history", "was off at 150.000 s, its threshold was passed");
    let what = ProcMark { role: "api-1".to_owned(), pid: 1, step: ProcStep::Started, detail: String::new() };
    evidence.history.processes.push(Timed { at: Offset::from_millis(145_000), what });
    assert!(judged(&evidence, "alerts_match_history").verdict.is_held());
}
