//! An upgrade under load: every process is told to end and started again, one after the other. No request is answered wrongly for it.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let order = [Target::Api(1), Target::Worker(1), Target::Api(2), Target::Worker(2)];
    let faults = in_turn(order.map(|target| window(Fault::Terminate, target, 500)), 500);
    Stage { faults, ..Stage::new("rolling_restart") }.scenario(seed)
}
