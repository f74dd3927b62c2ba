//! Every fault that was planned or injected had an effect.
//!
//! A run in which the harm did nothing proves nothing about recovery, however well it went. Proof is what the nemesis recorded when it
//! saw the effect, and at least 20 operations in flight or begun meanwhile. This claim is never violated: a fault that did not bite is
//! the rig's, not the service's, and leaves the answer open.

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::verdict::Verdict;
use crate::measure::coverage::points;
use crate::measure::disturbance::Disturbance;
use crate::scenario::faults::Fault;

pub(crate) const CLAIM: Claim = Claim {
    name: "faults_bit",
    sentence: "Every planned fault was injected, and something other than its injection proves that it had an effect.",
    required: true,
    needs: &[Part::History],
    uses: &[],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let planned = &case.evidence.scenario().faults;
    let faults = case.faults();
    if planned.is_empty() && faults.is_empty() {
        return Examination::not_applicable("no fault was planned, and none was injected");
    }
    let cells = points(&case.evidence.plan, &case.evidence.history, faults);
    // A point that the service can never be met at is no fault that failed; the matrix shows it as such.
    let unreachable = |id: u32| {
        let window = usize::try_from(id).ok().and_then(|place| planned.get(place));
        let Some(Fault::Point { point, .. }) = window.map(|window| &window.fault) else { return false };
        cells.iter().any(|cell| cell.unreachable.is_some() && cell.point == *point)
    };
    let reachable = || faults.iter().filter(|fault| !unreachable(fault.span.id));
    let toothless = reachable().filter_map(|fault| Some(format!("{} did not bite: {}", name(fault), fault.toothless.as_ref()?)));
    let traceless = |id: u32| !unreachable(id) && !faults.iter().any(|fault| fault.span.id == id);
    let absent = (0_u32..).zip(planned).filter(|(id, _)| traceless(*id));
    let absent = absent.map(|(id, window)| format!("fault {id} ({} on {}) left no trace", window.fault.name(), window.target));
    let blunt: Vec<String> = toothless.chain(absent).collect();
    let looked_at = format!("{} faults, {} of them without proof", faults.len().max(planned.len()), blunt.len());
    let verdict = match blunt.as_slice() {
        [] => Verdict::from_violations(reachable().count() as u64, Vec::new()),
        [one] => Verdict::unknown(one),
        [first, rest @ ..] => Verdict::unknown(format!("{first}; and {} more", rest.len())),
    };
    Examination::new(looked_at, verdict)
}

/// `fault 3 (redis_partition on api-1)`.
pub(super) fn name(fault: &Disturbance) -> String {
    format!("fault {} ({} on {})", fault.span.id, fault.span.kind, fault.span.target)
}
