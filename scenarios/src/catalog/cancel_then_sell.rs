//! Sold out, then cancelled, then sold again: every unit that comes back is sold to somebody, and none of them twice.

use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("cancel_then_sell");
    let mix = Mix { cancels: 0.5, payments: 0.0, think_ms: (200, 3_000), ..stage.mix };
    // Long enough for several looks at the alerts: refusals are none of their business.
    Stage { mix, supply: 0.4, quiet_ms: 20_000, ..stage }.scenario(seed)
}
