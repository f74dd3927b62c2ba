//! COMMIT is executed and its reply never comes: the order stands, and the service has to find that out before it answers.

use harness::scenario::Scenario;
use harness::scenario::faults::{FaultWindow, PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{FAULT_AT_MS, Stage, behind};

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut faults: Vec<FaultWindow> = Vec::new();
    for target in [Target::Api(1), Target::Api(2), Target::Api(1), Target::Api(2)] {
        let start = faults.last().map_or(FAULT_AT_MS, |earlier| behind(earlier, 300));
        faults.push(at_point(start, "commit_forwarded_reply_withheld", PointAction::DropReply, target));
    }
    Stage { faults, ..Stage::new("commit_reply_lost") }.scenario(seed)
}
