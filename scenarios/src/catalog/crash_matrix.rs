//! Every kill point in turn: at each named step of the protocol the process is killed, the reply is lost, and the connection is cut.
//!
//! Four processes are broken side by side, each by one cell at a time. A rebuild is called for by FLUSHALL, and rollbacks by carts whose last item
//! is sold out from the start. Who rebuilds an item is whoever touches it first, as often a resolver as an order: so the steps of a rebuild are
//! waited for in all processes at once, when no other cell has one of them in hand.

use harness::scenario::faults::{Fault, FaultWindow, PointAction, Target};
use harness::scenario::{Carts, Mix, Promises, Scenario};
use harness::seed::Seed;

use super::points::at_point;
use super::stage::{Stage, in_turn, promise_at_the_end, window, without_last_item};

const ACTIONS: [PointAction; 3] = [PointAction::Kill, PointAction::DropReply, PointAction::CutBefore];
/// Steps of an api process: it sells, answers, and settles reservations that no order will have.
const SELL: [&str; 9] = [
    "pre_deduct_forwarded",
    "pre_deduct_reply_held",
    "pre_deduct_delivered",
    "cart_between_items",
    "commit_held",
    "commit_forwarded_reply_withheld",
    "tombstone_committed",
    "rollback_reply_held",
    "committed_reply_unsent",
];
/// Steps of a rebuild.
const REBUILD: [&str; 3] = ["reconcile_between_read_and_write", "epoch_bumped", "install_reply_held"];
/// Steps of a worker.
const WORK: [&str; 6] = [
    "outbox_claimed",
    "deduct_commit_held",
    "between_db_commit_and_confirm",
    "confirm_reply_held",
    "unlock_committed",
    "apply_delta_reply_held",
];
/// What cannot be met here.
const UNREACHABLE: [(&str, &str); 1] = [(
    "order_inserted",
    "the rows of a group go in one packet; only an order whose reservation stood already is written step by step",
)];
/// Longest wait for a step of a worker: the other one may do the rare ones for a while.
const WORK_WAIT_MS: u64 = 3_000;
/// Pause between two cells of one process: a killed one has to be up again.
const PAUSE_MS: u64 = 700;

pub(super) fn plan(seed: Seed) -> Scenario {
    let (sell_1, sell_2) = halves(&SELL, Target::Api(1), Target::Api(2));
    let (work_1, work_2) = halves(&WORK, Target::Worker(1), Target::Worker(2));
    let patient = |cell: FaultWindow| FaultWindow { max_ms: WORK_WAIT_MS, ..cell };
    // The first half of the sale is the longer one: behind it every process is free.
    let mut faults = in_turn(sell_1.into_iter().chain(cells(&REBUILD, Target::Services)), PAUSE_MS);
    let flushes: Vec<FaultWindow> = faults.iter().filter(|cell| is_of(cell, &REBUILD)).map(flush_for).collect();
    faults.extend(flushes);
    faults.extend(in_turn(sell_2, PAUSE_MS));
    faults.extend(in_turn(work_1.into_iter().map(patient), PAUSE_MS));
    faults.extend(in_turn(work_2.into_iter().map(patient), PAUSE_MS));
    promise_at_the_end(&mut faults);
    let stage = Stage::new("crash_matrix");
    // Often enough that each process has several that are refused within every wait.
    let carts = Carts { share: 0.5, items_max: 4, ..stage.mix.carts };
    let unreachable = UNREACHABLE.map(|(point, why)| (point.to_owned(), why.to_owned())).into();
    // Without a memory of what is sold out every such cart takes the others first.
    let promises = Promises { unreachable, staleness_ms: 0, ..stage.promises };
    let mix = Mix { carts, cancels: 0.15, ..stage.mix };
    without_last_item(Stage { rate_per_s: 200.0, supply: 2.1, faults, mix, promises, ..stage }.scenario(seed))
}

fn cells(points: &'static [&'static str], target: Target) -> impl Iterator<Item = FaultWindow> {
    points.iter().flat_map(move |point| ACTIONS.map(|action| at_point(point, action, target)))
}

/// The cells of these points, every other one at each of two processes.
fn halves(points: &'static [&'static str], first: Target, second: Target) -> (Vec<FaultWindow>, Vec<FaultWindow>) {
    let of = |target, odd| cells(points, target).enumerate().filter(move |(number, _)| number % 2 == odd).map(|(_, cell)| cell);
    (of(first, 0).collect(), of(second, 1).collect())
}

fn is_of(window: &FaultWindow, points: &[&str]) -> bool {
    matches!(&window.fault, Fault::Point { point, .. } if points.contains(&point.as_str()))
}

fn flush_for(cell: &FaultWindow) -> FaultWindow {
    let begins = cell.start_ms.0 + 100;
    FaultWindow { start_ms: (begins, begins), recovery_ms: None, ..window(Fault::RedisFlush, Target::Redis, 200) }
}

#[cfg(test)]
mod tests {
    use harness::proxy::tap::Point;

    use super::*;

    #[test]
    fn the_plan_is_sound_and_a_rebuild_is_broken_when_nothing_else_is() {
        let scenario = plan(Seed(1));
        assert_eq!(scenario.check(), Ok(()));
        let (rebuilds, others): (Vec<_>, Vec<_>) = scenario.faults.iter().partition(|window| is_of(window, &REBUILD));
        assert!(rebuilds.len() == REBUILD.len() * ACTIONS.len() && rebuilds.iter().all(|cell| cell.target == Target::Services));
        for cell in rebuilds {
            let during = |other: &&&FaultWindow| other.start_ms.0 < cell.latest_end_ms() && cell.start_ms.0 < other.latest_end_ms();
            let kinds: Vec<String> = others.iter().filter(during).map(|other| other.fault.name()).collect();
            assert_eq!(kinds, [Fault::RedisFlush.name()], "beside {}", cell.fault.name());
        }
    }

    #[test]
    fn every_kill_point_is_asked_for_with_every_action_or_said_to_be_out_of_reach() {
        let scenario = plan(Seed(1));
        for point in Point::ALL.map(Point::name) {
            let asked = |action| {
                let of = |window: &FaultWindow| matches!(&window.fault, Fault::Point { point: name, action: done, .. } if name == point && *done == action);
                scenario.faults.iter().any(of)
            };
            let out_of_reach = scenario.promises.unreachable.iter().any(|(name, _)| name == point);
            assert!(out_of_reach || ACTIONS.into_iter().all(asked), "{point}");
        }
    }
}
