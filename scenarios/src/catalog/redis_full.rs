//! Redis has no memory left for writes: nothing is admitted, nothing that was admitted is lost.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::broken_by("redis_full", window(Fault::RedisMaxmemory, Target::Redis, 2_000)).scenario(seed)
}
