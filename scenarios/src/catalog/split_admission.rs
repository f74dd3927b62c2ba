//! One api process loses Redis and may sell by MySQL, the other does not lose it, and the last units are sold meanwhile: as soon as one of
//! them asks MySQL, both must.

use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, UNAUDITED_MS, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let cut = Fault::Partition { store: Store::Redis };
    let stage = Stage::broken_by("split_admission", window(cut, Target::AnyApi, 3_000));
    let promises = Promises { degrade_after_ms: 500, audit_every_ms: UNAUDITED_MS, ..stage.promises };
    // Sold out while they disagree.
    Stage { promises, supply: 0.62, ..stage }.scenario(seed)
}
