//! An upgrade under load: every process is told to end and started again, one after the other. No request is answered wrongly for it.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{FAULT_AT_MS, Stage, behind, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut faults: Vec<_> = Vec::new();
    for target in [Target::Api(1), Target::Worker(1), Target::Api(2), Target::Worker(2)] {
        let start = faults.last().map_or(FAULT_AT_MS, |earlier| behind(earlier, 500));
        faults.push(window_at(start, Fault::Terminate, target, 500));
    }
    Stage { faults, ..Stage::new("rolling_restart") }.scenario(seed)
}
