//! Three seconds of far more requests than two cores can serve. What is over is refused at once and costs nothing; nothing is lost.

use harness::scenario::{LoadStretch, Phase, Scenario};
use harness::seed::Seed;

use super::stage::{RECOVERY_MS, Stage};

const RUSH_MS: u64 = 3_000;
const RUSH_PER_S: f64 = 4_000.0;
/// Behind the rush and the time to recover from it the budget is judged again.
const AGAIN_MS: u64 = 5_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut scenario = Stage::new("overload").scenario(seed);
    let calm = scenario.stretches[0].rate_per_s;
    let stretch =
        |name: &str, phase, duration_ms, rate_per_s| LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s };
    scenario.stretches.push(stretch("rush", Phase::Fault, RUSH_MS, RUSH_PER_S));
    scenario.stretches.push(stretch("after", Phase::Recovery, RECOVERY_MS, calm));
    scenario.stretches.push(stretch("again", Phase::Baseline, AGAIN_MS, calm));
    // Units for everybody: refusals are for want of room, not of stock, until the rush is nearly over.
    for sale in &mut scenario.items {
        sale.opening *= 4;
    }
    // A client with room for all of them: what is refused is refused by the service.
    scenario.limits.in_flight_max = 16_384;
    scenario
}
