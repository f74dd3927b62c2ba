//! Service level: calls of `pre_deduct` that ended in an error or in doubt, as the proxies count them. A refusal is no failure.

use super::claim::{Claim, Part};
use super::failure_rates;
use crate::measure::rates::PRE_DEDUCT;

pub(crate) const CLAIM: Claim = Claim {
    name: "pre_deduct_failures_below",
    sentence: "In any 60 s outside faults, at most 5 % of the calls of pre_deduct end in an error or in doubt.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine: |case| failure_rates::judge(case, "pre_deduct", PRE_DEDUCT, LIMIT),
};

/// Largest share of failed calls.
pub(super) const LIMIT: f64 = 0.05;
