//! Redis answers the workers late, and the api processes in time. Nobody who orders notices: no worker waits for a slow Redis with a lock
//! in MySQL in hand.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = Fault::Latency { store: Store::Redis, latency_ms: 150, jitter_ms: 50 };
    let stage = Stage::broken_by("worker_redis_slow", window(late, Target::EveryWorker, 4_000));
    let promises = Promises { orders_undisturbed: true, ..stage.promises };
    Stage { promises, ..stage }.scenario(seed)
}
