//! A connection is forgotten on the way while its transaction is open: the client is reset, and MySQL keeps the locks of a session that
//! nobody will ever end. Then Redis is emptied, and every rebuild waits for them until MySQL ends that session itself.

use harness::scenario::Scenario;
use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, window};

/// MySQL ends an idle session after ten seconds; then what waited for it has to be rebuilt.
const RECOVERY_MS: u64 = 15_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let forgotten = at_point("commit_held", PointAction::Forget, Target::Api(1));
    let flush = window(Fault::RedisFlush, Target::Redis, 200);
    let behind = forgotten.latest_end_ms();
    let flush = FaultWindow { start_ms: (behind, behind), recovery_ms: Some(RECOVERY_MS), ..flush };
    let forgotten = FaultWindow { recovery_ms: None, ..forgotten };
    Stage { faults: vec![forgotten, flush], ..Stage::new("forgotten_session") }.scenario(seed)
}
