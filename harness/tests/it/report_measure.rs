//! Figures of histories that are small enough to compute by hand, and of one that is not.

use std::time::Duration;

use harness::clock::{Offset, RunClock};
use harness::history::operation::{History, Operation, Timed};
use harness::history::record::{FailCode, Function, InfoCause, OpId, Outcome, PhaseMark, ShedCause};
use harness::measure::{LatencyRow, Measurements, measure};
use harness::scenario::Phase;
use harness::scenario::plan::Plan;

use crate::report_synthetic as synthetic;

const SOLD_OUT: Outcome = Outcome::Fail(FailCode::SoldOut);
const TIMEOUT: Outcome = Outcome::Info(InfoCause::Timeout);

/// An operation by its due, sent and answered times in ms.
fn operation(id: u64, times_ms: (u64, u64, Option<u64>), outcome: Outcome, phase: Phase) -> Operation {
    let (due, sent, answered) = times_ms;
    let mut op = synthetic::evidence(1).history.operations.remove(0);
    (op.id, op.order, op.function, op.outcome, op.phase) =
        (OpId(id), format!("o-{id}").into(), Function::CreateOrder, outcome, phase);
    (op.due, op.sent, op.answered) = (Offset::from_millis(due), Offset::from_millis(sent), answered.map(Offset::from_millis));
    op
}

fn history(operations: Vec<Operation>, phases: &[(u64, Phase)]) -> History {
    let mark =
        |(at, name): &(u64, Phase)| Timed { at: Offset::from_millis(*at), what: PhaseMark { name: *name, stretch: String::new() } };
    History { operations, phases: phases.iter().map(mark).collect(), ..History::default() }
}

fn plan() -> Plan {
    synthetic::evidence(6).plan
}

fn row<'a>(measurements: &'a Measurements, outcome: &str, phase: &str) -> &'a LatencyRow {
    let wanted = |row: &&LatencyRow| row.function == "create_order" && row.outcome == outcome && row.phase == phase;
    measurements.latency.iter().find(wanted).unwrap_or_else(|| panic!("no row {outcome} {phase}"))
}

/// One accepted in the warm-up, two accepted, one sold out and one timeout in the baseline, one accepted in the drain.
fn small() -> History {
    let operations = vec![
        operation(0, (50, 50, Some(51)), Outcome::Ok, Phase::Warmup),
        operation(1, (1_000, 1_001, Some(1_005)), Outcome::Ok, Phase::Baseline),
        operation(2, (1_010, 1_010, Some(1_012)), SOLD_OUT, Phase::Baseline),
        operation(3, (1_020, 1_025, Some(1_030)), Outcome::Ok, Phase::Baseline),
        operation(4, (1_040, 1_041, Some(1_045)), TIMEOUT, Phase::Baseline),
        operation(5, (3_100, 3_100, Some(3_103)), Outcome::Ok, Phase::Drain),
    ];
    let mut history = history(operations, &[(0, Phase::Warmup), (1_000, Phase::Baseline), (3_000, Phase::Drain)]);
    history.sheds = vec![
        synthetic::shed(1_110, ShedCause::NoSlot),
        synthetic::shed(1_120, ShedCause::OrderRefused),
        synthetic::shed(1_130, ShedCause::Interrupted),
    ];
    history
}

#[test]
fn response_counts_from_due_and_service_from_sent() {
    let measurements = measure(&plan(), &small());
    let accepted = row(&measurements, "ok", "baseline");
    assert_eq!((accepted.response.count, accepted.response.min_ms, accepted.response.max_ms), (2, 5.0, 10.0));
    assert_eq!((accepted.service.min_ms, accepted.service.max_ms, accepted.service.mean_ms), (4.0, 5.0, 4.5));
    // The histogram keeps three digits: a percentile may read up to 0.1 % high.
    assert!((5.0..=5.005).contains(&accepted.response.p50_ms), "{}", accepted.response.p50_ms);
    assert_eq!(row(&measurements, "sold_out", "baseline").response.max_ms, 2.0);
}

