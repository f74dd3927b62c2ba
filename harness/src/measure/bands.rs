//! What counts as recovered: the band of the run's own baseline.
//!
//! In: a component over time and the baseline of the run. Out: a [`Band`], or why there is none. A band is as wide as the baseline was,
//! and twice as far, because a window of 100 ms holds few operations; it is never narrower than what the service promises anyway:
//!
//! - availability: the 1st percentile of the baseline's windows, less the 1 % of errors that a service level allows;
//! - p99 response: twice the 99th percentile of the baseline's windows, at least the latency budget;
//! - backlog: twice the 99th percentile of the readings, at least what the busiest second adds between two polls of a worker;
//! - drift: twice the 99th percentile of the readings: nothing, if the baseline had none;
//! - oldest lock: twice the 99th percentile of the readings, at least the slowest poll of a worker.
//!
//! A baseline whose worst windows answered less than nine tenths, or whose p99 comes near the time at which clients give up, has none.

use std::time::Duration;

use super::recovery::Component;
use super::series::Series;
use super::spans::FaultSpan;
use super::totals::stretches;
use crate::clock::Offset;
use crate::history::operation::History;
use crate::history::record::Function;
use crate::scenario::Phase;
use crate::scenario::plan::Plan;

/// Shortest baseline that a limit can be relative to.
const BASELINE_MIN: Duration = Duration::from_secs(10);
/// Fewest orders answered in it.
const ANSWERS_MIN: usize = 1_000;
/// Fewest readings of a component in it.
const READINGS_MIN: usize = 5;
/// Least availability of the baseline's worst windows that a recovery can be measured against.
const AVAILABLE_MIN: f64 = 0.9;
/// Share of orders without an answer that is no outage; the same as in `answers_without_error`.
const ERRORS_ALLOWED: f64 = 0.01;

/// The values that count as recovered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// The worst of them.
    pub limit: f64,
    /// Whether more is better.
    rising: bool,
}

impl Band {
    /// The band of a component.
    ///
    /// # Errors
    /// The baseline is too short or held too little; in words.
    pub fn of(series: &Series, plan: &Plan, history: &History, spans: &[FaultSpan]) -> Result<Self, String> {
        let baseline = Baseline::of(history, spans)?;
        let mut values = baseline.values(series);
        if values.len() < READINGS_MIN {
            let name = series.component.name();
            return Err(format!("{} readings of the {name} in the baseline, {READINGS_MIN} are needed", values.len()));
        }
        values.sort_by(f64::total_cmp);
        let promises = &plan.scenario.promises;
        let poll_ms = promises.worker_poll_max_ms as f64;
        let twice = 2.0 * rank(&values, 99);
        // A band that everything is inside of would call every outage a recovery.
        let give_up_ms = plan.scenario.limits.request_timeout_ms as f64;
        let disturbed = match series.component {
            Component::Availability => rank(&values, 1) < AVAILABLE_MIN,
            Component::P99Response => !twice.is_finite() || twice > give_up_ms / 2.0,
            _ => false,
        };
        if disturbed {
            return Err(format!("the baseline was itself disturbed: its {} is no measure of a recovery", series.component.name()));
        }
        Ok(match series.component {
            Component::Availability => Self { limit: (rank(&values, 1) - ERRORS_ALLOWED).max(0.0), rising: true },
            Component::P99Response => Self::up_to(twice.max(promises.latency_p99_budget_ms)),
            Component::Backlog => Self::up_to(twice.max(baseline.busiest_second as f64 * poll_ms / 1e3)),
            Component::Drift => Self::up_to(twice),
            Component::OldestLock => Self::up_to(twice.max(poll_ms)),
        })
    }

    const fn up_to(limit: f64) -> Self {
        Self { limit, rising: false }
    }

    /// Whether a value is inside.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        if self.rising { value >= self.limit } else { value <= self.limit }
    }
}

/// The fault-free stretches of the baseline.
struct Baseline {
    stretches: Vec<(Offset, Offset)>,
    /// Orders accepted in its busiest second.
    busiest_second: usize,
}

impl Baseline {
    fn of(history: &History, spans: &[FaultSpan]) -> Result<Self, String> {
        let marked = stretches(history).into_iter().filter(|stretch| stretch.0 == Phase::Baseline);
        let stretches: Vec<(Offset, Offset)> = marked.map(|(_, from, to)| before_faults(from, to, spans)).collect();
        let length: Duration = stretches.iter().map(|(from, to)| to.since(*from)).sum();
        if length < BASELINE_MIN {
            return Err(format!(
                "the fault-free baseline lasted {:.1} s, {} s are needed",
                length.as_secs_f64(),
                BASELINE_MIN.as_secs()
            ));
        }
        let inside = |at: Offset| stretches.iter().any(|(from, to)| (*from..*to).contains(&at));
        let answered = history.arrivals_of(Function::CreateOrder).filter(|op| inside(op.due) && op.answered.is_some()).count();
        if answered < ANSWERS_MIN {
            return Err(format!("{answered} orders were answered in the baseline, {ANSWERS_MIN} are needed"));
        }
        let mut seconds: Vec<u64> = history
            .arrivals_of(Function::CreateOrder)
            .filter(|op| op.is_ok() && inside(op.due))
            .map(|op| op.due.nanos() / 1_000_000_000)
            .collect();
        seconds.sort_unstable();
        let busiest_second = seconds.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or_default();
        Ok(Self { stretches, busiest_second })
    }

    fn values(&self, series: &Series) -> Vec<f64> {
        self.stretches.iter().flat_map(|(from, to)| series.readings(*from, *to)).collect()
    }
}

/// The part of a stretch before the first fault that was injected in it.
fn before_faults(from: Offset, to: Offset, spans: &[FaultSpan]) -> (Offset, Offset) {
    let hit = spans.iter().filter(|span| span.healed.is_none_or(|healed| healed > from)).filter_map(|span| span.injected);
    (from, hit.min().map_or(to, |injected| to.min(injected)).max(from))
}

/// The smallest value that `percent` of the sorted values do not exceed.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
    sorted[rank - 1]
}
