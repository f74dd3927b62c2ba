//! Nothing breaks. What is violated here is violated without any fault, and what is slow here is slow.

use harness::scenario::Scenario;
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::new("steady").scenario(seed)
}
