//! MySQL refuses: first every write, because it was made read-only, then every new connection.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Target};
use harness::seed::Seed;

use super::stage::{Stage, behind, window, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let read_only = window(Fault::MysqlReadOnly, Target::Mysql, 1_500);
    let taken = window_at(behind(&read_only, 2_000), Fault::MysqlConnections, Target::Mysql, 1_500);
    Stage { faults: vec![read_only, taken], ..Stage::new("mysql_refuses") }.scenario(seed)
}
