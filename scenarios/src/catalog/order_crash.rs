//! An api process dies at each step of an order: with its stock asked for, taken, known, with the order written, with it committed.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

/// Time until the next death of the same process: it has to be up again, and at work.
const PAUSE_MS: u64 = 700;

pub(super) fn plan(seed: Seed) -> Scenario {
    let deaths = |points: &[&str], api| in_turn(points.iter().map(|point| at_point(point, PointAction::Kill, api)), PAUSE_MS);
    let mut faults = deaths(&["pre_deduct_forwarded", "pre_deduct_delivered", "commit_forwarded_reply_withheld"], Target::Api(1));
    let others = deaths(&["pre_deduct_reply_held", "commit_held"], Target::Api(2));
    faults.extend(others.into_iter().map(|window| harness::scenario::FaultWindow { recovery_ms: None, ..window }));
    Stage { faults, ..Stage::new("order_crash") }.scenario(seed)
}
