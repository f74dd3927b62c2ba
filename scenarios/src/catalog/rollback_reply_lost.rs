//! The units of a void reservation are given back and the reply is lost: the caller tries again, and they come back once.

use harness::scenario::faults::{PointAction, Target};
use harness::scenario::{Carts, Mix, Promises, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn, without_last_item};

pub(super) fn plan(seed: Seed) -> Scenario {
    let order = [Target::Api(1), Target::Api(2), Target::Api(1), Target::Api(2)];
    let lost = order.map(|api| at_point("rollback_reply_held", PointAction::DropReply, api));
    let stage = Stage::new("rollback_reply_lost");
    let mix = Mix { carts: Carts { share: 0.4, ..stage.mix.carts }, ..stage.mix };
    // Without a memory of what is sold out every such cart takes the others first.
    let promises = Promises { staleness_ms: 0, ..stage.promises };
    without_last_item(Stage { faults: in_turn(lost, 300), mix, promises, ..stage }.scenario(seed))
}
