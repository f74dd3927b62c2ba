//! A replica that lags by half a second is promoted, and the old primary dies: what it had acknowledged last is gone.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let promote = Fault::RedisPromote { lag_ms: 500 };
    Stage::broken_by("redis_failover", window(promote, Target::Redis, 500)).scenario(seed)
}
