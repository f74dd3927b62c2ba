//! The workers stand still for five seconds; meanwhile Redis is emptied, an api process is killed, units are cut, and the sale sells out.
//! Whoever asks the ledger then asks one that is a thousand orders behind, and must neither sell those again nor cut them.

use harness::scenario::faults::{Fault, FaultWindow, Target};
use harness::scenario::{Mix, Operator, Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, UNAUDITED_MS, window};

pub(super) fn plan(seed: Seed) -> Scenario {
    let pauses = [Target::Worker(1), Target::Worker(2)].map(|worker| window(Fault::Pause, worker, 5_000));
    let flush = later(window(Fault::RedisFlush, Target::Redis, 200), 800);
    let kill = later(window(Fault::Kill, Target::AnyApi, 500), 1_600);
    let faults = pauses.into_iter().chain([flush, kill]).collect();
    let stage = Stage::new("ledger_behind");
    let operator = Operator { cuts: 48, ..stage.mix.operator };
    let mix = Mix { cancels: 0.3, operator, ..stage.mix };
    let promises = Promises { audit_every_ms: UNAUDITED_MS, ..stage.promises };
    Stage { mix, promises, faults, supply: 0.55, ..stage }.scenario(seed)
}

fn later(window: FaultWindow, by_ms: u64) -> FaultWindow {
    let (earliest, latest) = window.start_ms;
    FaultWindow { start_ms: (earliest + by_ms, latest + by_ms), recovery_ms: None, ..window }
}
