//! While the sale runs an operator cuts, holds, releases and restocks: what is cut is never sold, and what comes is.

use harness::scenario::{Mix, Operator, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("stock_cut_during_sale");
    let operator = Operator { restocks: 10, cuts: 12, holds: 8, units_max: 60 };
    // Sold out about when the last of it happens.
    Stage { mix: Mix { operator, ..stage.mix }, supply: 0.9, ..stage }.scenario(seed)
}
