//! Figures of a run, computed from its history alone.
//!
//! In: a [`History`](crate::history::operation::History). Out: [`Measurements`]. Live counters are decoration; these are the numbers.
//! No async, no sockets, no clock. It judges nothing: limits belong to the invariants.
//!
//! [`kind`] names what was measured, [`histogram`] holds one set of latencies, [`sets`] the table and the spectra, [`curves`] the buckets over time, [`totals`] the sums,
//! [`heat`] the map of latencies over time, [`readings`] the samples, [`stalls`] how long the machine stood still, [`rates`] shares of failures. Of faults: [`spans`] says when they were in force, [`recovery`] how
//! long the service took to be itself again, [`coverage`] which kill points were met, [`disturbance`] what buyers felt meanwhile, [`errors`]
//! what went wrong and whether a fault explains it.

pub mod bands;
pub mod coverage;
pub mod curves;
pub mod disturbance;
pub mod errors;
pub mod heat;
pub mod histogram;
pub mod kind;
pub mod rates;
pub mod readings;
pub mod recovery;
pub mod series;
pub mod sets;
pub mod spans;
pub mod stalls;
pub mod totals;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{FailCode, InfoCause, Outcome};
use crate::scenario::plan::Plan;

/// Percentiles of one set of operations, in milliseconds. `count` says what they stand on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Operations measured.
    pub count: u64,
    /// Smallest.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Largest.
    pub max_ms: f64,
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Values above the histogram's range (60 s), recorded at its end.
    pub overflow: u64,
}

/// Latency of one operation kind with one outcome class in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// `create_order`, ...
    pub function: String,
    /// `ok`, a fail code such as `sold_out`, `info`, or `all`.
    pub outcome: String,
    /// `warmup`, `baseline`, `fault`, `recovery`, `drain`, or `load` for all phases but warm-up and drain.
    pub phase: String,
    /// From when it was due: what a buyer feels; used in verdicts.
    pub response: Latency,
    /// From when it was sent.
    pub service: Latency,
}

/// One bucket of the curves over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Start of the bucket, ms from the start of the run.
    pub at_ms: u64,
    /// Arrivals due in the bucket, shed ones among them.
    pub offered: u64,
    /// Operations that ended `ok` in the bucket.
    pub ok: u64,
    /// Operations refused in the bucket.
    pub fail: u64,
    /// Operations in doubt that ended in the bucket.
    pub info: u64,
    /// Arrivals shed in the bucket.
    pub shed: u64,
    /// Operations of closed-loop users that ended in the bucket; in none of the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub closed_loop: u64,
    /// Median response time of `create_order` that ended `ok`, due in the bucket; absent if none.
    pub ok_p50_ms: Option<f64>,
    /// 99th percentile of the same.
    pub ok_p99_ms: Option<f64>,
    /// Largest of the same.
    pub ok_max_ms: Option<f64>,
    /// 99th percentile of the response time of refused `create_order`, due in the bucket.
    pub fail_p99_ms: Option<f64>,
}

/// A point of a percentile spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpectrumPoint {
    /// Share of the operations at or below the value, 0 to 1.
    pub quantile: f64,
    /// The value.
    pub ms: f64,
}

/// Percentile spectrum of `create_order` in the judged phases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// `ok response`, `ok service`, `fail response`, `info service`, ...
    pub name: String,
    /// From the smallest to the largest value.
    pub points: Vec<SpectrumPoint>,
}

/// Operations by function and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// `create_order`, ...
    pub function: String,
    /// `ok`, `fail`, `info`.
    pub class: String,
    /// The fail code or the cause of doubt; empty for `ok`.
    pub why: String,
    /// How many.
    pub count: u64,
}

/// How faithful the load generator was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Sent minus due, of all operations of the load.
    pub lag: Latency,
    /// Arrivals that found no slot.
    pub shed: u64,
    /// Follow-ups skipped because their order was refused; not the generator's fault.
    pub skipped: u64,
    /// Arrivals planned.
    pub planned: u64,
    /// Most operations open at once.
    pub in_flight_max: u64,
}

