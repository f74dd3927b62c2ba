//! Nobody is refused as sold out while units were certainly free.
//!
//! Judged by the linearizability of the stock over time, see [`linearizable`](super::linearizable). A refused attempt of an order that
//! another attempt got is a refusal like any other; that alone is no violation.

use super::case::Case;
use super::claim::{Claim, Examination, Part, Violations};
use super::no_oversell::tell;

pub(crate) const CLAIM: Claim = Claim {
    name: "no_false_sold_out",
    sentence: "No order is refused as sold out while units were certainly free.",
    required: true,
    needs: &[Part::History, Part::Supply],
    uses: &[],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let judgement = case.stock();
    let mut violations = Violations::default();
    for finding in judgement.findings.iter().filter(|finding| !finding.contradiction.is_oversell()) {
        violations.add(|| tell(case, finding));
    }
    let examined = if judgement.findings.is_empty() { judgement.refusals } else { judgement.refusals.max(1) };
    let looked_at = format!("{} refusals of {} items", judgement.refusals, judgement.items);
    Examination { strength: Some(judgement.strength()), ..Examination::new(looked_at, violations.verdict(examined)) }
}
