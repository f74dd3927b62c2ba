//! Every connection to a store is reset again and again, in the middle of whatever it carries: first to Redis, then to MySQL.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, behind, window, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let reset = |store| Fault::Reset { store, every_ms: 150 };
    let redis = window(reset(Store::Redis), Target::Services, 1_500);
    let mysql = window_at(behind(&redis, 1_500), reset(Store::Mysql), Target::Services, 1_500);
    Stage { faults: vec![redis, mysql], ..Stage::new("connection_resets") }.scenario(seed)
}
