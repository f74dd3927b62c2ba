//! Redis loses what it holds: a foreign write, FLUSHALL, the scripts, the end of its file, and at last everything.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let losses = [
        Fault::RedisKeyEdited { by: 50 },
        Fault::RedisFlush,
        Fault::RedisScriptFlush,
        Fault::RedisTruncatedTail { keep_percent: 60 },
        Fault::RedisEmpty,
    ];
    let faults = in_turn(losses.map(|loss| window(loss, Target::Redis, 300)), 1_000);
    Stage { faults, ..Stage::new("redis_data_loss") }.scenario(seed)
}
