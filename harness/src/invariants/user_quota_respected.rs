//! Nobody holds more units of an item than the purchase limit of the sale allows.
//!
//! No scenario states a limit, so the claim applies to no run.

use super::case::Case;
use super::claim::{Claim, Examination};

pub(crate) const CLAIM: Claim = Claim {
    name: "user_quota_respected",
    sentence: "No user holds more units of an item than its purchase limit.",
    required: false,
    needs: &[],
    uses: &[],
    examine,
};

fn examine(_: &Case<'_>) -> Examination {
    Examination::not_applicable("the scenario sets no purchase limit")
}
