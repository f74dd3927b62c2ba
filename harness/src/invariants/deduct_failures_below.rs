//! Service level: deduct transactions that failed, among those that failed or committed.

use super::claim::{Claim, Part};
use super::failure_rates;
use crate::measure::rates::DEDUCT;

pub(crate) const CLAIM: Claim = Claim {
    name: "deduct_failures_below",
    sentence: "In any 60 s outside faults, at most 1 % of the deduct transactions fail.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine: |case| failure_rates::judge(case, "deduct transactions", DEDUCT, LIMIT),
};

/// Largest share of failed transactions.
pub(super) const LIMIT: f64 = 0.01;
