//! The units of a void reservation are given back and the reply is lost: the caller tries again, and they come back once.

use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{FAULT_AT_MS, Stage, behind, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("rollback_reply_lost");
    // A process that dies with stock in hand leaves reservations that have to be given back.
    let death = window_at(FAULT_AT_MS, Fault::Kill, Target::Api(1), 500);
    let mut faults: Vec<FaultWindow> = vec![death.clone()];
    let (first, second) = (behind(&death, 0), behind(&death, 200));
    faults.push(at_point(first, "rollback_reply_held", PointAction::DropReply, Target::Worker(1)));
    faults.push(at_point(second, "rollback_reply_held", PointAction::DropReply, Target::Worker(2)));
    let mix = Mix { cancels: 0.1, ..stage.mix };
    Stage { faults, mix, ..stage }.scenario(seed)
}
