//! What a run of a defect proves, beside the clean run of the same scenario.
//!
//! In: the line of the table, the run, its control. Out: killed, seen, escaped or unknown, and by which claims. Pure.

use harness::invariants::SERVICE_LEVELS;
use harness::report::OutcomeClass;

use super::expectations::Expectation;
use super::matrix::{Run, Trial, Verdict};

/// Whether a clean run is one that a defect may be measured against. A service level that was missed beside other work says nothing of what is right.
pub(super) const fn is_clean(run: &Run) -> bool {
    matches!(run.class, Some(OutcomeClass::Held | OutcomeClass::BudgetMissed))
}

/// Whether a run says anything by itself. One that is not sound is repeated.
pub(super) const fn is_sound(run: &Run) -> bool {
    matches!(run.class, Some(OutcomeClass::Held | OutcomeClass::BudgetMissed | OutcomeClass::Violated))
}

/// Claims of the line that the run violates. A service level only counts where the clean run kept it, as both are run side by side.
pub(super) fn killers(line: &Expectation, run: &Run, control: &Run) -> Vec<String> {
    let trusted = !matches!(run.class, None | Some(OutcomeClass::RigFailed | OutcomeClass::Interrupted | OutcomeClass::Usage));
    let counts = |claim: &str| !is_level(claim) || !control.violates(claim);
    let named = line.claims.iter().filter(|claim| trusted && run.violates(claim) && counts(claim));
    named.map(|claim| (*claim).to_owned()).collect()
}

fn is_level(claim: &str) -> bool {
    SERVICE_LEVELS.contains(&claim)
}

/// Weighs one run.
pub(super) fn judge(line: &Expectation, run: Run, control: &Run) -> Trial {
    let killed_by = killers(line, &run, control);
    let (verdict, why) = match () {
        () if !is_clean(control) => (Verdict::Unknown, Some(format!("its clean control did not hold: {}", control.sentence))),
        () if !killed_by.is_empty() => (Verdict::Killed, None),
        () if !is_sound(&run) => (Verdict::Unknown, Some(run.sentence.clone())),
        () if run.violated.iter().any(|found| !is_level(&found.claim)) => {
            (Verdict::Seen, Some("only claims that do not name its harm are violated".to_owned()))
        }
        () => (Verdict::Escaped, Some("no claim is violated".to_owned())),
    };
    Trial { run, verdict, killed_by, why }
}

#[cfg(test)]
mod tests {
    use super::super::expectations::Length;
    use super::super::matrix::Detection;
    use super::*;

    const LINE: Expectation = Expectation {
        defect: "some_defect",
        scenario: "steady",
        claims: &["no_oversell", "latency_within_budget"],
        length: Length::Short,
        quick: false,
    };

    fn run(class: OutcomeClass, violated: &[&str]) -> Run {
        let found = |claim: &&str| Detection { claim: (*claim).to_owned(), count: 1, what: String::new(), at_ms: None };
        Run { class: Some(class), violated: violated.iter().map(found).collect(), ..Run::default() }
    }

    fn verdict(class: OutcomeClass, violated: &[&str], control: &Run) -> Verdict {
        judge(&LINE, run(class, violated), control).verdict
    }

    #[test]
    fn only_a_claim_of_the_line_kills_and_only_beside_a_clean_control() {
        use OutcomeClass::{BudgetMissed, Held, Inconclusive, Interrupted, RigFailed, Violated};
        let clean = run(Held, &[]);
        assert_eq!(verdict(Violated, &["no_oversell", "ledger_balances"], &clean), Verdict::Killed);
        assert_eq!(verdict(Violated, &["ledger_balances"], &clean), Verdict::Seen);
        assert_eq!(verdict(Held, &[], &clean), Verdict::Escaped);
        assert_eq!(verdict(Violated, &["no_oversell"], &run(BudgetMissed, &["latency_within_budget"])), Verdict::Killed);
        for control in [Violated, Inconclusive, RigFailed] {
            assert_eq!(verdict(Violated, &["no_oversell"], &run(control, &[])), Verdict::Unknown);
        }
        assert_eq!(verdict(Violated, &["no_oversell"], &Run::default()), Verdict::Unknown);
        for class in [Inconclusive, RigFailed, Interrupted] {
            assert_eq!(verdict(class, &[], &clean), Verdict::Unknown);
        }
    }

    #[test]
    fn a_service_level_decides_only_where_it_is_the_harm_and_the_clean_run_kept_it() {
        use OutcomeClass::{BudgetMissed, Held, RigFailed};
        let (clean, slow) = (run(Held, &[]), run(BudgetMissed, &["latency_within_budget"]));
        assert_eq!(verdict(BudgetMissed, &["latency_within_budget"], &clean), Verdict::Killed);
        assert_eq!(verdict(BudgetMissed, &["latency_within_budget"], &slow), Verdict::Escaped);
        assert_eq!(verdict(BudgetMissed, &["deduct_failures_below"], &clean), Verdict::Escaped);
        assert_eq!(verdict(RigFailed, &["latency_within_budget"], &clean), Verdict::Unknown);
    }
}
