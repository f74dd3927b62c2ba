//! A worker's connection is forgotten right before the COMMIT of its deducts: the worker is reset and goes on, while MySQL keeps the messages and the
//! balances locked for a session that nobody will ever end. The other worker goes past them, and they have to come back once MySQL ends that
//! session itself.

use harness::scenario::Scenario;
use harness::scenario::faults::{FaultWindow, PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::Stage;

/// MySQL ends a session that is idle for ten seconds.
const FORGOTTEN_MS: u64 = 11_000;
/// What could not be deducted meanwhile is deducted behind that.
const RECOVERY_MS: u64 = 15_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let forgotten = at_point("deduct_commit_held", PointAction::Forget, Target::Worker(1));
    let (duration_ms, max_ms) = (FORGOTTEN_MS, forgotten.max_ms + FORGOTTEN_MS);
    let forgotten = FaultWindow { duration_ms, max_ms, recovery_ms: Some(RECOVERY_MS), ..forgotten };
    Stage { faults: vec![forgotten], ..Stage::new("forgotten_deduct") }.scenario(seed)
}
