//! One api process loses Redis, the other does not. They never both sell the last unit, and the one that cannot see Redis says so.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let cut = Fault::Partition { store: Store::Redis };
    let stage = Stage::broken_by("redis_partition_one", window(cut, Target::AnyApi, 3_000));
    // Sold out while they disagree.
    Stage { supply: 0.85, ..stage }.scenario(seed)
}
