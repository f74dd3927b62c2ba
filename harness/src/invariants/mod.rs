//! Claims about a run, each judged from evidence alone.
//!
//! In: [`Evidence`], read from a run folder. Out: one [`Finding`] for each claim, always all of them. No async, no sockets, no
//! clock, so that a claim takes microseconds in a unit test and judges last month's folder as it judged that night.
//!
//! One claim a file. A claim is data ([`claim::Claim`]): its name, its sentence, what it leans on, and a function that looks for
//! counter-examples in a [`case::Case`], which is the evidence with indexes that are built once.

pub mod evidence;
pub mod verdict;

mod asked;
mod case;
mod claim;
mod failure_rates;
mod fates;
mod holdings;
mod index;
mod linearizable;
mod story;
mod supply;
mod suspects;
mod words;

mod acknowledged_is_durable;
mod alerts_match_history;
mod answers_without_error;
mod audits_find_nothing;
mod carts_are_whole;
mod deduct_failures_below;
mod drain_sells_exactly_supply;
mod every_lock_resolved;
mod evidence_is_sound;
mod faults_bit;
mod generator_kept_up;
mod inconsistencies_below;
mod kill_points_covered;
mod latency_within_budget;
mod ledger_balances;
mod legal_transitions;
mod no_false_sold_out;
mod no_oversell;
mod nothing_unasked;
mod once_per_order_id;
mod one_epoch_commits;
mod outbox_drained;
mod pre_deduct_failures_below;
mod recovers_in_time;
mod redis_equals_ledger;
mod rejected_left_no_trace;
mod stops_cleanly;
mod user_quota_respected;

#[cfg(test)]
mod hand_written;
#[cfg(test)]
mod hand_written_changes;
#[cfg(test)]
mod tests;

pub use evidence::Evidence;
pub use fates::{Fate, fates};
pub use verdict::{Finding, Story, Verdict, Violation};

use case::Case;
use claim::Claim;

/// Every claim, in the order of the report.
const CLAIMS: [&Claim; 28] = [
    &evidence_is_sound::CLAIM,
    &no_oversell::CLAIM,
    &no_false_sold_out::CLAIM,
    &acknowledged_is_durable::CLAIM,
    &rejected_left_no_trace::CLAIM,
    &nothing_unasked::CLAIM,
    &once_per_order_id::CLAIM,
    &carts_are_whole::CLAIM,
    &legal_transitions::CLAIM,
    &ledger_balances::CLAIM,
    &redis_equals_ledger::CLAIM,
    &audits_find_nothing::CLAIM,
    &every_lock_resolved::CLAIM,
    &outbox_drained::CLAIM,
    &one_epoch_commits::CLAIM,
    &user_quota_respected::CLAIM,
    &drain_sells_exactly_supply::CLAIM,
    &faults_bit::CLAIM,
    &kill_points_covered::CLAIM,
    &recovers_in_time::CLAIM,
    &stops_cleanly::CLAIM,
    &answers_without_error::CLAIM,
    &latency_within_budget::CLAIM,
    &pre_deduct_failures_below::CLAIM,
    &deduct_failures_below::CLAIM,
    &inconsistencies_below::CLAIM,
    &alerts_match_history::CLAIM,
    &generator_kept_up::CLAIM,
];

/// Names of all claims, in the order of the report.
pub fn names() -> impl Iterator<Item = &'static str> {
    CLAIMS.iter().map(|claim| claim.name)
}

/// Name of the claim that the evidence can be trusted; a violation of it means that the rig failed.
pub const EVIDENCE_IS_SOUND: &str = evidence_is_sound::CLAIM.name;

/// Claims that are service levels: a violation of one misses a budget, it is no violation of an invariant.
pub const SERVICE_LEVELS: &[&str] = &[
    answers_without_error::CLAIM.name,
    latency_within_budget::CLAIM.name,
    pre_deduct_failures_below::CLAIM.name,
    deduct_failures_below::CLAIM.name,
    inconsistencies_below::CLAIM.name,
    alerts_match_history::CLAIM.name,
];

/// Judges a run: every claim, always all, in a fixed order that starts with `evidence_is_sound`.
///
/// O(n log n) in operations and rows.
#[must_use]
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let case = Case::new(evidence);
    CLAIMS.iter().map(|claim| claim.judge(&case)).collect()
}
