//! Shares of failures over sliding windows, from running totals that were sampled.
//!
//! In: a history whose samples hold totals by process, and stretches of time to leave out. Out: [`RateWindow`]s of 60 s with at least 100
//! attempts. A total that falls belongs to a process that was restarted and counts from zero again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Offset;
use crate::history::operation::History;
use crate::history::record::ProcStep;

/// Calls of `pre_deduct` so far, counted by the proxy of a process, or by the process itself where no proxy stands before Redis.
pub const PRE_DEDUCT_ATTEMPTS: &str = "pre_deduct_attempts";
/// Of those, calls that ended in an error or in doubt; refusals do not count.
pub const PRE_DEDUCT_ERRORS: &str = "pre_deduct_errors";
/// Moments so far at which the process may have counted a failure that its proxy could not see: replies so late that it may have given up, and
/// connections that ended or could not be opened.
pub const PRE_DEDUCT_DOUBTS: &str = "pre_deduct_doubts";
/// Deduct transactions committed so far.
pub const DEDUCT_COMMITTED: &str = "deduct_committed";
/// Deduct transactions that failed so far.
pub const DEDUCT_FAILED: &str = "deduct_failed";
/// Items and orders that the service finds out of balance now.
pub const INCONSISTENCIES: &str = "inconsistencies";
/// Age of the oldest lock of an item whose units Redis gives out, ms. Locks of an item that was closed, or that MySQL sells, are void.
pub const OLDEST_OPEN_LOCK: &str = "oldest_open_lock_ms";
/// Of an alert, 1 while it is on.
pub const ALERT: &str = "alert";
/// Stands between the name of an alert and the process that evaluates it, if it is evaluated by each for itself.
pub const ALERT_OF: &str = "@";
/// Samples that make no curve worth looking at: totals, states, and what differs from another curve only where an item is closed.
pub const NO_CURVES: [&str; 7] =
    [PRE_DEDUCT_ATTEMPTS, PRE_DEDUCT_ERRORS, PRE_DEDUCT_DOUBTS, DEDUCT_COMMITTED, DEDUCT_FAILED, OLDEST_OPEN_LOCK, ALERT];

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
    /// Moments at which there may have been failures that are not among them.
    pub doubts: f64,
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
    /// Samples that count doubts.
    pub doubts: &'static [&'static str],
}

/// Of `pre_deduct`.
pub const PRE_DEDUCT: Totals =
    Totals { attempts: &[PRE_DEDUCT_ATTEMPTS], failures: &[PRE_DEDUCT_ERRORS], doubts: &[PRE_DEDUCT_DOUBTS] };
/// Of deduct transactions.
pub const DEDUCT: Totals = Totals { attempts: &[DEDUCT_COMMITTED, DEDUCT_FAILED], failures: &[DEDUCT_FAILED], doubts: &[] };

/// What was counted between two samples.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    attempts: f64,
    failures: f64,
    doubts: f64,
}

/// Every window with enough attempts, over all processes, in order of its end. What was counted inside a stretch of `without` is left out.
#[must_use]
pub fn windows(history: &History, totals: Totals, without: &[(Offset, Offset)]) -> Vec<RateWindow> {
    let mut steps = steps(history, totals, |_| true);
    steps.retain(|at, _| !without.iter().any(|(from, to)| (*from..=*to).contains(at)));
    slide(&steps, &[])
}

/// The same over one process, as it can count itself: a start of the process begins anew, because what it had counted went with the one before.
#[must_use]
pub fn windows_of(history: &History, totals: Totals, role: &str) -> Vec<RateWindow> {
    let marks = history.processes.iter().filter(|mark| mark.what.role == role && mark.what.step == ProcStep::Started);
    let starts: Vec<Offset> = marks.map(|mark| mark.at).collect();
    slide(&steps(history, totals, |of| of == role), &starts)
}

/// Windows that end at each step and hold what was counted in the 60 s before, but nothing from before the last of `starts`.
fn slide(steps: &BTreeMap<Offset, Step>, starts: &[Offset]) -> Vec<RateWindow> {
    let steps: Vec<(Offset, Step)> = steps.iter().map(|(at, step)| (*at, *step)).collect();
    let (mut first, mut windows) = (0, Vec::new());
    let mut sum = Step::default();
    for (ends, by) in &steps {
        sum = Step { attempts: sum.attempts + by.attempts, failures: sum.failures + by.failures, doubts: sum.doubts + by.doubts };
        let started = starts.iter().rev().find(|start| *start <= ends);
        while steps[first].0.plus(WINDOW) <= *ends || started.is_some_and(|start| steps[first].0 < *start) {
            let old = steps[first].1;
            sum = Step {
                attempts: sum.attempts - old.attempts,
                failures: sum.failures - old.failures,
                doubts: sum.doubts - old.doubts,
            };
            first += 1;
        }
        if sum.attempts >= ATTEMPTS_MIN {
            windows.push(RateWindow { ends: *ends, attempts: sum.attempts, failures: sum.failures, doubts: sum.doubts });
        }
    }
    windows
}

/// What each total grew by, dated at the later of two samples, for the processes that are `wanted`.
fn steps(history: &History, totals: Totals, wanted: impl Fn(&str) -> bool) -> BTreeMap<Offset, Step> {
    let mut last: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut steps: BTreeMap<Offset, Step> = BTreeMap::new();
    for sample in history.samples.iter().filter(|sample| wanted(&sample.what.of)) {
        let name = sample.what.name.as_str();
        let counts = [totals.attempts, totals.failures, totals.doubts].map(|names| names.contains(&name));
        if !counts.contains(&true) {
            continue;
        }
        let before = last.insert((name, &sample.what.of), sample.what.value).unwrap_or(0.0);
        let by = if sample.what.value >= before { sample.what.value - before } else { sample.what.value };
        let step = steps.entry(sample.at).or_default();
        for (counts, sum) in counts.into_iter().zip([&mut step.attempts, &mut step.failures, &mut step.doubts]) {
            *sum += if counts { by } else { 0.0 };
        }
    }
    steps
}
