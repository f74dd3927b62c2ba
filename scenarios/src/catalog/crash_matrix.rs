//! Every kill point in turn: at each named step of the protocol the process is killed, the reply is lost, and the connection is cut.
//!
//! Four processes are broken side by side, each by one cell at a time. Rebuilds are called for by FLUSHALL, and rollbacks by the
//! reservations that killed processes leave.

use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};
use harness::scenario::{Mix, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{RECOVERY_MS, Stage, in_turn, window};

const ACTIONS: [PointAction; 3] = [PointAction::Kill, PointAction::DropReply, PointAction::CutBefore];
/// Steps of an api process.
const ORDER: [&str; 7] = [
    "pre_deduct_forwarded",
    "pre_deduct_reply_held",
    "pre_deduct_delivered",
    "cart_between_items",
    "order_inserted",
    "commit_held",
    "commit_forwarded_reply_withheld",
];
/// Steps of a rebuild, which whoever touches an item first goes through.
const REBUILD: [&str; 3] = ["reconcile_between_read_and_write", "epoch_bumped", "install_reply_held"];
/// Steps of a worker that the load leads to all the time.
const WORK: [&str; 6] = [
    "outbox_claimed",
    "deduct_commit_held",
    "between_db_commit_and_confirm",
    "confirm_reply_held",
    "unlock_committed",
    "apply_delta_reply_held",
];
/// Steps of a worker that settles what a dead process left.
const SETTLE: [&str; 2] = ["tombstone_committed", "rollback_reply_held"];
/// Pause between two cells of one process: a killed one has to be up again.
const PAUSE_MS: u64 = 500;
/// A step of the resolver comes a grace and a sweep after the death that leads to it.
const SETTLE_MAX_MS: u64 = 6_000;

pub(super) fn plan(seed: Seed) -> Scenario {
    let mut faults = Vec::new();
    let rebuilds: Vec<FaultWindow> = cells(&REBUILD).map(|(point, action)| at_point(point, action, Target::Api(1))).collect();
    let (even, odd) = split(cells(&ORDER));
    let first: Vec<FaultWindow> = even.map(|(point, action)| at_point(point, action, Target::Api(1))).collect();
    faults.extend(in_turn(first.into_iter().chain(rebuilds), PAUSE_MS));
    // Redis is emptied whenever a step of a rebuild is waited for.
    let flushes: Vec<FaultWindow> = faults.iter().filter(|cell| is_of(cell, &REBUILD)).map(flush_for).collect();
    faults.extend(flushes);
    faults.extend(in_turn(odd.map(|(point, action)| at_point(point, action, Target::Api(2))), PAUSE_MS));
    let (even, odd) = split(cells(&WORK));
    let (settle_even, settle_odd) = split(cells(&SETTLE));
    let settled = |(point, action), worker| FaultWindow { max_ms: SETTLE_MAX_MS, ..at_point(point, action, worker) };
    for (work, settle, worker) in [
        (even.collect::<Vec<_>>(), settle_even.collect::<Vec<_>>(), Target::Worker(1)),
        (odd.collect(), settle_odd.collect(), Target::Worker(2)),
    ] {
        let work = work.into_iter().map(|(point, action)| at_point(point, action, worker));
        let settle = settle.into_iter().map(|cell| settled(cell, worker));
        // Interleaved, so that there are deaths of api processes before each of the steps that settle them.
        faults.extend(in_turn(work.chain(settle), PAUSE_MS));
    }
    promise_at_the_end(&mut faults);
    let stage = Stage::new("crash_matrix");
    let mix = Mix { cancels: 0.15, ..stage.mix };
    Stage { rate_per_s: 200.0, faults, mix, ..stage }.scenario(seed)
}

fn cells(points: &'static [&'static str]) -> impl Iterator<Item = (&'static str, PointAction)> {
    points.iter().flat_map(|point| ACTIONS.map(|action| (*point, action)))
}

/// Every other one, and the rest.
fn split<T>(all: impl Iterator<Item = T>) -> (impl Iterator<Item = T>, impl Iterator<Item = T>) {
    let (even, odd): (Vec<_>, Vec<_>) = all.enumerate().partition(|(number, _)| number % 2 == 0);
    (even.into_iter().map(|(_, cell)| cell), odd.into_iter().map(|(_, cell)| cell))
}

fn is_of(window: &FaultWindow, points: &[&str]) -> bool {
    matches!(&window.fault, Fault::Point { point, .. } if points.contains(&point.as_str()))
}

fn flush_for(cell: &FaultWindow) -> FaultWindow {
    let begins = cell.start_ms.0 + 100;
    FaultWindow { start_ms: (begins, begins), recovery_ms: None, ..window(Fault::RedisFlush, Target::Redis, 200) }
}

/// Recovery is promised behind the last of all.
fn promise_at_the_end(faults: &mut [FaultWindow]) {
    let last = faults.iter().map(FaultWindow::latest_end_ms).max();
    for fault in faults {
        fault.recovery_ms = (Some(fault.latest_end_ms()) == last).then_some(RECOVERY_MS);
    }
}
