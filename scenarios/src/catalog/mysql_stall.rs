//! No commit comes through for two seconds, as behind a disk that does not answer; then the link itself stands still.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, behind, window, window_at};

pub(super) fn plan(seed: Seed) -> Scenario {
    let commits = window(Fault::MysqlCommitStall, Target::Mysql, 2_000);
    let cut = Fault::Partition { store: Store::Mysql };
    let link = window_at(behind(&commits, 2_000), cut, Target::EveryApi, 2_000);
    Stage { faults: vec![commits, link], ..Stage::new("mysql_stall") }.scenario(seed)
}
