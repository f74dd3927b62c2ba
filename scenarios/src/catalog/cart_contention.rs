//! Nearly every order is a cart of several of a few items, asked for in any order and often twice at once: all or nothing, no deadlock, no half
//! of a cart. For a while one of two processes is slow to reach Redis, so that two attempts at one cart find the same item in different states.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Carts, Mix, Operator, Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = Fault::Latency { store: Store::Redis, latency_ms: 40, jitter_ms: 20 };
    let stage = Stage::broken_by("cart_contention", window(late, Target::Api(1), 6_000));
    let carts = Carts { share: 0.9, items_max: 4, named_twice: 0.2 };
    // Sold out on the way, each item at another moment, and a few units of each come back all the time: most carts are refused for one of their
    // items, which the next attempt may get.
    let operator = Operator { restocks: 1_500, units_max: 4, ..stage.mix.operator };
    let mix = Mix { carts, quantity_max: 3, cancels: 0.3, duplicates: 0.6, concurrent_duplicates: 1.0, operator, ..stage.mix };
    // Without a memory of what is sold out they take the others first, and give them back to whoever comes next.
    let promises = Promises { staleness_ms: 0, ..stage.promises };
    // Three items a cart and half of them asked for twice: an order here is the work of several elsewhere, and what is to be seen is who waits
    // for whom, not for a core.
    Stage { mix, promises, rate_per_s: 100.0, ordinary: 5, hot: 0.3, supply: 0.6, ..stage }.scenario(seed)
}
