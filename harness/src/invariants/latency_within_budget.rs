//! Service level: the p99 of the response time of `create_order`, accepted and refused as sold out apart, in the baseline phase and
//! outside the spans of faults and of the recoveries from them, unless the scenario promises that no buyer notices its faults. An order
//! counts by the time from due to answer: it is left out if any of that was disturbed.
//!
//! An order that timed out counts among the accepted ones with the time that its client waited: it took that long at least, and
//! leaving it out would make a service faster the fewer it answers.
//!
//! Response time = answered − due: what a buyer feels. The percentile is exact, by sorting. Fewer than [`SAMPLES_MIN`] samples
//! say nothing about a p99; without enough accepted orders there is no answer at all. A generator that sent late, or not
//! everything, measured itself: no answer either (`docs/verification.md` 2).

use super::case::Case;
use super::claim::{Claim, Examination, Part};
use super::generator_kept_up::shed_share;
use super::verdict::{Verdict, Violation};
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, InfoCause, Outcome};
use crate::measure::disturbance::disturbed;
use crate::scenario::Phase;

pub(crate) const CLAIM: Claim = Claim {
    name: "latency_within_budget",
    sentence: "The p99 response time of create_order stays within its budget, for accepted and for refused orders.",
    required: false,
    needs: &[Part::History],
    uses: &[],
    examine,
};

/// Fewest samples of a percentile that is judged.
const SAMPLES_MIN: usize = 1_000;
/// Largest share of arrivals that may be shed.
const SHED_MAX: f64 = 0.001;
/// Smallest limit of the generator's own lag at p99, ms; the other limit is a fifth of the budget.
const LAG_FLOOR_MS: f64 = 2.0;

fn examine(case: &Case<'_>) -> Examination {
    let budget_ms = case.evidence.scenario().promises.latency_p99_budget_ms;
    let accepted = [Outcome::Ok, Outcome::Info(InfoCause::Timeout)];
    let refused = [Outcome::Fail(FailCode::SoldOut)];
    let parts: [(&str, &[Outcome]); 2] = [("accepted or timed out", &accepted), ("refused as sold out", &refused)];
    let samples = parts.map(|(name, outcomes)| (name, response_times(case, outcomes)));
    let p99_of = |times: &[u64]| if times.len() >= SAMPLES_MIN { percentile_ms(times, 99) } else { None };
    let judged = samples.iter().filter_map(|(name, times)| Some((*name, times, p99_of(times)?)));
    let judged: Vec<(&str, &Vec<u64>, f64)> = judged.collect();
    let looked_at = samples.each_ref().map(|(name, times)| describe(name, times, p99_of(times))).join("; ");
    let verdict = match own_fault(case, budget_ms, samples[0].1.len()) {
        Some(why) => Verdict::unknown(why),
        None => {
            let examined: usize = judged.iter().map(|(_, times, _)| times.len()).sum();
            let late = judged.iter().filter(|(_, _, p99)| *p99 > budget_ms);
            Verdict::from_violations(
                examined as u64,
                late.map(|(name, times, p99)| too_slow(name, times, *p99, budget_ms)).collect(),
            )
        }
    };
    Examination::new(looked_at, verdict)
}

/// Sorted response times in ns of `create_order` with one of the outcomes: in the baseline phase, and where that is promised during faults and
/// behind them as well.
fn response_times(case: &Case<'_>, outcomes: &[Outcome]) -> Vec<u64> {
    let always = case.evidence.scenario().promises.orders_undisturbed;
    let disturbed = if always { Vec::new() } else { disturbed(case.faults()) };
    let calm = |op: &Operation| {
        let ends = op.answered.unwrap_or(op.sent);
        !disturbed.iter().any(|(from, to)| op.due <= *to && ends >= *from)
    };
    let creates = case.evidence.history.arrivals_of(Function::CreateOrder);
    let promised = |phase| phase == Phase::Baseline || (always && matches!(phase, Phase::Fault | Phase::Recovery));
    let judged = creates.filter(|op| promised(op.phase) && outcomes.contains(&op.outcome) && calm(op));
    sorted(judged.filter_map(|op| Some(op.answered?.since(op.due))))
}

fn sorted(times: impl Iterator<Item = std::time::Duration>) -> Vec<u64> {
    let mut nanos: Vec<u64> = times.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).collect();
    nanos.sort_unstable();
    nanos
}

/// The smallest value that `percent` of the sorted values do not exceed.
fn percentile_ms(sorted: &[u64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).map(|nanos| Offset(*nanos).as_millis_f64())
}

fn describe(name: &str, times: &[u64], p99: Option<f64>) -> String {
    match p99 {
        Some(p99) => format!("{} {name}: p99 {p99:.3} ms", times.len()),
        None => format!("{} {name}: too few for a p99", times.len()),
    }
}

fn own_fault(case: &Case<'_>, budget_ms: f64, accepted: usize) -> Option<String> {
    if accepted < SAMPLES_MIN {
        return Some(format!("{accepted} orders accepted or timed out in the baseline phase, {SAMPLES_MIN} are needed for a p99"));
    }
    let lag_max_ms = LAG_FLOOR_MS.max(budget_ms / 5.0);
    let in_load = |op: &&Operation| !op.closed_loop && !matches!(op.phase, Phase::Drain | Phase::Quiesce);
    let lag = sorted(case.evidence.history.operations.iter().filter(in_load).map(|op| op.sent.since(op.due)));
    if let Some(lag_ms) = percentile_ms(&lag, 99).filter(|lag_ms| *lag_ms > lag_max_ms) {
        return Some(format!("the generator sent late: lag p99 {lag_ms:.3} ms, at most {lag_max_ms:.3} ms is allowed"));
    }
    let shed = shed_share(case).filter(|shed| *shed > SHED_MAX)?;
    Some(format!("the generator shed {:.2} % of the arrivals, at most {:.1} % is allowed", shed * 100.0, SHED_MAX * 100.0))
}

fn too_slow(name: &str, times: &[u64], p99: f64, budget_ms: f64) -> Violation {
    let what =
        format!("create_order, {name}: p99 response time {p99:.3} ms of {} samples, the budget is {budget_ms:.3} ms", times.len());
    Violation { what, ..Violation::default() }
}
