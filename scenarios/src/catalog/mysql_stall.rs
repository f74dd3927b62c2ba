//! No commit comes through for four seconds, as behind a disk that does not answer; then the link itself stands still. Both last longer than
//! the resolver leaves a lock alone, so that it has to decide about orders which are still being written.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, Store, Target};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

const STALL_MS: u64 = 4_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let commits = window(Fault::MysqlCommitStall, Target::Mysql, STALL_MS);
    let link = window(Fault::Partition { store: Store::Mysql }, Target::EveryApi, STALL_MS);
    Stage { faults: in_turn([commits, link], 2_000), ..Stage::new("mysql_stall") }.scenario(seed)
}
