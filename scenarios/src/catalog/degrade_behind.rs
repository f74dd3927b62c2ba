//! Nobody reaches Redis and MySQL takes over, while the workers stand still: the orders whose deduct is still to come are sold all the same,
//! and what MySQL sells until all is sold out must not be theirs.

use harness::scenario::faults::{Fault, FaultWindow, Store, Target};
use harness::scenario::{Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window};

/// So much of the sale is behind when Redis goes away.
const APART_MS: u64 = 1_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let pauses = [Target::Worker(1), Target::Worker(2)].map(|worker| window(Fault::Pause, worker, 4_000));
    let cut = window(Fault::Partition { store: Store::Redis }, Target::EveryApi, 2_500);
    let (earliest, latest) = cut.start_ms;
    let cut = FaultWindow { start_ms: (earliest + APART_MS, latest + APART_MS), recovery_ms: None, ..cut };
    let stage = Stage::new("degrade_behind");
    let promises = Promises { degrade_after_ms: 500, ..stage.promises };
    Stage { promises, faults: pauses.into_iter().chain([cut]).collect(), supply: 0.58, ..stage }.scenario(seed)
}
