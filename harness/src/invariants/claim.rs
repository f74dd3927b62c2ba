//! A claim as data: its name, its sentence, what it leans on, and the function that examines a run for it.
//!
//! In: a [`Case`]. Out: a [`Finding`]. Here it is decided what unsound or missing evidence does to an answer, once for all
//! claims: a violation on evidence that stays sound is kept; holding is only believed if nothing was missing.

use super::case::Case;
use super::verdict::{Finding, Strength, VIOLATIONS_KEPT, Verdict, Violation};
use super::words::grouped;

/// A part of the evidence that a claim can lean on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Operations, as their clients saw them.
    History,
    /// The supply that the sale opened with.
    Supply,
    /// Snapshots. One that is not sound is never shown to an examination, so a violation always stands on a sound one.
    Stores,
    /// That the stores were at rest when they were read.
    Rest,
}

/// A claim about a run.
#[derive(Debug)]
pub(crate) struct Claim {
    /// `no_oversell`.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) sentence: &'static str,
    /// Whether a run that gives no answer is inconclusive.
    pub(crate) required: bool,
    /// Parts without which even a violation means nothing.
    pub(crate) needs: &'static [Part],
    /// Parts without which holding is no proof.
    pub(crate) uses: &'static [Part],
    /// Looks for counter-examples.
    pub(crate) examine: fn(&Case<'_>) -> Examination,
}

/// What an examination found.
#[derive(Debug)]
pub(crate) struct Examination {
    pub(crate) verdict: Verdict,
    pub(crate) looked_at: String,
    pub(crate) strength: Option<Strength>,
}

impl Examination {
    /// An answer without a choice of methods.
    pub(crate) fn new(looked_at: impl Into<String>, verdict: Verdict) -> Self {
        Self { verdict, looked_at: looked_at.into(), strength: None }
    }

    /// The claim does not apply to this run.
    pub(crate) fn not_applicable(why: impl Into<String>) -> Self {
        Self::new("nothing", Verdict::NotApplicable { why: why.into() })
    }

    /// The evidence does not say.
    pub(crate) fn unknown(looked_at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(looked_at, Verdict::unknown(why))
    }
}

impl Claim {
    /// Examines a run and weighs the answer by the soundness of what it leans on.
    pub(crate) fn judge(&self, case: &Case<'_>) -> Finding {
        let mut examination = (self.examine)(case);
        let lacking = |parts: &[Part]| parts.iter().find_map(|part| case.lacking(*part));
        if !matches!(examination.verdict, Verdict::NotApplicable { .. }) {
            let reason = lacking(self.needs).or_else(|| lacking(self.uses).filter(|_| !examination.verdict.is_violated()));
            if let Some(why) = reason {
                examination.verdict = Verdict::Unknown { why };
            }
        }
        Finding {
            invariant: self.name.to_owned(),
            claim: self.sentence.to_owned(),
            required: self.required,
            strength: examination.strength,
            looked_at: grouped(&examination.looked_at),
            verdict: examination.verdict,
        }
    }
}

/// Counter-examples as they are found: all are counted, the worst [`VIOLATIONS_KEPT`] are kept and told.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    count: usize,
    kept: Vec<(u64, Violation)>,
}

impl Violations {
    /// Adds one that weighs nothing in particular: the first found are kept.
    pub(crate) fn add(&mut self, tell: impl FnOnce() -> Violation) {
        self.add_weighed(0, tell);
    }

    /// Adds one that is worse the greater its weight is. `tell` is only called for one that is kept.
    pub(crate) fn add_weighed(&mut self, weight: u64, tell: impl FnOnce() -> Violation) {
        self.count += 1;
        let place = self.kept.partition_point(|(other, _)| *other >= weight);
        if place < VIOLATIONS_KEPT {
            self.kept.insert(place, (weight, tell()));
            self.kept.truncate(VIOLATIONS_KEPT);
        }
    }

    /// Held, violated, or unknown if nothing was examined.
    pub(crate) fn verdict(self, examined: usize) -> Verdict {
        Verdict::from_counted(examined as u64, self.count, self.kept.into_iter().map(|(_, violation)| violation).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_counter_examples_are_counted_and_the_worst_are_kept_first() {
        let mut violations = Violations::default();
        for weight in 0..50 {
            violations.add_weighed(weight, || Violation { units: Some(weight.cast_signed()), ..Violation::default() });
        }
        let verdict = violations.verdict(50);
        assert_eq!(verdict.violations().len(), VIOLATIONS_KEPT);
        assert_eq!(verdict.violations()[0].units, Some(49));
        assert!(matches!(verdict, Verdict::Violated { count, .. } if count.get() == 50));
    }
}
