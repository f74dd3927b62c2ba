//! Kill points: windows that wait for a named step of the protocol.

use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};

use super::stage::{FAULT_AT_MS, RECOVERY_MS};

/// Longest wait for a step that the load leads to all the time.
const WAIT_MS: u64 = 1_800;
/// Time from the hit to the heal; for a killed process its time until it is started again.
const DOWN_MS: u64 = 500;

/// At the next time that `point` is passed behind the baseline, `action` is done to `target`.
pub(super) fn at_point(point: &str, action: PointAction, target: Target) -> FaultWindow {
    FaultWindow {
        fault: Fault::Point { point: point.to_owned(), nth: 1, action },
        target,
        start_ms: (FAULT_AT_MS, FAULT_AT_MS),
        duration_ms: DOWN_MS,
        max_ms: WAIT_MS,
        recovery_ms: Some(RECOVERY_MS),
    }
}
