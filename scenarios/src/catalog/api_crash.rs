//! An api process dies between the steps of its orders: with units taken and no order written, with a transaction open, with COMMIT under way.
//! What it held is settled by others.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    let deaths = [
        ("pre_deduct_reply_held", Target::Api(1)),
        ("pre_deduct_delivered", Target::Api(2)),
        ("commit_held", Target::Api(1)),
        ("commit_forwarded_reply_withheld", Target::Api(2)),
    ];
    let faults = in_turn(deaths.map(|(point, api)| at_point(point, PointAction::Kill, api)), 300);
    Stage { faults, ..Stage::new("api_crash") }.scenario(seed)
}
