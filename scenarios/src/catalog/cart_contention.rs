//! Nearly every order is a cart of several of a few items, asked for in any order and often twice at once: all or nothing, no deadlock, no half
//! of a cart.

use harness::scenario::{Carts, Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("cart_contention");
    let carts = Carts { share: 0.9, items_max: 4, named_twice: 0.2 };
    let mix = Mix { carts, quantity_max: 3, cancels: 0.1, duplicates: 0.3, concurrent_duplicates: 0.8, ..stage.mix };
    // Sold out on the way, each item at another moment: most carts are refused for one of their items. Without a memory of what is sold out they
    // take the others first, and give them back to whoever comes next.
    let promises = Promises { staleness_ms: 0, ..stage.promises };
    Stage { mix, promises, ordinary: 5, hot: 0.3, supply: 1.2, ..stage }.scenario(seed)
}
