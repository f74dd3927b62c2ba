//! Every claim on hand-written evidence: it holds, it trips in each distinct way, and says unknown of nothing.

mod change_claims;
mod edited_runs;
mod fault_claims;
mod history_claims;
mod ledger_claims;
mod level_claims;
mod planted_in_the_harness;
mod soundness;
mod stock_claims;

use super::hand_written::{clean_run, nothing};
use super::*;

/// The finding of one claim.
fn judged(evidence: &Evidence, claim: &str) -> Finding {
    judge(evidence).into_iter().find(|finding| finding.invariant == claim).expect("the claim exists")
}

/// A clean run with one change trips the claim, and its first sentence names the thing.
fn trips(claim: &str, named: &str, change: impl FnOnce(&mut Evidence)) {
    let mut evidence = clean_run();
    change(&mut evidence);
    trips_on(&evidence, claim, named);
}

fn trips_on(evidence: &Evidence, claim: &str, named: &str) {
    let finding = judged(evidence, claim);
    let said: Vec<&str> = finding.verdict.violations().iter().map(|violation| violation.what.as_str()).collect();
    assert!(said.iter().any(|what| what.contains(named)), "{claim} does not say {named:?}: {said:?} {:?}", finding.verdict);
}

/// A clean run with one change makes the claim unknown, for a reason that names the thing.
fn is_unknown(claim: &str, named: &str, change: impl FnOnce(&mut Evidence)) {
    let mut evidence = clean_run();
    change(&mut evidence);
    let finding = judged(&evidence, claim);
    let Verdict::Unknown { why } = &finding.verdict else { panic!("{claim}: {:?}", finding.verdict) };
    assert!(why.contains(named), "{claim}: {why}");
}

#[test]
fn every_invariant_holds_on_a_clean_run() {
    for finding in judge(&clean_run()) {
        match finding.invariant.as_str() {
            "user_quota_respected" | "faults_bit" | "kill_points_covered" | "recovers_in_time" | "stops_cleanly" => {
                assert!(matches!(finding.verdict, Verdict::NotApplicable { .. }))
            }
            name if SERVICE_LEVELS.contains(&name) => {
                assert!(finding.verdict.is_unknown(), "a few operations say nothing about shares and percentiles");
            }
            _ => assert!(finding.verdict.is_held(), "{finding:#?}"),
        }
    }
}

#[test]
fn every_claim_is_unknown_or_not_applicable_on_no_evidence() {
    for finding in judge(&nothing()) {
        assert!(finding.verdict.is_unknown() || matches!(finding.verdict, Verdict::NotApplicable { .. }), "{finding:#?}");
    }
}

#[test]
fn all_claims_are_judged_always_and_soundness_comes_first() {
    let names: Vec<String> = judge(&nothing()).into_iter().map(|finding| finding.invariant).collect();
    assert_eq!(names[0], EVIDENCE_IS_SOUND);
    assert_eq!(names.len(), CLAIMS.len());
    assert!(SERVICE_LEVELS.iter().all(|level| names.iter().any(|name| name == level)));
}
