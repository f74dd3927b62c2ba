//! A worker is killed in the middle of its work, twice. What it had claimed is taken up by the other, and nothing is deducted twice.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, behind, window, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let first = window(Fault::Kill, Target::AnyWorker, 1_000);
    let second = window_at(behind(&first, 1_000), Fault::Kill, Target::AnyWorker, 1_000);
    Stage { faults: vec![first, second], ..Stage::new("worker_kill") }.scenario(seed)
}
