//! The workers stand still for four seconds; meanwhile an api process is killed, Redis is emptied, and the sale sells out. Whoever asks the
//! ledger then asks one that is a thousand orders behind, and must not sell those again.

use harness::scenario::faults::{Fault, FaultWindow, Target};
use harness::scenario::{Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, UNAUDITED_MS, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let pauses = [Target::Worker(1), Target::Worker(2)].map(|worker| window(Fault::Pause, worker, 4_000));
    let kill = later(window(Fault::Kill, Target::AnyApi, 500), 1_000);
    let flush = later(window(Fault::RedisFlush, Target::Redis, 200), 2_800);
    let faults = pauses.into_iter().chain([kill, flush]).collect();
    let stage = Stage::new("ledger_behind");
    let mix = Mix { cancels: 0.3, ..stage.mix };
    let promises = Promises { audit_every_ms: UNAUDITED_MS, ..stage.promises };
    Stage { mix, promises, faults, supply: 0.6, ..stage }.scenario(seed)
}

fn later(window: FaultWindow, by_ms: u64) -> FaultWindow {
    let (earliest, latest) = window.start_ms;
    FaultWindow { start_ms: (earliest + by_ms, latest + by_ms), recovery_ms: None, ..window }
}
