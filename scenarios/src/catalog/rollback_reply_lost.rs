//! The units of a void reservation are given back and the reply is lost: the caller tries again, and they come back once.

use harness::scenario::faults::{PointAction, Target};
use harness::scenario::{Carts, Mix, Promises, Scenario};
use harness::seed::Seed;

use super::points::side_by_side;
use super::stage::{Stage, without_last_item};

pub(super) fn plan(seed: Seed) -> Scenario {
    let lanes = [Target::Api(1), Target::Api(2)].map(|api| (api, ["rollback_reply_held"; 2]));
    let faults = side_by_side(lanes, PointAction::DropReply);
    let stage = Stage::new("rollback_reply_lost");
    let mix = Mix { carts: Carts { share: 0.4, ..stage.mix.carts }, ..stage.mix };
    // Without a memory of what is sold out every such cart takes the others first.
    let promises = Promises { staleness_ms: 0, ..stage.promises };
    without_last_item(Stage { faults, mix, promises, ..stage }.scenario(seed))
}
