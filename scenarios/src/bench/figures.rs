//! The figures that have a goal: what each is set against, and how it is measured.
//!
//! In: a round. Out: a [`Sample`] of every figure, or why there is none. What a sample is compared with is
//! [`Figure`](harness::report::bench::Figure)'s matter.

use harness::measure::recovery::{Component, Recovered};
use harness::report::bench::{Figure, Goal, Trace};

use super::field::{Sale, Sold};
use super::idle::Idle;
use super::raw_insert::{self, Load};
use super::readings::{during_load, mean};
use super::round::Round;
use super::sales::{self, Saturation};
use super::sold_out;

/// A figure and how it is measured.
#[derive(Debug)]
pub(super) struct Spec {
    /// Name on the command line.
    pub(super) id: &'static str,
    /// What is measured.
    pub(super) what: &'static str,
    unit: &'static str,
    against: &'static str,
    goal: Goal,
    how: &'static str,
    /// Rounds that measure it at most: what takes minutes is measured once.
    rounds_max: u32,
    measure: fn(&Round<'_>) -> Result<Sample, String>,
}

/// One value of one round.
#[derive(Default)]
struct Sample {
    ours: f64,
    theirs: Option<f64>,
    beside: Vec<(&'static str, f64)>,
    traces: Vec<Trace>,
}

const EVERY_ROUND: u32 = u32::MAX;

/// Every figure.
pub(super) static TABLE: [Spec; 9] = [
    Spec {
        id: "hot_64",
        what: "Accepted orders per second, one hot item, 64 clients",
        unit: "/s",
        against: "the same service with one transaction for each order",
        goal: Goal::RatioAtLeast { least: 3.0 },
        how: "Closed loop over HTTP, every commit synced, deduct worker running. The slower service writes every order in a transaction of its own, over up to 64 connections (--batch-max 1 --writer-connections 64).",
        rounds_max: EVERY_ROUND,
        measure: |round| against_single(round, 64),
    },
    Spec {
        id: "hot_256",
        what: "Accepted orders per second, one hot item, 256 clients",
        unit: "/s",
        against: "the same service with one transaction for each order",
        goal: Goal::RatioAtLeast { least: 4.0 },
        how: "As with 64 clients. The slower service has 64 connections here too, the most that it allows: more writers at once than MySQL has cores for make it slower, not faster.",
        rounds_max: EVERY_ROUND,
        measure: |round| against_single(round, 256),
    },
    Spec {
        id: "raw_insert",
        what: "Accepted orders per second with workers draining, 256 clients",
        unit: "/s",
        against: "raw multi-row INSERT of the same rows",
        goal: Goal::RatioAtLeast { least: 0.25 },
        how: "The same run of the service. Against it a program without a service writes the rows of orders, ledger and outbox into a MySQL server that was started in the same way: as many orders a transaction as the service reached, over as many connections (one), each transaction one packet, nothing else running and nothing deducted.",
        rounds_max: EVERY_ROUND,
        measure: against_raw,
    },
    Spec {
        id: "p99_half",
        what: "p99 response time at half of the saturation rate",
        unit: "ms",
        against: "",
        goal: Goal::Below { limit: 5.0 },
        how: "Open loop: accepted orders, from when each was due to its answer, nothing shed. The rate is half of what the closed loop of 256 clients reached in the same round.",
        rounds_max: EVERY_ROUND,
        measure: |round| p99(round, "bench_half", round.saturation_per_s()? / 2.0),
    },
    Spec {
        id: "p99_6000",
        what: "p99 response time at 6,000 orders per second offered",
        unit: "ms",
        against: "",
        goal: Goal::Below { limit: 10.0 },
        how: "Open loop: accepted orders, from when each was due to its answer, nothing shed. Load, service and both stores share the cores.",
        rounds_max: EVERY_ROUND,
        measure: |round| p99(round, "bench_6000", 6_000.0),
    },
    Spec {
        id: "sold_out",
        what: "Sold-out refusals per second",
        unit: "/s",
        against: "an empty handler of the same HTTP stack",
        goal: Goal::RatioAtLeast { least: 0.7 },
        how: "A client that keeps no history asks over 64 connections, three turns of each question: orders of new ids for an item that is sold out, and GET /health/live of the same process, which does nothing. A recorded load of 50 orders a second goes on beside it. Refusals come from the memory of the process for up to a second each (--sold-out-memory-ms).",
        rounds_max: EVERY_ROUND,
        measure: sold_out_rate,
    },
    Spec {
        id: "deduct_keeps_up",
        what: "Deducted orders per second at 80 % of saturation",
        unit: "/s",
        against: "accepted orders per second",
        goal: Goal::RatioAtLeast { least: 0.99 },
        how: "Open loop for 60 s. Deducted orders are the accepted ones less what the backlog of the outbox grew by, as a line through its readings from a third of the load on: below 1 the worker falls behind for good.",
        rounds_max: EVERY_ROUND,
        measure: deduct_keeps_up,
    },
    Spec {
        id: "rebuild",
        what: "Rebuild of 10,000 items after Redis was emptied",
        unit: "s",
        against: "",
        goal: Goal::Below { limit: 10.0 },
        how: "Beside 10,000 items that hardly anybody asks for, 20 others sell at 500 orders a second while Redis is emptied. The time runs from the heal until Redis and the ledger hold the same units again for every item, read five times a second; these readings themselves cost some of the machine.",
        rounds_max: EVERY_ROUND,
        measure: rebuild,
    },
    Spec {
        id: "memory",
        what: "Resident memory of an api process, 10,000 open connections, 1 million orders",
        unit: "MiB",
        against: "",
        goal: Goal::Below { limit: 200.0 },
        how: "10,000 connections stand open while 256 other clients have a million orders accepted in a closed loop; all must still be open at the end. The largest of the readings, one a second. Flat means that the last fifth of the load needs no more than the second. Measured once.",
        rounds_max: 1,
        measure: memory,
    },
];

fn against_single(round: &Round<'_>, clients: u32) -> Result<Sample, String> {
    // Now the one first and now the other, so that a machine that becomes slower favours neither.
    if round.number.is_multiple_of(2) {
        round.single(clients)?;
    }
    let (service, single) = (round.service(clients)?, round.single(clients)?);
    Ok(Sample {
        ours: service.accepted_per_s,
        theirs: Some(single.accepted_per_s),
        beside: [
            ("p99 of the closed loop, ms", service.p99_ms),
            ("p99 of the slower service, ms", single.p99_ms),
            ("refused per second", service.report.measurements.throughput.refused_per_s),
        ]
        .into_iter()
        .chain(service.batch.map(|batch| ("orders in a transaction", batch)))
        .collect(),
        ..Sample::default()
    })
}

fn against_raw(round: &Round<'_>) -> Result<Sample, String> {
    let service = round.service(256)?;
    let batch = service.batch.ok_or("nobody knows how many orders the service put in a transaction")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least one, at most a thousand")]
    let rows = batch.round().max(1.0) as u64;
    let load = Load { batch: rows, connections: 1, orders: round.orders().0 };
    let raw =
        round.field.wait(raw_insert::orders_per_s(load)).map_err(|why| format!("raw inserts in round {}: {why}", round.number))?;
    let beside = vec![("orders in a transaction, both", batch)];
    Ok(Sample { ours: service.accepted_per_s, theirs: Some(raw), beside, ..Sample::default() })
}

fn p99(round: &Round<'_>, name: &str, rate_per_s: f64) -> Result<Sample, String> {
    let scenario = sales::at_rate(name, round.field.next_seed(), rate_per_s, round.length(15, 4));
    let sold = round.field.sell(Sale::of(scenario, &[]), round.number)?;
    let shed = sold.report.measurements.generator.shed;
    if shed > 0 {
        return Err(format!("{name} in round {}: {shed} arrivals were shed", round.number));
    }
    let beside = vec![("offered per second", rate_per_s), ("accepted per second", sold.accepted_per_s)];
    Ok(Sample { ours: sold.p99_ms, beside, ..Sample::default() })
}

fn sold_out_rate(round: &Round<'_>) -> Result<Sample, String> {
    let rates = sold_out::measure(round)?;
    Ok(Sample { ours: rates.refused, theirs: Some(rates.empty), ..Sample::default() })
}

fn deduct_keeps_up(round: &Round<'_>) -> Result<Sample, String> {
    let rate_per_s = round.saturation_per_s()? * 0.8;
    let seconds = round.length(60, 10);
    let scenario = sales::at_rate("bench_sustained", round.field.next_seed(), rate_per_s, seconds);
    let sold = round.field.sell(Sale::of(scenario, &[]), round.number)?;
    let measured = &sold.report.measurements;
    let backlog = during_load(measured, "outbox_new", "", seconds);
    let settled = &backlog[backlog.len() / 3..];
    let growth = slope(settled).ok_or("the backlog was not read")?;
    let largest = backlog.iter().map(|point| point.1).fold(0.0, f64::max);
    Ok(Sample {
        ours: sold.accepted_per_s - growth,
        theirs: Some(sold.accepted_per_s),
        beside: vec![("largest backlog, messages", largest), ("p99, ms", sold.p99_ms), ("offered per second", rate_per_s)],
        traces: vec![Trace { what: "messages that wait".to_owned(), unit: String::new(), points: backlog }],
    })
}

fn rebuild(round: &Round<'_>) -> Result<Sample, String> {
    let cold = round.length(10_000, 500);
    let scenario = sales::emptied("bench_rebuild", round.field.next_seed(), cold, 20_000);
    let sold = round.field.sell(Sale::of(scenario, &[]), round.number)?;
    let fault = sold.report.measurements.faults.first().ok_or("Redis was not emptied")?;
    let recovery = fault.recovery.as_ref().ok_or("nobody watched the recovery")?;
    let drift = recovery.components.iter().find(|part| part.component == Component::Drift);
    let seconds = match drift.map(|part| &part.recovered) {
        Some(Recovered::After { ms }) => ms / 1e3,
        Some(Recovered::NotWithin { watched_ms }) => watched_ms / 1e3,
        other => return Err(format!("the difference of the stores was not read: {other:?}")),
    };
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let per_s = |window: &harness::measure::disturbance::WindowFigures| window.ok as f64 / window.seconds.max(0.001);
    Ok(Sample {
        ours: seconds,
        beside: vec![
            ("accepted per second in the 5 s before", per_s(&fault.before)),
            ("accepted per second in the 5 s behind", per_s(&fault.after)),
        ],
        ..Sample::default()
    })
}

fn memory(round: &Round<'_>) -> Result<Sample, String> {
    let (connections, orders) = (round.length(10_000, 1_000), round.length(1_000_000, 30_000));
    let idle = Idle::new(usize::try_from(connections).unwrap_or(usize::MAX));
    let scenario = Saturation::of_one_item(256, orders).scenario("bench_memory", round.field.next_seed());
    let sale = Sale::of(scenario, &["--client-timeout-ms=600000"]).beside(&idle);
    let sold = round.field.sell(sale, round.number);
    idle.end()?;
    let sold: Sold = sold?;
    let measured = &sold.report.measurements;
    let resident = during_load(measured, "memory_mib", "api-1", u64::MAX);
    let fifth = resident.len() / 5;
    let (early, late) = resident.get(fifth..2 * fifth).zip(resident.get(4 * fifth..)).ok_or("memory was not read")?;
    Ok(Sample {
        ours: resident.iter().map(|point| point.1).fold(0.0, f64::max),
        beside: vec![
            ("growth from the second fifth of the load to the last, MiB", mean(late) - mean(early)),
            ("accepted per second", sold.accepted_per_s),
        ],
        traces: vec![Trace { what: "resident memory".to_owned(), unit: "MiB".to_owned(), points: resident }],
        ..Sample::default()
    })
}

/// How much the values grow with each second: the slope of the line with the least squares. `None` with fewer than two points.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).ok()?);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (middle, height) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - middle).powi(2)).sum();
    let along: f64 = points.iter().map(|point| (point.0 - middle) * (point.1 - height)).sum();
    (spread > 0.0).then(|| along / spread)
}

/// The figures before the first round.
pub(super) fn empty(specs: &[&Spec]) -> Vec<Figure> {
    let figure = |spec: &&Spec| Figure {
        id: spec.id.to_owned(),
        what: spec.what.to_owned(),
        unit: spec.unit.to_owned(),
        against: spec.against.to_owned(),
        goal: spec.goal,
        how: spec.how.to_owned(),
        ours: Vec::new(),
        theirs: Vec::new(),
        beside: std::collections::BTreeMap::new(),
        traces: Vec::new(),
        missing: Vec::new(),
    };
    specs.iter().map(figure).collect()
}

/// Measures every figure once.
pub(super) fn measure(specs: &[&Spec], round: &Round<'_>, figures: &mut [Figure]) {
    for (spec, figure) in specs.iter().zip(figures).filter(|(spec, _)| round.number <= spec.rounds_max) {
        match (spec.measure)(round) {
            Ok(sample) => {
                figure.ours.push(sample.ours);
                figure.theirs.extend(sample.theirs);
                for (name, value) in sample.beside {
                    figure.beside.entry(name.to_owned()).or_default().push(value);
                }
                figure.traces = sample.traces;
            }
            Err(why) => figure.missing.push(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_growth_a_second() {
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(0.0, 5.0), (4.0, 5.0)]), Some(0.0));
        assert_eq!((slope(&[]), slope(&[(1.0, 1.0)])), (None, None));
    }

    #[test]
    fn names_are_unlike() {
        let mut names: Vec<&str> = TABLE.iter().map(|figure| figure.id).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
