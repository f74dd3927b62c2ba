//! A worker is killed in the middle of its work, twice. What it had claimed is taken up by the other, and nothing is deducted twice.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let kill = || window(Fault::Kill, Target::AnyWorker, 1_000);
    Stage { faults: in_turn([kill(), kill()], 1_000), ..Stage::new("worker_kill") }.scenario(seed)
}
