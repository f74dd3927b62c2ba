//! A stranger holds the lock of the hot item's rows for two seconds. Other items go on selling.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::broken_by("mysql_lock_wait", window(Fault::MysqlRowLock, Target::Mysql, 2_000)).scenario(seed)
}
