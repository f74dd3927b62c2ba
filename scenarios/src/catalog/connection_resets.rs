//! Every connection to a store is reset again and again, in the middle of whatever it carries: first to Redis, then to MySQL.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let resets = [Store::Redis, Store::Mysql].map(|store| window(Fault::Reset { store, every_ms: 150 }, Target::Services, 1_500));
    Stage { faults: in_turn(resets, 1_500), ..Stage::new("connection_resets") }.scenario(seed)
}
