//! Every user may hold three units of an item, and greedy ones ask again and again, at several processes at once.

use harness::scenario::{Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("user_limit");
    let promises = Promises { limit_per_user: 3, ..stage.promises };
    let mix = Mix { users: 2_000, greedy: 0.4, quantity_max: 2, ..stage.mix };
    Stage { mix, promises, ..stage }.scenario(seed)
}
