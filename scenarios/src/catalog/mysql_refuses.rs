//! MySQL refuses: first every write, because it was made read-only, then every new connection.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let read_only = window(Fault::MysqlReadOnly, Target::Mysql, 1_500);
    let taken = window(Fault::MysqlConnections, Target::Mysql, 1_500);
    Stage { faults: in_turn([read_only, taken], 2_000), ..Stage::new("mysql_refuses") }.scenario(seed)
}
