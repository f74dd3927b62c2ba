//! COMMIT is executed and its reply never comes: the order stands, and the service has to find that out before it answers.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    let order = [Target::Api(1), Target::Api(2), Target::Api(1), Target::Api(2)];
    let lost = order.map(|api| at_point("commit_forwarded_reply_withheld", PointAction::DropReply, api));
    Stage { faults: in_turn(lost, 300), ..Stage::new("commit_reply_lost") }.scenario(seed)
}
