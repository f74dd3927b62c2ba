//! Redis comes back with a copy of its data that is three seconds old: it knows less than it promised, and believing it would oversell.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let restore = Fault::RedisStaleRestore { age_ms: 3_000 };
    let stage = Stage::broken_by("redis_stale_restore", window(restore, Target::Redis, 500));
    // Nearly sold out by then: what the old copy promises too much would be sold.
    Stage { supply: 0.85, ..stage }.scenario(seed)
}
