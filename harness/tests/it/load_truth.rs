//! The latencies that a report shows are those that buyers had, also when the server stood still.

use std::time::Duration;

use crate::history::Folder;
use crate::stalling::{Schedule, run};

#[tokio::test]
async fn percentiles_of_a_server_that_stalls_are_those_of_the_schedule() {
    let folder = Folder::new("truth");
    let schedule = Schedule { gap: Duration::from_millis(10), requests: 1_000, service: Duration::from_millis(300) };
    let truth = run(schedule, &folder.history()).await;
    // What the schedule owes is the least that can be measured: a generator that waits for the server before it counts shows less.
    let (owed, measured) = (truth.owed, truth.measured);
    assert!(measured.p50 > 0.98 * owed.p50 && measured.p99 > 0.98 * owed.p99 && measured.max > 0.98 * owed.max, "{truth:?}");
    // What is more than owed, the server has really taken: it may have been late itself on a busy machine.
    assert!(measured.error_to(truth.given) < 0.02, "{truth:?}");
    assert_eq!((owed.p50, owed.p99, owed.max), (300.0, 1_200.0, 1_300.0));
}
