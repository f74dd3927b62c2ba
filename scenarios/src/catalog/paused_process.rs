//! An api process stops in the middle of its requests (a long pause of a virtual machine), and wakes up believing that no time has passed.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    // Longer than a request waits: clients give up while their requests stand still.
    Stage::broken_by("paused_process", window(Fault::Pause, Target::AnyApi, 3_000)).scenario(seed)
}
