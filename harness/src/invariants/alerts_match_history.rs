//! Service level: an alert of the service is on if and only if what the harness counted itself is over the same threshold.
//!
//! Also inside faults: that is when people look at alerts. A state is only compared where it stood for one evaluation interval before and
//! after, so that nobody is blamed for a moment; the interval is the longest pause between two looks at the alert. An alert whose count
//! the harness does not have is not judged. One that each process evaluates for itself is compared with what was counted of that process since it
//! was started. What a proxy cannot see, because a call never reached it or its reply was late, is in the service's favour: a threshold counts as
//! not passed only where there was no such doubt. Locks are those of items that Redis sells: the rebuild that closes an item, or gives it to MySQL,
//! voids its locks, and the alert for a closed item is another one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::case::Case;
use super::claim::{Claim, Examination, Part, Violations};
use super::{deduct_failures_below, pre_deduct_failures_below, story};
use crate::clock::Offset;
use crate::history::operation::History;
use crate::measure::rates::{ALERT_OF, DEDUCT, OLDEST_OPEN_LOCK, PRE_DEDUCT, RateWindow, Totals, windows, windows_of};

pub(crate) const CLAIM: Claim = Claim {
    name: "alerts_match_history",
    sentence: "Every alert of the service that the harness can count itself is on when its threshold is passed, and off otherwise.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// Name of the sample: of an alert's name, 1 while it is on.
const SAMPLE: &str = "alert";
/// Time beyond the grace period after which a lock is an alert.
const LOCKS_OLD_MS: f64 = 30_000.0;
/// And pages.
const LOCKS_VERY_OLD_MS: f64 = 120_000.0;

/// Whether a threshold is passed, by time; `None` where nobody can say.
type Steps = Vec<(Offset, Option<bool>)>;

fn examine(case: &Case<'_>) -> Examination {
    let mut looks: BTreeMap<&str, Vec<(Offset, bool)>> = BTreeMap::new();
    for sample in case.evidence.history.samples.iter().filter(|sample| sample.what.name == SAMPLE) {
        looks.entry(&sample.what.of).or_default().push((sample.at, sample.what.value > 0.0));
    }
    if looks.is_empty() {
        return Examination::unknown("nothing", format!("nobody recorded the alerts of the service (samples named {SAMPLE})"));
    }
    let (mut violations, mut examined, mut judged) = (Violations::default(), 0, Vec::new());
    for (alert, shown) in looks {
        let counted = counted(case, alert);
        if counted.is_empty() {
            continue;
        }
        judged.push(alert);
        let interval = shown.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max().unwrap_or_default();
        for (at, on) in shown {
            let Some(expected) = steady(&counted, at, interval) else { continue };
            examined += 1;
            if on != expected {
                let (is, should) = if on { ("on", "not passed") } else { ("off", "passed") };
                let what = format!("alert {alert} was {is} at {at}, its threshold was {should} by what the harness counted");
                violations.add(|| story::of_time(case, None, at, what));
            }
        }
    }
    let looked_at = format!("{examined} looks at {}", if judged.is_empty() { "no alert".to_owned() } else { judged.join(", ") });
    if examined == 0 {
        return Examination::unknown(looked_at, "the harness counted nothing that an alert could be compared with");
    }
    Examination::new(looked_at, violations.verdict(examined))
}

/// What the harness counted for an alert; empty if it counted nothing, or does not know the alert.
fn counted(case: &Case<'_>, alert: &str) -> Steps {
    let history = &case.evidence.history;
    let grace_ms = case.evidence.scenario().promises.resolver_grace_ms as f64;
    let (alert, of) = alert.split_once(ALERT_OF).map_or((alert, None), |(alert, role)| (alert, Some(role)));
    match alert {
        "HoldfastPreDeductErrors" => shares(history, PRE_DEDUCT, of, pre_deduct_failures_below::LIMIT),
        "HoldfastDeductErrors" => shares(history, DEDUCT, of, deduct_failures_below::LIMIT),
        "HoldfastLocksOld" => ages(history, grace_ms + LOCKS_OLD_MS),
        "HoldfastLocksVeryOld" => ages(history, grace_ms + LOCKS_VERY_OLD_MS),
        _ => Vec::new(),
    }
}

/// The share of one process, or of all together.
fn shares(history: &History, totals: Totals, of: Option<&str>, limit: f64) -> Steps {
    let windows = of.map_or_else(|| windows(history, totals, &[]), |role| windows_of(history, totals, role));
    let passed = |window: &RateWindow| {
        // More failures than were seen can only raise the share.
        let over = window.share() > limit;
        (over || window.doubts <= 0.0).then_some(over)
    };
    windows.iter().map(|window| (window.ends, passed(window))).collect()
}

fn ages(history: &History, limit_ms: f64) -> Steps {
    let ages = history.samples.iter().filter(|sample| sample.what.name == OLDEST_OPEN_LOCK);
    ages.map(|sample| (sample.at, Some(sample.what.value > limit_ms))).collect()
}

/// What held at `at` and for `interval` around it; `None` if it changed, was in doubt, or was not counted both before and after.
fn steady(counted: &[(Offset, Option<bool>)], at: Offset, interval: Duration) -> Option<bool> {
    let from = Offset(at.nanos().saturating_sub(Offset::ZERO.plus(interval).nanos()));
    let to = at.plus(interval);
    let first = counted.partition_point(|step| step.0 <= from).checked_sub(1)?;
    let last = counted.partition_point(|step| step.0 < to);
    let around = counted.get(first..=last)?;
    let expected = around.first()?.1?;
    around.iter().all(|step| step.1 == Some(expected)).then_some(expected)
}
