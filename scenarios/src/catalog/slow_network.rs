//! Both stores are behind a slow link: 5 ms each way to Redis, 64 KB/s to MySQL, for all processes.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = Fault::Latency { store: Store::Redis, latency_ms: 10, jitter_ms: 5 };
    let narrow = Fault::Bandwidth { store: Store::Mysql, rate_kbps: 64 };
    let faults = vec![window(late, Target::Services, 3_000), window(narrow, Target::Services, 3_000)];
    Stage { faults, ..Stage::new("slow_network") }.scenario(seed)
}
