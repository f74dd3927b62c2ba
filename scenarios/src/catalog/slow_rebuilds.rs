//! Redis is emptied three times while every reply of MySQL is late, so that rebuilds meet orders and cancels in the middle of their
//! transactions; and nobody audits, so whatever a rebuild gets wrong stays wrong.

use harness::scenario::faults::{Fault, FaultWindow, Store, Target};
use harness::scenario::{Mix, Promises, Scenario};
use harness::seed::Seed;

use super::stage::{Stage, UNAUDITED_MS, window};

/// The first time that Redis is emptied, behind the beginning of the latency, and the time between two.
const FLUSH_MS: u64 = 1_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let late = window(Fault::Latency { store: Store::Mysql, latency_ms: 20, jitter_ms: 10 }, Target::EveryApi, 4_000);
    let flush = |number: u64| {
        let flush = window(Fault::RedisFlush, Target::Redis, 200);
        let (earliest, latest) = flush.start_ms;
        // Drawn within a tenth of a second: two of them must not overlap.
        FaultWindow {
            start_ms: (earliest + number * FLUSH_MS, latest.min(earliest + 100) + number * FLUSH_MS),
            recovery_ms: None,
            ..flush
        }
    };
    let faults = std::iter::once(late).chain((1..=3).map(flush)).collect();
    let stage = Stage::new("slow_rebuilds");
    let mix = Mix { cancels: 0.4, think_ms: (0, 300), ..stage.mix };
    let promises = Promises { audit_every_ms: UNAUDITED_MS, ..stage.promises };
    Stage { mix, promises, faults, ..stage }.scenario(seed)
}
