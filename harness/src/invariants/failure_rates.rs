//! What the two service levels about shares of failed calls have in common.
//!
//! In: a [`Case`], totals, a limit. Out: an [`Examination`] of every 60 s with at least 100 attempts, outside faults and recoveries.

use super::case::Case;
use super::claim::Examination;
use super::story;
use super::verdict::Verdict;
use crate::measure::disturbance::disturbed;
use crate::measure::rates::{ATTEMPTS_MIN, Totals, windows};

/// Judges the share of failures of `what`; `limit` is a share between 0 and 1.
pub(super) fn judge(case: &Case<'_>, what: &str, totals: Totals, limit: f64) -> Examination {
    let windows = windows(&case.evidence.history, totals, &disturbed(case.faults()));
    let looked_at = format!("{} windows of 60 s of {what}", windows.len());
    if windows.is_empty() {
        let names = totals.attempts.join(", ");
        let why = format!("no 60 s with {ATTEMPTS_MIN} calls outside faults were recorded (samples named {names})");
        return Examination::unknown(looked_at, why);
    }
    let worst = windows.iter().rev().filter(|window| window.share() > limit).max_by(|a, b| a.share().total_cmp(&b.share()));
    let violation = worst.map(|window| {
        let (share, limit) = (window.share() * 100.0, limit * 100.0);
        let sentence = format!(
            "{what}: {:.0} of {:.0} failed in the 60 s before {}, {share:.1} %, at most {limit} % may",
            window.failures, window.attempts, window.ends
        );
        story::of_time(case, None, window.ends, sentence)
    });
    Examination::new(looked_at, Verdict::from_violations(windows.len() as u64, violation.into_iter().collect()))
}
