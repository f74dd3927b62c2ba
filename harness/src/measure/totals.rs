//! Sums over a run: outcomes, throughput of the judged phases, and how faithful the generator was.
//!
//! In: plan and history. Out: [`OutcomeCount`]s, [`Throughput`], [`Generator`].

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::histogram::LatencyHistogram;
use super::kind::Kind;
use super::{ClosedLoop, Generator, OutcomeCount, Throughput, is_refusal, outcome_names};
use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{Function, Outcome, ShedCause};
use crate::scenario::Phase;
use crate::scenario::plan::Plan;

/// Operations by kind and outcome.
#[must_use]
pub fn outcomes(history: &History) -> Vec<OutcomeCount> {
    let mut counts: BTreeMap<(Kind, Outcome), u64> = BTreeMap::new();
    for op in &history.operations {
        *counts.entry((Kind::of(op), op.outcome)).or_default() += 1;
    }
    let named = |((kind, outcome), count): ((Kind, Outcome), u64)| {
        let (class, why) = outcome_names(outcome);
        OutcomeCount { function: kind.name(), class, why, count }
    };
    counts.into_iter().map(named).collect()
}

/// Each stretch of a phase: from its mark to the next mark, or, for the last, to the last request.
#[must_use]
pub fn stretches(history: &History) -> Vec<(Phase, Offset, Offset)> {
    let last = history.operations.iter().map(|op| op.sent).max().unwrap_or_default();
    let ends = history.phases.iter().skip(1).map(|mark| mark.at).chain([last]);
    history.phases.iter().zip(ends).map(|(mark, end)| (mark.what.name, mark.at, end.max(mark.at))).collect()
}

/// The last time that the history names.
#[must_use]
pub fn last_event(history: &History) -> Offset {
    let operations = history.operations.iter().map(|op| op.answered.unwrap_or(op.sent));
    let marks = history.phases.iter().map(|mark| mark.at).chain(history.processes.iter().map(|mark| mark.at));
    operations.chain(marks).max().unwrap_or_default()
}

/// Throughput of the baseline phases, of arrivals only; all zero if there is none.
#[must_use]
pub fn throughput(history: &History) -> Throughput {
    let judged: Vec<_> = stretches(history).into_iter().filter(|stretch| stretch.0 == Phase::Baseline).collect();
    let seconds: f64 = judged.iter().map(|(_, from, to)| to.since(*from).as_secs_f64()).sum();
    if seconds <= 0.0 {
        return Throughput::default();
    }
    let inside = |at: Offset| judged.iter().any(|(_, from, to)| (*from..*to).contains(&at));
    let arrivals = || history.operations.iter().filter(|op| !op.closed_loop);
    let answered: Vec<&Operation> = arrivals().filter(|op| op.answered.is_some_and(inside)).collect();
    let creates = || answered.iter().filter(|op| op.function == Function::CreateOrder);
    let accepted: HashSet<&str> = creates().filter(|op| op.is_ok()).map(|op| &*op.order).collect();
    let shed = history.sheds.iter().filter(|shed| shed.what.why == ShedCause::NoSlot && inside(shed.what.due)).count();
    let offered = arrivals().filter(|op| inside(op.due)).count() + shed;
    let achieved = answered.iter().filter(|op| op.is_ok() || is_refusal(op.outcome)).count();
    let refused = creates().filter(|op| is_refusal(op.outcome)).count();
    Throughput {
        seconds,
        offered_per_s: rate(offered, seconds),
        achieved_per_s: rate(achieved, seconds),
        accepted_per_s: rate(accepted.len(), seconds),
        refused_per_s: rate(refused, seconds),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// How faithful the generator was: its lag over the load, what it shed, and its most open requests.
#[must_use]
pub fn generator(plan: &Plan, history: &History) -> Generator {
    let mut lag = LatencyHistogram::default();
    for op in history.operations.iter().filter(|op| !op.closed_loop && !matches!(op.phase, Phase::Warmup | Phase::Drain)) {
        lag.record(op.sent.since(op.due));
    }
    let shed_by = |cause: ShedCause| history.sheds.iter().filter(|shed| shed.what.why == cause).count() as u64;
    Generator {
        lag: lag.latency(),
        shed: shed_by(ShedCause::NoSlot),
        skipped: shed_by(ShedCause::OrderRefused),
        planned: plan.arrivals.len() as u64,
        in_flight_max: in_flight_max(history, Duration::from_millis(plan.scenario.limits.request_timeout_ms)),
    }
}

/// What closed-loop users did; `None` if the plan has none.
#[must_use]
pub fn closed_loop(plan: &Plan, history: &History) -> Option<ClosedLoop> {
    let users = plan.journeys.len() as u64;
    let sent = || history.operations.iter().filter(|op| op.closed_loop);
    let orders = sent().filter(|op| op.function == Function::CreateOrder && op.is_ok());
    let accepted: HashSet<&str> = orders.map(|op| &*op.order).collect();
    let answered = sent().filter(|op| op.is_ok() || is_refusal(op.outcome)).count() as u64;
    let told = ClosedLoop { users, operations: sent().count() as u64, answered, accepted: accepted.len() as u64 };
    (users > 0).then_some(told)
}

/// Most operations open at one instant. One that was never answered held its slot for `deadline`; one that ends frees its slot for
/// another that starts at the same instant.
fn in_flight_max(history: &History, deadline: Duration) -> u64 {
    let mut starts: Vec<Offset> = history.operations.iter().map(|op| op.sent).collect();
    let mut ends: Vec<Offset> = history.operations.iter().map(|op| op.answered.unwrap_or(op.sent.plus(deadline))).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut ended, mut most) = (0, 0);
    for (begun, start) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|end| end <= start) {
            ended += 1;
        }
        most = most.max((begun + 1).saturating_sub(ended));
    }
    most as u64
}
