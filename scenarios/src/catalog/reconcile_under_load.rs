//! Every item is audited many times a second under load: an audit that is exact finds nothing, mends nothing and holds nobody up for long.

use harness::scenario::{Promises, Scenario};
use harness::seed::Seed;

use super::stage::Stage;

pub(super) fn plan(seed: Seed) -> Scenario {
    let stage = Stage::new("reconcile_under_load");
    let promises = Promises { audit_every_ms: 50, ..stage.promises };
    Stage { promises, supply: 0.9, ..stage }.scenario(seed)
}
