//! Shares of failures over sliding windows, from running totals that were sampled.
//!
//! In: a history whose samples hold totals by process, and stretches of time to leave out. Out: [`RateWindow`]s of 60 s with at least 100
//! attempts. A total that falls belongs to a process that was restarted and counts from zero again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Offset;
use crate::history::operation::History;

/// Calls of `pre_deduct` so far, counted by the proxy of a process.
pub const PRE_DEDUCT_ATTEMPTS: &str = "pre_deduct_attempts";
/// Of those, calls that ended in an error or in doubt; refusals do not count.
pub const PRE_DEDUCT_ERRORS: &str = "pre_deduct_errors";
/// Deduct transactions committed so far.
pub const DEDUCT_COMMITTED: &str = "deduct_committed";
/// Deduct transactions that failed so far.
pub const DEDUCT_FAILED: &str = "deduct_failed";

/// Length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Fewest attempts of a window that says something.
pub const ATTEMPTS_MIN: f64 = 100.0;

/// Attempts and failures of the 60 s that end at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateWindow {
    /// End of the window.
    pub ends: Offset,
    /// Attempts.
    pub attempts: f64,
    /// Failures among them.
    pub failures: f64,
}

impl RateWindow {
    /// Share of failures, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.failures / self.attempts.max(1.0)
    }
}

/// How a share is read from totals.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// Samples that add up to the attempts.
    pub attempts: &'static [&'static str],
    /// Samples that count failures.
    pub failures: &'static [&'static str],
}

/// Of `pre_deduct`.
pub const PRE_DEDUCT: Totals = Totals { attempts: &[PRE_DEDUCT_ATTEMPTS], failures: &[PRE_DEDUCT_ERRORS] };
/// Of deduct transactions.
pub const DEDUCT: Totals = Totals { attempts: &[DEDUCT_COMMITTED, DEDUCT_FAILED], failures: &[DEDUCT_FAILED] };

/// Every window with enough attempts, in order of its end. What was counted inside a stretch of `without` is left out.
#[must_use]
pub fn windows(history: &History, totals: Totals, without: &[(Offset, Offset)]) -> Vec<RateWindow> {
    let mut steps: BTreeMap<Offset, (f64, f64)> = BTreeMap::new();
    for (at, by) in increments(history, totals.attempts) {
        steps.entry(at).or_default().0 += by;
    }
    for (at, by) in increments(history, totals.failures) {
        steps.entry(at).or_default().1 += by;
    }
    let kept = |at: &Offset| !without.iter().any(|(from, to)| (*from..=*to).contains(at));
    let steps: Vec<(Offset, (f64, f64))> = steps.into_iter().filter(|(at, _)| kept(at)).collect();
    let (mut first, mut attempts, mut failures, mut windows) = (0, 0.0, 0.0, Vec::new());
    for (ends, by) in &steps {
        attempts += by.0;
        failures += by.1;
        while steps[first].0.plus(WINDOW) <= *ends {
            attempts -= steps[first].1.0;
            failures -= steps[first].1.1;
            first += 1;
        }
        if attempts >= ATTEMPTS_MIN {
            windows.push(RateWindow { ends: *ends, attempts, failures });
        }
    }
    windows
}

/// What each total grew by, dated at the later of two samples.
fn increments(history: &History, names: &[&str]) -> Vec<(Offset, f64)> {
    let mut last: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut grown = Vec::new();
    for sample in history.samples.iter().filter(|sample| names.contains(&sample.what.name.as_str())) {
        let before = last.insert((&sample.what.name, &sample.what.of), sample.what.value).unwrap_or(0.0);
        let by = if sample.what.value >= before { sample.what.value - before } else { sample.what.value };
        grown.push((sample.at, by));
    }
    grown
}
