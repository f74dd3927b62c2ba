//! The deduct worker dies at each step of its work: with messages claimed, before its COMMIT, between COMMIT and confirm, behind the confirm.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    let deaths = [
        ("outbox_claimed", Target::Worker(1)),
        ("deduct_commit_held", Target::Worker(2)),
        ("between_db_commit_and_confirm", Target::Worker(1)),
        ("confirm_reply_held", Target::Worker(2)),
    ];
    let faults = in_turn(deaths.map(|(point, worker)| at_point(point, PointAction::Kill, worker)), 300);
    Stage { faults, ..Stage::new("deduct_worker_crash") }.scenario(seed)
}
