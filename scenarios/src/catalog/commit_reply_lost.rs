//! COMMIT is executed and its reply never comes: the order stands, and the service has to find that out before it answers.

use harness::scenario::Scenario;
use harness::scenario::faults::{PointAction, Target};
use harness::seed::Seed;

use super::points::side_by_side;
use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let lanes = [Target::Api(1), Target::Api(2)].map(|api| (api, ["commit_forwarded_reply_withheld"; 2]));
    Stage { faults: side_by_side(lanes, PointAction::DropReply), ..Stage::new("commit_reply_lost") }.scenario(seed)
}
