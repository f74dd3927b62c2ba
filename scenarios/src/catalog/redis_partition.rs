//! Nobody reaches Redis for three seconds; what was on its way arrives when the link is back.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let cut = Fault::Partition { store: Store::Redis };
    Stage::broken_by("redis_partition", window(cut, Target::Services, 3_000)).scenario(seed)
}
