//! Whether the harness reports the latencies that buyers had: a server that stalls for a second in every ten, and the percentiles that
//! follow from the schedule by hand, in several rounds.

mod figures;
#[path = "../tests/it/stalling.rs"]
#[expect(dead_code, reason = "the test uses the rest")]
mod stalling;

use std::time::Duration;

use figures::{Figure, Goal, Outcome, median, publish};
use stalling::{Percentiles, Schedule, Truth, run};

const ROUNDS: usize = 5;

/// 200 requests a second through one stall.
const SCHEDULE: Schedule = Schedule { gap: Duration::from_millis(5), requests: 2_000, service: Duration::from_millis(50) };

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds: Vec<Truth> = Vec::new();
    for round in 0..ROUNDS {
        let path = std::env::temp_dir().join(format!("holdfast-truth-{}-{round}.jsonl.zst", std::process::id()));
        rounds.push(runtime.block_on(run(SCHEDULE, &path)));
        std::fs::remove_file(&path)?;
    }
    let figure = |name: &str, of: fn(Percentiles) -> f64| {
        let ours: Vec<f64> = rounds.iter().map(|truth| of(truth.measured)).collect();
        let theirs: Vec<f64> = rounds.iter().map(|truth| of(truth.owed)).collect();
        Figure {
            name: format!("error of {name} of a server that stalls 1 s in 10"),
            against: "the schedule, by hand".to_owned(),
            unit: "%",
            value: 100.0 * (median(&ours) / median(&theirs) - 1.0).abs(),
            goal: Goal::AtMost(2.0),
            rounds_in: "ms",
            ours,
            theirs,
        }
    };
    publish("latency_truth", &[figure("p50", |of| of.p50), figure("p99", |of| of.p99), figure("max", |of| of.max)])
}
