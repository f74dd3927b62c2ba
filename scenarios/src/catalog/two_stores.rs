//! Every sku is sold in two stores, and most carts ask for it in both: an item is its store, product and sku, everywhere.

use harness::scenario::{Carts, Mix, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("two_stores");
    let carts = Carts { share: 0.6, items_max: 4, named_twice: 0.1 };
    let mix = Mix { carts, quantity_max: 2, ..stage.mix };
    let mut scenario = Stage { mix, ordinary: 7, supply: 1.4, ..stage }.scenario(seed);
    for pair in scenario.items.chunks_exact_mut(2) {
        let sku = pair[0].item.sku;
        (pair[1].item.store, pair[1].item.sku) = (2, sku);
    }
    scenario
}
