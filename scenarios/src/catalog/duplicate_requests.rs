//! Impatient buyers: half of all orders are sent twice, most of them at the same instant to another process, some with another quantity.
//! One id takes stock once.

use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("duplicate_requests");
    let mix = Mix { duplicates: 0.5, concurrent_duplicates: 0.7, altered: 0.1, ..stage.mix };
    // Sold out on the way: a repeat that comes when nothing is left is still answered from its order.
    Stage { mix, supply: 0.7, ..stage }.scenario(seed)
}
