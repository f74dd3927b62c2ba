//! Every kill point that the plan aims at was met, with the action that was asked for, and bit.
//!
//! Never violated: an empty cell of the matrix says that the rig missed, and leaves open what the service would have done. A point that
//! the service declares unreachable (it sends its transaction in one packet) is no empty cell.

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::verdict::Verdict;
use crate::measure::coverage::points;

pub(crate) const CLAIM: Claim = Claim {
    name: "kill_points_covered",
    sentence: "Every required cell of the matrix of kill points and actions was hit at least once.",
    required: true,
    needs: &[Part::History],
    uses: &[],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let cells = points(&case.evidence.plan, &case.evidence.history, case.faults());
    let asked: Vec<_> = cells.iter().filter(|cell| cell.required && cell.unreachable.is_none()).collect();
    if asked.is_empty() {
        return Examination::not_applicable("the plan aims at no kill point that this service can be met at");
    }
    let hits: u64 = asked.iter().map(|cell| cell.hits).sum();
    let looked_at = format!("{} required cells, {hits} hits", asked.len());
    let empty: Vec<String> =
        asked.iter().filter(|cell| cell.bitten == 0).map(|cell| format!("{} × {}", cell.point, cell.action.name())).collect();
    if empty.is_empty() {
        return Examination::new(looked_at, Verdict::from_violations(hits, Vec::new()));
    }
    Examination::unknown(looked_at, format!("{} of {} required cells are empty: {}", empty.len(), asked.len(), empty.join(", ")))
}
