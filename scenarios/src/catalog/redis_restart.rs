//! Redis is killed and comes back with what its append-only file holds. Nothing it says is believed before it is installed anew.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::broken_by("redis_restart", window(Fault::Kill, Target::Redis, 500)).scenario(seed)
}