/// Throughput of the judged phases (baseline), per second, by the time of the answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Length of the judged phases, seconds.
    pub seconds: f64,
    /// Operations due per second.
    pub offered_per_s: f64,
    /// Operations with a definite answer of the service per second.
    pub achieved_per_s: f64,
    /// Different orders accepted, and by that durable, per second.
    pub accepted_per_s: f64,
    /// Refusals of `create_order` per second.
    pub refused_per_s: f64,
}

/// What closed-loop users did beside the arrivals. Their times are in no other figure: who waits for an answer before the next step asks less
/// while the service is slow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLoop {
    /// Users.
    pub users: u64,
    /// Operations that they sent.
    pub operations: u64,
    /// Of those, with a definite answer of the service.
    pub answered: u64,
    /// Different orders accepted.
    pub accepted: u64,
}

/// All figures of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Percentiles.
    pub latency: Vec<LatencyRow>,
    /// Spectra.
    pub spectra: Vec<Spectrum>,
    /// Length of a bucket, at most 100 ms.
    pub bucket_ms: u64,
    /// Curves over time.
    pub buckets: Vec<Bucket>,
    /// Outcomes.
    pub outcomes: Vec<OutcomeCount>,
    /// Throughput.
    pub throughput: Throughput,
    /// The generator.
    pub generator: Generator,
    /// Each fault: its span, what buyers felt around it, and how long recovery took.
    #[serde(default)]
    pub faults: Vec<disturbance::Disturbance>,
    /// Kill points met.
    #[serde(default)]
    pub points: Vec<coverage::PointCell>,
    /// Errors by cause, most frequent first.
    #[serde(default)]
    pub errors: Vec<errors::ErrorCause>,
    /// Response times over time.
    #[serde(default)]
    pub heat: heat::HeatMap,
    /// Readings over time.
    #[serde(default)]
    pub readings: Vec<readings::ReadingCurve>,
    /// How long the machine itself stood still.
    #[serde(default)]
    pub stalls: stalls::Stalls,
    /// Closed-loop users; absent if the plan has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_loop: Option<ClosedLoop>,
}

/// The form that serde wants.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Computes all figures of a run. Pure: the same plan and history give the same figures.
#[must_use]
pub fn measure(plan: &Plan, history: &History) -> Measurements {
    let deadline = Duration::from_millis(plan.scenario.limits.request_timeout_ms);
    let sets = sets::LatencySets::collect(&history.operations, deadline);
    let faults = disturbance::disturbances(plan, history);
    Measurements {
        latency: sets.rows(),
        spectra: sets.spectra(),
        bucket_ms: curves::BUCKET_MS,
        buckets: curves::buckets(history, deadline),
        outcomes: totals::outcomes(history),
        throughput: totals::throughput(history),
        generator: totals::generator(plan, history),
        points: coverage::points(plan, history, &faults),
        errors: errors::errors(history, &faults),
        faults,
        heat: heat::heat_map(history, deadline),
        readings: readings::curves(history),
        stalls: stalls::stalls(history),
        closed_loop: totals::closed_loop(plan, history),
    }
}

/// Time from `from` to the answer. A timeout counts as its deadline or more, and so does an operation that was never answered:
/// nobody may look fast by not answering.
#[must_use]
pub fn elapsed(op: &Operation, from: Offset, deadline: Duration) -> Duration {
    let measured = op.answered.map_or(Duration::ZERO, |answered| answered.since(from));
    match op.outcome {
        Outcome::Info(InfoCause::Timeout | InfoCause::RunEnded) => measured.max(deadline),
        _ => measured,
    }
}

/// Whether the service itself refused: a definite `fail` that is not a request which never left the client.
#[must_use]
pub const fn is_refusal(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Fail(code) if !matches!(code, FailCode::NotSent))
}

/// Class and reason of an outcome, by the names used in files: `("fail", "sold_out")`; the reason of `ok` is empty.
#[must_use]
pub fn outcome_names(outcome: Outcome) -> (String, String) {
    let json = serde_json::to_value(outcome).unwrap_or_default();
    let text = |field: &str| json.get(field).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    (text("out"), text("why"))
}
