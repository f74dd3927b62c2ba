//! The load generator sent what was planned. One that shed more than 1 % of its arrivals did not put the planned load on the
//! service, and nobody can say what the service would have done: unknown, which makes the run inconclusive. So does one that sent
//! nothing at all.

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::verdict::Verdict;
use crate::history::record::ShedCause;

pub(crate) const CLAIM: Claim = Claim {
    name: "generator_kept_up",
    sentence: "The load generator sent at least 99 % of the planned arrivals.",
    required: true,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// Largest share of arrivals that may be shed.
const SHED_MAX: f64 = 0.01;

fn examine(case: &Case<'_>) -> Examination {
    let planned = case.evidence.plan.arrivals.len();
    let looked_at = format!("{planned} planned arrivals, {} shed for want of a slot", shed(case));
    let verdict = match shed_share(case).filter(|share| *share > SHED_MAX) {
        _ if case.evidence.history.operations.is_empty() => Verdict::unknown("nothing was sent"),
        Some(share) => Verdict::unknown(format!("{:.2} % of the planned arrivals were shed", share * 100.0)),
        None => Verdict::from_violations(planned as u64, Vec::new()),
    };
    Examination::new(looked_at, verdict)
}

fn shed(case: &Case<'_>) -> usize {
    case.evidence.history.sheds.iter().filter(|shed| shed.what.why == ShedCause::NoSlot).count()
}

/// Share of the planned arrivals that found no slot; `None` if nothing was planned.
#[expect(clippy::cast_precision_loss, reason = "a share of at most 5000000 arrivals")]
pub(crate) fn shed_share(case: &Case<'_>) -> Option<f64> {
    let planned = case.evidence.plan.arrivals.len();
    (planned > 0).then(|| shed(case) as f64 / planned as f64)
}
