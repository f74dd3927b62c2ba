//! Sold out, and restocked again and again, while MySQL refuses every write: what was not booked is not there to be sold.

use harness::scenario::faults::{Fault, Target};
use harness::scenario::{Mix, Operator, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::broken_by("restock_refused", window(Fault::MysqlReadOnly, Target::Mysql, 2_000));
    let operator = Operator { restocks: 80, cuts: 0, holds: 0, units_max: 20 };
    Stage { mix: Mix { operator, ..stage.mix }, supply: 0.55, ..stage }.scenario(seed)
}
