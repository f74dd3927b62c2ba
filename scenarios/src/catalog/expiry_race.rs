//! Unpaid orders expire after two seconds, which is about when their users pay or cancel: each order has one end, and gives back once.

use harness::scenario::{Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("expiry_race");
    let promises = Promises { order_ttl_ms: 2_000, ..stage.promises };
    let mix = Mix { payments: 0.35, cancels: 0.25, think_ms: (1_500, 3_500), ..stage.mix };
    Stage { mix, promises, supply: 0.5, ..stage }.scenario(seed)
}
