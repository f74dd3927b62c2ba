//! The deduct worker dies at each step of its work: with messages claimed, before its COMMIT, between COMMIT and confirm, behind the confirm.

use harness::scenario::Scenario;
use harness::scenario::faults::{FaultWindow, PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{FAULT_AT_MS, Stage, behind};

/// The steps, in their order.
const POINTS: [&str; 4] = ["outbox_claimed", "deduct_commit_held", "between_db_commit_and_confirm", "confirm_reply_held"];

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut faults: Vec<FaultWindow> = Vec::new();
    for (number, point) in POINTS.into_iter().enumerate() {
        let start = faults.last().map_or(FAULT_AT_MS, |earlier| behind(earlier, 300));
        let worker = if number % 2 == 0 { Target::Worker(1) } else { Target::Worker(2) };
        faults.push(at_point(start, point, PointAction::Kill, worker));
    }
    Stage { faults, ..Stage::new("deduct_worker_crash") }.scenario(seed)
}
