//! Both stores are behind a slow link: 5 ms each way to Redis, 64 KB/s to MySQL, for all processes. Four workers move the balances of the same
//! few items: over the slow link each of their transactions lasts long enough to meet the others'.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Carts, Mix, Processes, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = Fault::Latency { store: Store::Redis, latency_ms: 10, jitter_ms: 5 };
    let narrow = Fault::Bandwidth { store: Store::Mysql, rate_kbps: 64 };
    let faults = vec![window(late, Target::Services, 3_000), window(narrow, Target::Services, 3_000)];
    let stage = Stage::new("slow_network");
    let mix = Mix { carts: Carts { share: 0.5, ..stage.mix.carts }, ..stage.mix };
    Stage { mix, faults, processes: Processes { worker: 4, ..stage.processes }, ..stage }.scenario(seed)
}
