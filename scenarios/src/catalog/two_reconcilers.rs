//! Two workers audit without a pause while somebody edits the counter: each difference is mended once, and two who mend never add up.

use harness::scenario::faults::{Fault, Target};
use harness::scenario::{Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, in_turn, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let edits = [40, -25, 60].map(|by| window(Fault::RedisKeyEdited { by }, Target::Redis, 300));
    let stage = Stage::new("two_reconcilers");
    let promises = Promises { audit_every_ms: 10, ..stage.promises };
    Stage { faults: in_turn(edits, 1_500), promises, ordinary: 3, ..stage }.scenario(seed)
}
