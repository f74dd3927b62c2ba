//! MySQL is killed and recovers from its log. What it had acknowledged stands, and what it had not is settled by asking it.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    Stage::broken_by("mysql_restart", window(Fault::Kill, Target::Mysql, 500)).scenario(seed)
}
