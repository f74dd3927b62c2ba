//! What buyers felt before, during and after each fault.
//!
//! In: plan and history. Out: one [`Disturbance`] for each fault, with its span, its recovery, and three [`WindowFigures`]. A window is
//! at most 5 s long, so that it shows the fault and not the rest of the run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::recovery::{BUDGET, Recovery, promised, recoveries};
use super::spans::{FaultSpan, fault_spans};
use super::totals::last_event;
use super::{elapsed, is_refusal};
use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::Function;
use crate::scenario::Phase;
use crate::scenario::plan::Plan;

/// Longest window before and after a fault.
const WINDOW_MAX: Duration = Duration::from_secs(5);

/// One fault and what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// What happened.
    #[serde(flatten)]
    pub span: FaultSpan,
    /// Why nothing shows that it had an effect; absent if it bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toothless: Option<String>,
    /// Longest recovery that the plan promises, ms; absent if it promises none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised_ms: Option<u64>,
    /// Up to 5 s before the injection.
    pub before: WindowFigures,
    /// While it was in force.
    pub during: WindowFigures,
    /// Up to 5 s after the heal.
    pub after: WindowFigures,
    /// Recovery; absent for a fault that was never healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

/// `create_order` due in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowFigures {
    /// Length, s.
    pub seconds: f64,
    /// Orders due and sent.
    pub sent: u64,
    /// Accepted.
    pub ok: u64,
    /// Refused by the service.
    pub fail: u64,
    /// In doubt, or never sent.
    pub other: u64,
    /// 99th percentile of the response time, ms; absent if none was sent.
    pub p99_ms: Option<f64>,
}

/// Every fault of a run, in the order of its first step.
#[must_use]
pub fn disturbances(plan: &Plan, history: &History) -> Vec<Disturbance> {
    let deadline = Duration::from_millis(plan.scenario.limits.request_timeout_ms);
    let spans = fault_spans(history, deadline);
    let recoveries = recoveries(plan, history, &spans);
    let orders = Orders::of(history, deadline);
    let end = last_event(history);
    let disturbance = |(span, recovery): (FaultSpan, Option<Recovery>)| {
        let (from, to) = span.in_force(end).unwrap_or_default();
        let injected = span.injected.is_some();
        let window = |from: Offset, to: Offset| if injected { orders.between(from, to) } else { WindowFigures::default() };
        Disturbance {
            toothless: span.toothless(),
            promised_ms: promised(plan, span.id).and_then(|budget| u64::try_from(budget.as_millis()).ok()),
            before: window(Offset(from.nanos().saturating_sub(nanos(WINDOW_MAX))), from),
            during: window(from, to),
            after: if span.healed.is_some() { window(to, to.plus(WINDOW_MAX)) } else { WindowFigures::default() },
            span,
            recovery,
        }
    };
    spans.into_iter().zip(recoveries).map(disturbance).collect()
}

/// Stretches of time in which no latency is judged: each fault while it was in force and while the service recovered from it. A fault
/// that was never healed disturbs the rest of the run.
#[must_use]
pub fn disturbed(faults: &[Disturbance]) -> Vec<(Offset, Offset)> {
    let stretch = |fault: &Disturbance| {
        let (from, _) = fault.span.in_force(Offset::ZERO)?;
        let took = |recovery: &Recovery| {
            let known = recovery.worst().map(|(_, ms)| Duration::from_secs_f64(ms / 1e3));
            known.or_else(|| fault.promised_ms.map(Duration::from_millis)).unwrap_or(BUDGET)
        };
        let to = fault.recovery.as_ref().map_or(Offset(u64::MAX), |recovery| recovery.counted_from.plus(took(recovery)));
        Some((from, to))
    };
    faults.iter().filter_map(stretch).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// `create_order` of the load, by due time.
struct Orders<'a> {
    sorted: Vec<&'a Operation>,
    deadline: Duration,
}

impl<'a> Orders<'a> {
    fn of(history: &'a History, deadline: Duration) -> Self {
        let mut sorted: Vec<&Operation> =
            history.arrivals_of(Function::CreateOrder).filter(|op| op.phase != Phase::Drain).collect();
        sorted.sort_by_key(|op| op.due);
        Self { sorted, deadline }
    }

    fn between(&self, from: Offset, to: Offset) -> WindowFigures {
        let place = |at: Offset| self.sorted.partition_point(|op| op.due < at);
        let inside = &self.sorted[place(from)..place(to)];
        let number = |wanted: fn(&Operation) -> bool| inside.iter().filter(|op| wanted(op)).count() as u64;
        let (ok, fail) = (number(Operation::is_ok), number(|op| is_refusal(op.outcome)));
        let mut waited: Vec<Duration> = inside.iter().map(|op| elapsed(op, op.due, self.deadline)).collect();
        waited.sort_unstable();
        let p99 = waited.get((waited.len() * 99).div_ceil(100).saturating_sub(1));
        let sent = inside.len() as u64;
        WindowFigures {
            seconds: to.since(from).as_secs_f64(),
            sent,
            ok,
            fail,
            other: sent - ok - fail,
            p99_ms: p99.map(|time| time.as_secs_f64() * 1e3),
        }
    }
}