#[test]
fn a_timeout_enters_all_at_its_deadline_even_if_the_client_gave_up_earlier() {
    let measurements = measure(&plan(), &small());
    assert_eq!(row(&measurements, "info", "baseline").response.min_ms, 2_000.0);
    let all = row(&measurements, "all", "baseline");
    assert_eq!((all.response.count, all.response.min_ms, all.response.max_ms), (4, 2.0, 2_000.0));
    assert_eq!(all.response.mean_ms, (5.0 + 2.0 + 10.0 + 2_000.0) / 4.0);
    let unanswered = vec![operation(0, (10, 12, None), Outcome::Info(InfoCause::RunEnded), Phase::Baseline)];
    let measurements = measure(&plan(), &history(unanswered, &[(0, Phase::Baseline)]));
    assert_eq!(row(&measurements, "all", "load").service.min_ms, 2_000.0);
}

#[test]
fn load_is_everything_but_warm_up_and_drain() {
    let measurements = measure(&plan(), &small());
    assert_eq!(row(&measurements, "ok", "load").response.count, 2);
    assert_eq!(row(&measurements, "all", "load").response.count, 4);
    assert_eq!(row(&measurements, "all", "warmup").response.count, 1);
    assert_eq!(row(&measurements, "all", "drain").response.count, 1);
}

#[test]
fn buckets_hold_arrivals_by_due_and_outcomes_by_answer() {
    let mut history = small();
    history.operations.push(operation(6, (1_090, 1_090, Some(1_310)), Outcome::Ok, Phase::Baseline));
    let measurements = measure(&plan(), &history);
    assert_eq!(measurements.bucket_ms, 100);
    let at = |at_ms: u64| measurements.buckets.iter().find(|bucket| bucket.at_ms == at_ms).unwrap();
    let first = at(1_000);
    assert_eq!((first.offered, first.ok, first.fail, first.info, first.shed), (5, 2, 1, 1, 0));
    assert_eq!((first.ok_p50_ms, first.ok_p99_ms, first.ok_max_ms), (Some(10.0), Some(220.0), Some(220.0)));
    assert_eq!(first.fail_p99_ms, Some(2.0));
    assert_eq!((at(1_100).offered, at(1_100).shed, at(1_100).ok_p50_ms), (1, 1, None));
    assert_eq!((at(1_300).offered, at(1_300).ok, at(1_300).ok_p50_ms), (0, 1, None));
    assert_eq!((measurements.buckets[0].at_ms, measurements.buckets.last().unwrap().at_ms), (0, 3_100));
    assert!(measurements.buckets.windows(2).all(|pair| pair[1].at_ms - pair[0].at_ms == 100));
    let offered: u64 = measurements.buckets.iter().map(|bucket| bucket.offered).sum();
    assert_eq!(offered, 8);
}

#[test]
fn throughput_counts_different_orders_answered_in_the_baseline() {
    let mut history = small();
    let mut repeat = operation(6, (1_500, 1_500, Some(1_502)), Outcome::Ok, Phase::Baseline);
    repeat.order = "o-1".into();
    let late = operation(7, (2_999, 2_999, Some(3_001)), Outcome::Ok, Phase::Baseline);
    let unsent = operation(8, (2_000, 2_000, Some(2_001)), Outcome::Fail(FailCode::NotSent), Phase::Baseline);
    history.operations.extend([repeat, late, unsent]);
    let throughput = measure(&plan(), &history).throughput;
    assert_eq!(throughput.seconds, 2.0);
    // Due: 1, 2, 3, 4, the repeat, the late one, the unsent one, and the shed one.
    assert_eq!(throughput.offered_per_s, 4.0);
    // Answered by the service in time: 1, 2, 3 and the repeat.
    assert_eq!(throughput.achieved_per_s, 2.0);
    assert_eq!(throughput.accepted_per_s, 1.0);
    assert_eq!(throughput.refused_per_s, 0.5);
}

#[test]
fn the_generator_owns_up_to_its_lag_and_to_what_it_shed() {
    let generator = measure(&plan(), &small()).generator;
    assert_eq!((generator.shed, generator.skipped, generator.planned), (1, 1, 6));
    assert_eq!((generator.lag.count, generator.lag.p50_ms, generator.lag.max_ms), (4, 1.0, 5.0));
    assert_eq!(generator.in_flight_max, 1);
}

