//! Both workers stop for three seconds, one after the other, with work in hand, and go on with what somebody else may have done meanwhile.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, FaultWindow, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

/// The second pause begins so much later: for a while nobody works at all.
const APART_MS: u64 = 1_500;

pub(super) fn plan(seed: Seed) -> Scenario {
    let first = FaultWindow { recovery_ms: None, ..window(Fault::Pause, Target::Worker(1), 3_000) };
    let second = window(Fault::Pause, Target::Worker(2), 3_000);
    let second = FaultWindow { start_ms: (second.start_ms.0 + APART_MS, second.start_ms.1 + APART_MS), ..second };
    Stage { faults: vec![first, second], ..Stage::new("deduct_worker_pause") }.scenario(seed)
}
