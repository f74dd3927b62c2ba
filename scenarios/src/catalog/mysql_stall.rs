//! No commit comes through for two seconds, as behind a disk that does not answer; then the link itself stands still.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let commits = window(Fault::MysqlCommitStall, Target::Mysql, 2_000);
    let link = window(Fault::Partition { store: Store::Mysql }, Target::EveryApi, 2_000);
    Stage { faults: in_turn([commits, link], 2_000), ..Stage::new("mysql_stall") }.scenario(seed)
}
