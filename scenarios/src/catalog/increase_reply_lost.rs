//! Units that come back are added to Redis and the reply is lost: the worker adds them again, and they are there once.

use harness::scenario::faults::{PointAction, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    let order = [Target::Worker(1), Target::Worker(2), Target::Worker(1), Target::Worker(2)];
    let lost = order.map(|worker| at_point("apply_delta_reply_held", PointAction::DropReply, worker));
    let stage = Stage::new("increase_reply_lost");
    let mix = Mix { cancels: 0.2, think_ms: (20, 1_000), ..stage.mix };
    Stage { faults: in_turn(lost, 300), mix, ..stage }.scenario(seed)
}
