//! Requests reach Redis long after their clients gave up: stock is taken for orders that nobody waits for, and has to come back.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    // Longer than the service waits for Redis and a client for the service; what waited in the link is executed at the end of it.
    let cut = Fault::Partition { store: Store::Redis };
    let stage = Stage::broken_by("late_pre_deduct", window(cut, Target::EveryApi, 4_000));
    Stage { supply: 0.85, ..stage }.scenario(seed)
}
