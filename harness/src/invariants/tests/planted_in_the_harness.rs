//! Defects of the harness itself, planted in the evidence that they would leave behind: each makes the run of a service without a fault fail, so no
//! clean control survives it. The others are listed in `docs/selftest.md`.

use super::super::hand_written::{HandWritten, item, lock};
use super::*;
use crate::history::record::{FailCode, InfoCause, Outcome};

/// A sale with an order whose client timed out and which stands.
fn with_doubt() -> Evidence {
    let mut run = HandWritten::sale(&[(1, 2)]);
    run.accept("o-1", &[(1, 1)]).repeat("o-1").doubt_that_happened("o-2", 1, 1).stop("load");
    run.finish()
}

/// H1.
#[test]
fn a_timeout_classed_as_a_failure_convicts_a_service_without_a_fault() {
    assert!(judge(&with_doubt()).iter().all(|finding| !finding.verdict.is_violated()));
    let mut planted = with_doubt();
    let timeouts = planted.history.operations.iter_mut().filter(|op| op.outcome == Outcome::Info(InfoCause::Timeout));
    timeouts.for_each(|op| op.outcome = Outcome::Fail(FailCode::NotAdmitted));
    trips_on(&planted, "rejected_left_no_trace", "o-2");
}

/// H2.
#[test]
fn operations_that_the_history_drops_are_unasked_rows_and_do_not_add_up() {
    let mut planted = clean_run();
    planted.history.operations.retain(|op| &*op.order != "o-4");
    trips_on(&planted, "evidence_is_sound", "operations, the history holds");
    // Dropped before it was counted.
    planted.history.tail.as_mut().unwrap().ops = planted.history.operations.len() as u64;
    trips_on(&planted, "nothing_unasked", "o-4");
}

/// H4.
#[test]
fn a_snapshot_before_rest_shows_locks_of_a_service_without_a_fault() {
    let mut planted = clean_run();
    planted.stops[0].snapshot.redis.get_mut(&item(1)).unwrap().locks.push(lock("o-2|1:2|2"));
    trips_on(&planted, "every_lock_resolved", "o-2");
}

/// H6: to a judge that takes two rows of one order for one, a second effect is none.
#[test]
fn a_judge_that_ignores_duplicates_acquits_what_the_real_one_convicts() {
    let mut twice = clean_run();
    let snapshot = &mut twice.stops[0].snapshot;
    let again = snapshot.ledger.iter().find(|row| row.order_id == "o-2").unwrap().clone();
    snapshot.ledger.push(again);
    trips_on(&twice, "once_per_order_id", "order o-2: it has two SALE rows");
    let mut seen = std::collections::HashSet::new();
    twice.stops[0].snapshot.ledger.retain(|row| seen.insert((row.order_id.clone(), row.item, row.kind.clone())));
    assert!(judged(&twice, "once_per_order_id").verdict.is_held());
}
