//! The deduct worker dies at each step of its work: with messages claimed, before its COMMIT, between COMMIT and confirm, behind the confirm.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::side_by_side;
use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let lanes = [
        (Target::Worker(1), ["outbox_claimed", "between_db_commit_and_confirm"]),
        (Target::Worker(2), ["deduct_commit_held", "confirm_reply_held"]),
    ];
    Stage { faults: side_by_side(lanes, PointAction::Kill), ..Stage::new("deduct_worker_crash") }.scenario(seed)
}
