//! Units of cancelled orders are added to Redis and the reply is lost: the worker tries again, and they come back once.

use harness::scenario::faults::{PointAction, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    let order = [Target::Worker(1), Target::Worker(2), Target::Worker(1), Target::Worker(2)];
    let lost = order.map(|worker| at_point("apply_delta_reply_held", PointAction::DropReply, worker));
    let stage = Stage::new("delta_reply_lost");
    let mix = Mix { cancels: 0.4, think_ms: (20, 1_000), ..stage.mix };
    Stage { faults: in_turn(lost, 300), mix, supply: 0.7, ..stage }.scenario(seed)
}
