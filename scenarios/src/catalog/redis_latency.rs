//! Every reply of Redis is 20 ms late, give or take 10. Answers are slow for as long, and right.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = Fault::Latency { store: Store::Redis, latency_ms: 20, jitter_ms: 10 };
    Stage::broken_by("redis_latency", window(late, Target::Services, 3_000)).scenario(seed)
}
