//! Both stores are behind a slow link, for all processes: 10 ms later from Redis with 64 KB/s to MySQL, then 10 ms later from MySQL. Four
//! workers move the balances of the same few items: over the slow link each of their transactions lasts long enough to meet the others'.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Carts, Mix, Processes, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, promise_at_the_end, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = |store| window(Fault::Latency { store, latency_ms: 10, jitter_ms: 5 }, Target::Services, 3_000);
    let narrow = window(Fault::Bandwidth { store: Store::Mysql, rate_kbps: 64 }, Target::Services, 3_000);
    let mut faults = in_turn([narrow, late(Store::Mysql)], 500);
    faults.push(late(Store::Redis));
    promise_at_the_end(&mut faults);
    let stage = Stage::new("slow_network");
    let mix = Mix { carts: Carts { share: 0.5, ..stage.mix.carts }, ..stage.mix };
    Stage { mix, faults, processes: Processes { worker: 4, ..stage.processes }, ..stage }.scenario(seed)
}
