//! Redis loses what it holds: a foreign write, FLUSHALL, the scripts, the end of its file, and at last everything.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{FAULT_AT_MS, Stage, behind, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut faults: Vec<_> = Vec::new();
    let losses = [
        Fault::RedisKeyEdited { by: 50 },
        Fault::RedisFlush,
        Fault::RedisScriptFlush,
        Fault::RedisTruncatedTail { keep_percent: 60 },
        Fault::RedisEmpty,
    ];
    for loss in losses {
        let start = faults.last().map_or(FAULT_AT_MS, |earlier| behind(earlier, 1_000));
        faults.push(window_at(start, loss, Target::Redis, 300));
    }
    Stage { faults, ..Stage::new("redis_data_loss") }.scenario(seed)
}
