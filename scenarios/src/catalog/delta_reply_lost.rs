//! Units of cancelled orders are added to Redis and the reply is lost: the worker tries again, and they come back once.

use harness::scenario::faults::{PointAction, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::points::side_by_side;
use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let lanes = [Target::Worker(1), Target::Worker(2)].map(|worker| (worker, ["apply_delta_reply_held"; 2]));
    let faults = side_by_side(lanes, PointAction::DropReply);
    let stage = Stage::new("delta_reply_lost");
    let mix = Mix { cancels: 0.4, think_ms: (20, 1_000), ..stage.mix };
    Stage { faults, mix, supply: 0.7, ..stage }.scenario(seed)
}
