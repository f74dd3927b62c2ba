//! Somebody made a cache of Redis: memory is scarce, and keys that have a TTL are thrown away. Nothing is sold on such a server, and nothing that
//! was promised is lost.

use harness::scenario::faults::{Fault, Target};
use harness::scenario::{Carts, Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window, without_last_item};

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::broken_by("redis_evicts", window(Fault::RedisEvicts, Target::Redis, 3_000));
    // Carts that are refused with others in hand: what is thrown away of those never comes back.
    let mix = Mix { carts: Carts { share: 0.4, ..stage.mix.carts }, ..stage.mix };
    let promises = Promises { staleness_ms: 0, ..stage.promises };
    without_last_item(Stage { mix, promises, ..stage }.scenario(seed))
}
