//! Precedence of the verdict classes.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails has failed")]

use harness::invariants::{Evidence, Finding, Verdict};
use harness::report::outcome::outcome;
use harness::report::{OutcomeClass, RunIdentity};
use harness::snapshot::Rest;

use crate::report_synthetic as synthetic;

/// All that an outcome is weighed from; a run in which everything held, unless a test says otherwise.
struct Case {
    identity: RunIdentity,
    findings: Vec<Finding>,
    evidence: Evidence,
}

fn held() -> Case {
    Case { identity: synthetic::identity(), findings: synthetic::all_held(), evidence: synthetic::evidence(1) }
}

impl Case {
    fn verdict(mut self, invariant: &str, verdict: Verdict) -> Self {
        self.findings.iter_mut().find(|finding| finding.invariant == invariant).unwrap().verdict = verdict;
        self
    }

    fn class(&self) -> OutcomeClass {
        outcome(&self.identity, &self.findings, &self.evidence).class
    }
}

fn with(case: Case, change: impl FnOnce(&mut Case)) -> Case {
    let mut case = case;
    change(&mut case);
    case
}

fn oversold() -> Case {
    held().verdict("no_oversell", synthetic::violated("2 units over"))
}

#[test]
fn one_thing_wrong_gives_its_own_class() {
    let unknown = || Verdict::unknown("too few answers");
    let table = [
        ("nothing", held(), OutcomeClass::Held),
        ("oversell", oversold(), OutcomeClass::Violated),
        ("budget", held().verdict("latency_within_budget", synthetic::violated("p99 is 12 ms")), OutcomeClass::BudgetMissed),
        ("required unknown", held().verdict("redis_equals_ledger", unknown()), OutcomeClass::Inconclusive),
        ("unknown, not required", held().verdict("carts_are_whole", unknown()), OutcomeClass::Held),
        ("unsound", held().verdict("evidence_is_sound", synthetic::violated("n skips 7")), OutcomeClass::RigFailed),
        ("rig", with(held(), |case| case.identity.rig_errors.push("api-1 died".into())), OutcomeClass::RigFailed),
        ("damage", with(held(), |case| case.evidence.damage.push("bad frame".into())), OutcomeClass::RigFailed),
        ("history", with(held(), |case| case.evidence.history.problems.push("n skips 7".into())), OutcomeClass::RigFailed),
        ("edited", with(held(), |case| case.evidence.edited.push("plan.json was changed".into())), OutcomeClass::Inconclusive),
        ("no end", with(held(), |case| case.evidence.history.tail = None), OutcomeClass::Inconclusive),
        ("slow", with(held(), |case| case.evidence.stops[0].quiescence.rest = Rest::Slow), OutcomeClass::Inconclusive),
        ("stuck, judged", with(held(), |case| case.evidence.stops[0].quiescence.rest = Rest::Stuck), OutcomeClass::Held),
        ("no claims", with(held(), |case| case.findings.clear()), OutcomeClass::Inconclusive),
        ("interrupted", with(held(), |case| case.identity.interrupted = true), OutcomeClass::Interrupted),
    ];
    for (name, case, expected) in table {
        assert_eq!(case.class(), expected, "{name}");
    }
}

#[test]
fn a_violation_is_masked_by_nothing_but_an_interruption() {
    let table = [
        ("rig", with(oversold(), |case| case.identity.rig_errors.push("api-1 died".into())), OutcomeClass::Violated),
        ("edited", with(oversold(), |case| case.evidence.edited.push("snapshot was changed".into())), OutcomeClass::Violated),
        ("unsound", oversold().verdict("evidence_is_sound", synthetic::violated("reads differ")), OutcomeClass::Violated),
        ("unknown", oversold().verdict("redis_equals_ledger", Verdict::unknown("-")), OutcomeClass::Violated),
        ("budget", oversold().verdict("latency_within_budget", synthetic::violated("slow")), OutcomeClass::Violated),
        ("interrupted", with(oversold(), |case| case.identity.interrupted = true), OutcomeClass::Interrupted),
    ];
    for (name, case, expected) in table {
        assert_eq!(case.class(), expected, "{name}");
    }
}

#[test]
fn a_failed_rig_outweighs_doubt_and_doubt_outweighs_a_budget() {
    let doubtful = || held().verdict("redis_equals_ledger", Verdict::unknown("-"));
    let rig = with(doubtful(), |case| case.identity.rig_errors.push("api-1 died".into()));
    assert_eq!(rig.class(), OutcomeClass::RigFailed);
    assert_eq!(doubtful().verdict("latency_within_budget", synthetic::violated("slow")).class(), OutcomeClass::Inconclusive);
}

#[test]
fn every_class_has_its_exit_code_and_the_sentence_names_what_is_wrong() {
    let exit = |case: &Case| outcome(&case.identity, &case.findings, &case.evidence).exit;
    assert_eq!((exit(&held()), exit(&oversold())), (0, 1));
    let case = oversold();
    let sentence = outcome(&case.identity, &case.findings, &case.evidence).sentence;
    assert!(sentence.contains("no_oversell") && sentence.contains("2 units over"), "{sentence}");
}
