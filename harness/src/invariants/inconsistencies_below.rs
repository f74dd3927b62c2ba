//! Service level: items and orders out of balance, as the reconciler counts them. Any that is left at rest violates a claim as well.

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::story;
use super::verdict::Verdict;
use crate::measure::disturbance::disturbed;

pub(crate) const CLAIM: Claim = Claim {
    name: "inconsistencies_below",
    sentence: "Outside faults, the reconciler never counts more than 100 items and orders out of balance.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// Name of the sample.
const SAMPLE: &str = "inconsistencies";
/// Most that may be counted.
const LIMIT: f64 = 100.0;

fn examine(case: &Case<'_>) -> Examination {
    let disturbed = disturbed(case.faults());
    let calm = |at| !disturbed.iter().any(|(from, to)| (*from..=*to).contains(&at));
    let history = &case.evidence.history;
    let counts: Vec<_> = history.samples.iter().filter(|sample| sample.what.name == SAMPLE && calm(sample.at)).collect();
    let looked_at = format!("{} counts of the reconciler", counts.len());
    if counts.is_empty() {
        return Examination::unknown(looked_at, format!("nobody recorded what the reconciler counts (samples named {SAMPLE})"));
    }
    let over = counts.iter().filter(|sample| sample.what.value > LIMIT);
    let worst = over.max_by(|a, b| a.what.value.total_cmp(&b.what.value)).map(|sample| {
        let what =
            format!("{:.0} items and orders were out of balance at {}, at most {LIMIT} may be", sample.what.value, sample.at);
        story::of_time(case, None, sample.at, what)
    });
    Examination::new(looked_at, Verdict::from_violations(counts.len() as u64, worst.into_iter().collect()))
}