#[test]
fn the_most_open_requests_come_from_the_intervals() {
    let base = Phase::Baseline;
    let operations = vec![
        operation(0, (0, 0, Some(10)), Outcome::Ok, base),
        operation(1, (5, 5, Some(20)), Outcome::Ok, base),
        operation(2, (9, 9, None), Outcome::Info(InfoCause::RunEnded), base),
        operation(3, (10, 10, Some(12)), Outcome::Ok, base),
        operation(4, (3_000, 3_000, Some(3_001)), Outcome::Ok, base),
    ];
    assert_eq!(measure(&plan(), &history(operations, &[(0, base)])).generator.in_flight_max, 3);
}

#[test]
fn outcomes_are_counted_with_their_reasons() {
    let outcomes = measure(&plan(), &small()).outcomes;
    let told: Vec<_> = outcomes.iter().map(|line| (line.class.as_str(), line.why.as_str(), line.count)).collect();
    assert_eq!(told, [("ok", "", 4), ("fail", "sold_out", 1), ("info", "timeout", 1)]);
}

#[test]
fn spectra_are_of_the_baseline_only_and_of_at_most_200_points() {
    let measurements = measure(&plan(), &small());
    let names: Vec<_> = measurements.spectra.iter().map(|spectrum| spectrum.name.as_str()).collect();
    let expected = ["ok", "fail", "info"].map(|fate| [format!("{fate} response"), format!("{fate} service")]).concat();
    assert_eq!(names, expected);
    assert_eq!(measurements.spectra[0].points.last().unwrap().ms, 10.0);
    let many = synthetic::evidence(20_000);
    let spectra = measure(&many.plan, &many.history).spectra;
    assert!(spectra.iter().all(|spectrum| (100..=200).contains(&spectrum.points.len())));
}

#[test]
fn an_empty_history_gives_empty_figures() {
    let mut plan = plan();
    plan.arrivals.clear();
    let expected = Measurements { bucket_ms: 100, ..Measurements::default() };
    assert_eq!(measure(&plan, &History::default()), expected);
}

#[test]
fn a_million_operations_take_seconds_at_most() {
    let evidence = synthetic::evidence(1_000_000);
    let clock = RunClock::start();
    let measurements = measure(&evidence.plan, &evidence.history);
    let took = clock.now().since(Offset::ZERO);
    assert_eq!(measurements.outcomes.iter().map(|line| line.count).sum::<u64>(), 1_000_000);
    // An optimised build must keep 2 s; an unoptimised one on a shared machine gets room.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 2 });
    assert!(took < limit, "took {took:?}");
}

/// The figures of arrivals are the same with closed-loop users as without them; theirs stand beside them, under a name of their own.
#[test]
fn closed_loop_users_are_in_no_figure_of_the_arrivals() {
    let mixed = synthetic::with_closed_loop(6_000);
    let mut alone = mixed.clone();
    alone.plan.journeys.clear();
    alone.history.operations.retain(|op| !op.closed_loop);
    let (both, arrivals) = (measure(&mixed.plan, &mixed.history), measure(&alone.plan, &alone.history));
    let closed = both.closed_loop.clone().expect("a figure for them");
    assert_eq!((closed.users, closed.operations), (20, 600));
    assert!(closed.answered <= 600 && closed.accepted > 0, "{closed:?}");
    let (theirs, others): (Vec<_>, Vec<_>) = both.latency.into_iter().partition(|row| row.function.ends_with("_closed_loop"));
    assert!(theirs.iter().any(|row| row.function == "create_order_closed_loop" && row.phase == "baseline"));
    assert_eq!(others, arrivals.latency);
    assert_eq!((both.spectra, both.throughput, both.heat), (arrivals.spectra, arrivals.throughput, arrivals.heat));
    assert_eq!(both.generator.lag, arrivals.generator.lag);
    assert_eq!(
        both.buckets.iter().map(|bucket| bucket.closed_loop).sum::<u64>(),
        mixed.history.operations.iter().filter(|op| op.closed_loop && op.answered.is_some()).count() as u64
    );
    let plain: Vec<_> = both.buckets.into_iter().map(|bucket| harness::measure::Bucket { closed_loop: 0, ..bucket }).collect();
    assert_eq!(plain, arrivals.buckets);
    assert_eq!(arrivals.closed_loop, None);
}
