//! The units of a void reservation are given back and the reply is lost: the caller tries again, and they come back once.

use harness::scenario::Scenario;
use harness::scenario::faults::{FaultWindow, PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{RECOVERY_MS, Stage, in_turn};

pub(super) fn plan(seed: Seed) -> Scenario {
    // A process that dies with stock in hand leaves reservations to be given back, once the resolver's grace is over.
    let deaths = [Target::Api(1), Target::Api(2)].map(|api| at_point("pre_deduct_delivered", PointAction::Kill, api));
    let mut faults = in_turn(deaths, 300);
    let begins = faults[0].start_ms;
    for worker in [Target::Worker(1), Target::Worker(2)] {
        let lost = at_point("rollback_reply_held", PointAction::DropReply, worker);
        faults.push(FaultWindow { start_ms: begins, max_ms: RECOVERY_MS + 3_000, recovery_ms: None, ..lost });
    }
    Stage { faults, ..Stage::new("rollback_reply_lost") }.scenario(seed)
}
