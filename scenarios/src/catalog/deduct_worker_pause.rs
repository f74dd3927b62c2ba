//! Both workers stop for three seconds, one after the other, with work in hand, and go on with what somebody else may have done meanwhile.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let first = window(Fault::Pause, Target::Worker(1), 3_000);
    // They overlap: for a while nobody works at all.
    let second = window_at(first.start_ms.1 + 1_500, Fault::Pause, Target::Worker(2), 3_000);
    Stage { faults: vec![first, second], ..Stage::new("deduct_worker_pause") }.scenario(seed)
}
