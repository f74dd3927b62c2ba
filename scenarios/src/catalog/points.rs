//! Kill points: windows that wait for a named step of the protocol.

use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};

use super::stage::{FAULT_AT_MS, RECOVERY_MS, in_turn, promise_at_the_end};

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

/// Pause between two points of one process.
const PAUSE_MS: u64 = 300;

/// The same at two steps of each of two processes, side by side: both are broken within the time that they would take one behind the other,
/// and each step is waited for twice as long. On a busy machine it is that wait which decides whether a step is met.
pub(super) fn side_by_side(lanes: [(Target, [&str; 2]); 2], action: PointAction) -> Vec<FaultWindow> {
    let patient = |point: &str, target| FaultWindow { max_ms: 2 * WAIT_MS + PAUSE_MS, ..at_point(point, action, target) };
    let lane = |(target, points): (Target, [&str; 2])| in_turn(points.map(|point| patient(point, target)), PAUSE_MS);
    let mut faults: Vec<FaultWindow> = lanes.into_iter().flat_map(lane).collect();
    promise_at_the_end(&mut faults);
    faults
}
