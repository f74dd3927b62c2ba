//! Three seconds of far more requests than two cores can serve. What is over is refused at once and costs nothing; nothing is lost.

use harness::scenario::{LoadStretch, Phase, Scenario};
use harness::seed::Seed;

use super::stage::{RECOVERY_MS, Stage};

const RUSH_MS: u64 = 3_000;
const RUSH_PER_S: f64 = 8_000.0;

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut scenario = Stage::new("overload").scenario(seed);
    let calm = scenario.stretches[0].rate_per_s;
    let stretch =
        |name: &str, phase, duration_ms, rate_per_s| LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s };
    // Latency is judged before the rush only: nobody promises a budget beyond what the machine can do.
    scenario.stretches.push(stretch("rush", Phase::Fault, RUSH_MS, RUSH_PER_S));
    scenario.stretches.push(stretch("after", Phase::Recovery, RECOVERY_MS, calm));
    // Units for everybody: refusals are for want of room, not of stock, until the rush is nearly over.
    for sale in &mut scenario.items {
        sale.opening *= 3;
    }
    scenario
}
