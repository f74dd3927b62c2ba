//! Claims about faults, on a run of 24 s with one fault from 12 s to 14 s: 200 orders a second, a reading every half second.

use super::super::fates::{Fate, fates};
use super::super::hand_written::{HandWritten, item, lock};
use super::*;
use crate::clock::Offset;
use crate::history::operation::Timed;
use crate::history::record::{
    FailCode, FaultMark, FaultStep, Function, InfoCause, Outcome, PhaseMark, PointMark, ProcMark, ProcStep, Sample,
};
use crate::measure::disturbance::{Disturbance, disturbances};
use crate::measure::recovery::{Component, Recovered};
use crate::scenario::Phase;
use crate::scenario::faults::{Fault, FaultWindow, PointAction, Target};

const SOLD_OUT: Outcome = Outcome::Fail(FailCode::SoldOut);

fn mark(at_ms: u64, id: u32, step: FaultStep, proof: &str) -> Timed<FaultMark> {
    let (kind, target, proof) = ("kill".to_owned(), "api-1".to_owned(), proof.to_owned());
    Timed { at: Offset::from_millis(at_ms), what: FaultMark { id, kind, target, step, generation: 0, proof } }
}

fn window(fault: Fault) -> FaultWindow {
    FaultWindow {
        fault,
        target: Target::Api(1),
        start_ms: (12_000, 12_000),
        duration_ms: 2_000,
        max_ms: 4_000,
        recovery_ms: Some(5_000),
    }
}

/// A fault that bit and was healed.
fn bitten(evidence: &mut Evidence, id: u32, from_ms: u64, to_ms: u64) {
    evidence.history.faults.extend([
        mark(from_ms, id, FaultStep::Injected, ""),
        mark(from_ms + 10, id, FaultStep::Bit, "waitpid says signal 9"),
        mark(to_ms - 10, id, FaultStep::Healing, ""),
        mark(to_ms, id, FaultStep::Healed, "pid 12 is ready"),
    ]);
}

/// A run in which orders that are due before `calm_ms` and after the injection are not answered, and all others within 2 ms.
fn run(ends_ms: u64, calm_ms: u64) -> Evidence {
    let mut run = HandWritten::sale(&[(1, 3)]);
    for due_ms in (0..ends_ms).step_by(5) {
        let hurt = (12_000..calm_ms).contains(&due_ms);
        run.now_ms = due_ms;
        let op = run.operation(Function::CreateOrder, &format!("o-{due_ms}"), &[(1, 1)], SOLD_OUT);
        op.phase = if due_ms < 12_000 { Phase::Baseline } else { Phase::Fault };
        if hurt {
            (op.outcome, op.answered) = (Outcome::Info(InfoCause::Timeout), Some(op.sent.plus(std::time::Duration::from_secs(2))));
        }
    }
    let mut evidence = run.finish();
    let phase = |at_ms, name| Timed { at: Offset::from_millis(at_ms), what: PhaseMark { name, stretch: String::new() } };
    evidence.history.phases = vec![phase(0, Phase::Baseline), phase(12_000, Phase::Fault)];
    for at_ms in (0..ends_ms).step_by(500) {
        let hurt = (12_000..calm_ms).contains(&at_ms);
        for (name, value) in [("outbox_new", 500.0), ("drift", 0.0), ("oldest_lock_ms", 4_000.0)] {
            let value = if hurt { value } else { 0.0 };
            let what = Sample { name: name.to_owned(), of: String::new(), value };
            evidence.history.samples.push(Timed { at: Offset::from_millis(at_ms), what });
        }
    }
    evidence.plan.scenario.faults = vec![window(Fault::Kill)];
    bitten(&mut evidence, 0, 12_000, 14_000);
    evidence
}

fn fault(evidence: &Evidence) -> Disturbance {
    disturbances(&evidence.plan, &evidence.history).remove(0)
}

fn took_ms(fault: &Disturbance, component: Component) -> f64 {
    let parts = &fault.recovery.as_ref().unwrap().components;
    match &parts.iter().find(|part| part.component == component).unwrap().recovered {
        Recovered::After { ms } => *ms,
        other => panic!("{component:?}: {other:?}"),
    }
}

fn unknown_because(evidence: &Evidence, claim: &str, named: &str) {
    let finding = judged(evidence, claim);
    assert!(matches!(&finding.verdict, Verdict::Unknown { why } if why.contains(named)), "{named}: {finding:#?}");
}

#[test]
fn a_service_that_is_back_within_its_budget_holds() {
    let evidence = run(24_000, 15_200);
    let fault = fault(&evidence);
    assert_eq!(took_ms(&fault, Component::Availability), 1_200.0);
    assert_eq!(took_ms(&fault, Component::P99Response), 1_200.0);
    assert_eq!(took_ms(&fault, Component::Backlog), 1_500.0, "the first good reading is at 15.5 s");
    assert_eq!(took_ms(&fault, Component::Drift), 0.0);
    assert_eq!((fault.before.other, fault.during.sent, fault.during.other), (0, 400, 400));
    for claim in ["faults_bit", "recovers_in_time"] {
        assert!(judged(&evidence, claim).verdict.is_held(), "{:#?}", judged(&evidence, claim));
    }
}

#[test]
fn a_service_that_comes_back_late_or_never_violates_and_names_the_component() {
    trips_on(&run(30_000, 20_000), "recovers_in_time", "availability was back within its band 6.0 s after its heal at");
    trips_on(&run(30_000, 20_000), "recovers_in_time", "limit 99.0 %; 5.0 s are promised");
    trips_on(
        &run(24_000, 24_000),
        "recovers_in_time",
        "availability was not back within its band, watched for 10.0 s after its heal at",
    );
    let story = judged(&run(24_000, 24_000), "recovers_in_time").verdict.violations()[0].story.clone();
    assert!(story.iter().any(|line| line.lane == "fault" && line.what.contains("signal 9")), "{story:#?}");
}

#[test]
fn a_row_of_good_windows_that_breaks_is_no_recovery() {
    let mut evidence = run(24_000, 14_000);
    // One window of the first ten behind the heal holds an order without an answer.
    let broken = evidence.history.operations.iter_mut().find(|op| op.due == Offset::from_millis(14_905)).unwrap();
    broken.outcome = Outcome::Info(InfoCause::ConnectionLost);
    assert_eq!(took_ms(&fault(&evidence), Component::Availability), 1_000.0);
}

#[test]
fn what_was_watched_for_less_than_its_budget_is_unknown() {
    unknown_because(&run(16_000, 16_000), "recovers_in_time", "was watched for 2.0 s only of the promised 5.0 s");
}

#[test]
fn a_fault_in_the_recovery_of_another_moves_the_start_of_counting() {
    let mut evidence = run(30_000, 20_000);
    evidence.plan.scenario.faults.push(window(Fault::Pause));
    bitten(&mut evidence, 1, 15_000, 19_000);
    let fault = fault(&evidence);
    assert_eq!(fault.recovery.as_ref().unwrap().counted_from, Offset::from_millis(19_000));
    assert_eq!(took_ms(&fault, Component::Availability), 1_000.0);
    assert!(judged(&evidence, "recovers_in_time").verdict.is_held());
}

#[test]
fn a_fault_beyond_the_promised_time_excuses_nothing() {
    let mut evidence = run(30_000, 23_000);
    evidence.plan.scenario.faults.push(window(Fault::Pause));
    bitten(&mut evidence, 1, 20_000, 21_000);
    assert_eq!(fault(&evidence).recovery.unwrap().counted_from, Offset::from_millis(14_000));
}

#[test]
fn a_component_that_nobody_recorded_and_a_missing_baseline_are_unknown() {
    let mut evidence = run(24_000, 15_200);
    evidence.history.samples.retain(|sample| sample.what.name != "drift");
    unknown_because(&evidence, "recovers_in_time", "drift is not known: 0 readings");
    let mut evidence = run(24_000, 15_200);
    evidence.history.phases.remove(0);
    unknown_because(&evidence, "recovers_in_time", "the fault-free baseline lasted 0.0 s");
}

#[test]
fn a_fault_of_which_nothing_is_promised_is_not_judged() {
    let mut evidence = run(24_000, 24_000);
    evidence.plan.scenario.faults[0].recovery_ms = None;
    assert!(matches!(judged(&evidence, "recovers_in_time").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn a_fault_without_proof_without_injection_without_victims_or_without_a_trace_did_not_bite() {
    let without = |step: FaultStep| {
        let mut evidence = run(24_000, 15_200);
        evidence.history.faults.retain(|mark| mark.what.step != step);
        evidence
    };
    for claim in ["faults_bit", "recovers_in_time"] {
        unknown_because(&without(FaultStep::Bit), claim, "nothing proves that it had an effect");
        unknown_because(&without(FaultStep::Injected), claim, "never injected");
    }
    let mut unproven = run(24_000, 15_200);
    unproven.history.faults[1].what.proof.clear();
    unknown_because(&unproven, "faults_bit", "without a proof");
    let mut idle = run(24_000, 15_200);
    idle.history.operations.retain(|op| op.due < Offset::from_millis(11_000));
    idle.history.tail = None;
    unknown_because(&idle, "faults_bit", "0 operations were in flight");
    let mut traceless = run(24_000, 15_200);
    traceless.history.faults.clear();
    unknown_because(&traceless, "faults_bit", "left no trace");
}

#[test]
fn a_fault_that_was_abandoned_is_the_rigs() {
    let mut evidence = run(24_000, 15_200);
    evidence.history.faults[3].what.step = FaultStep::Abandoned;
    trips_on(&evidence, EVIDENCE_IS_SOUND, "was not healed: last step abandoned");
}

#[test]
fn a_recovery_that_a_fault_without_a_heal_hides_is_unknown() {
    let mut evidence = run(24_000, 24_000);
    evidence.plan.scenario.faults.push(window(Fault::Pause));
    evidence.history.faults.extend([mark(15_000, 1, FaultStep::Injected, ""), mark(15_100, 1, FaultStep::Abandoned, "it is gone")]);
    unknown_because(&evidence, "recovers_in_time", "fault 1 (kill on api-1) was not healed meanwhile");
    let mut back = run(24_000, 15_200);
    back.plan.scenario.faults.push(FaultWindow { recovery_ms: None, ..window(Fault::Pause) });
    back.history.faults.push(mark(22_000, 1, FaultStep::Injected, ""));
    assert!(judged(&back, "recovers_in_time").verdict.is_held(), "all was back before the other began");
}

#[test]
fn a_request_without_an_answer_from_long_before_a_fault_does_not_overlap_it() {
    let mut evidence = run(24_000, 15_200);
    evidence.history.operations.retain(|op| op.due < Offset::from_millis(9_000));
    evidence.history.operations.iter_mut().for_each(|op| op.answered = None);
    evidence.history.tail = None;
    assert_eq!(evidence.plan.scenario.limits.request_timeout_ms, 2_000);
    unknown_because(&evidence, "faults_bit", "0 operations were in flight");
}

/// A run whose fault told api-1 to end, which it did as `how` says.
fn told_to_end(how: &str) -> Evidence {
    let mut evidence = run(24_000, 15_200);
    evidence.plan.scenario.faults = vec![window(Fault::Terminate)];
    let step = |at_ms, step, detail: &str| {
        let what = ProcMark { role: "api-1".to_owned(), pid: 7, step, detail: detail.to_owned() };
        Timed { at: Offset::from_millis(at_ms), what }
    };
    evidence.history.processes = vec![step(12_001, ProcStep::Signalled, "SIGTERM"), step(13_001, ProcStep::Exited, how)];
    evidence
}

#[test]
fn a_process_that_is_told_to_end_has_to_end_by_itself() {
    assert!(judged(&told_to_end("exit code 0"), "stops_cleanly").verdict.is_held());
    trips_on(&told_to_end("exit code 1"), "stops_cleanly", "api-1 (pid 7) was told to end by fault 0 and ended with exit code 1");
    trips_on(&told_to_end("signal 9"), "stops_cleanly", "ended with signal 9 after 1.0 s");
    let mut open = told_to_end("exit code 0");
    open.history.processes.pop();
    unknown_because(&open, "stops_cleanly", "its end is not on record");
    open.history.processes.clear();
    unknown_because(&open, "stops_cleanly", "told no process to end");
    assert!(matches!(judged(&run(24_000, 15_200), "stops_cleanly").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn orders_that_a_fault_or_a_recovery_touched_are_not_judged_for_latency() {
    let mut evidence = run(24_000, 15_200);
    evidence.history.operations.iter_mut().for_each(|op| {
        op.phase = Phase::Baseline;
        op.outcome = if op.outcome == SOLD_OUT { Outcome::Ok } else { op.outcome };
    });
    let calm = judged(&evidence, "latency_within_budget");
    assert!(calm.verdict.is_held(), "{calm:#?}");
    let mut promised = evidence.clone();
    promised.plan.scenario.promises.orders_undisturbed = true;
    assert!(judged(&promised, "latency_within_budget").verdict.is_violated(), "unless no buyer is to notice the fault");
    evidence.history.faults.clear();
    assert!(judged(&evidence, "latency_within_budget").verdict.is_violated(), "without the fault the timeouts count");
}

fn point(evidence: &mut Evidence, action: PointAction, order: &str) {
    let (name, role, orders) = ("commit_held".to_owned(), "api-1".to_owned(), vec![order.to_owned()]);
    let what = PointMark { name, fault: 0, orders, role, pid: 7, conn: 1, nth: 1, action, held_ns: 5_000_000 };
    evidence.history.points.push(Timed { at: Offset::from_millis(12_000), what });
}

#[test]
fn a_required_cell_counts_when_it_was_hit_with_the_action_that_was_asked_for() {
    let aimed = || {
        let mut evidence = run(24_000, 15_200);
        evidence.plan.scenario.faults =
            vec![window(Fault::Point { point: "commit_held".into(), nth: 1, action: PointAction::Kill })];
        evidence
    };
    unknown_because(&aimed(), "kill_points_covered", "1 of 1 required cells are empty: commit_held × kill");
    let mut other = aimed();
    point(&mut other, PointAction::Pass, "o-12000");
    unknown_because(&other, "kill_points_covered", "commit_held × kill");
    let mut hit = aimed();
    point(&mut hit, PointAction::Kill, "o-12000");
    assert!(judged(&hit, "kill_points_covered").verdict.is_held());
    hit.history.faults.retain(|mark| mark.what.step != FaultStep::Bit);
    unknown_because(&hit, "kill_points_covered", "commit_held × kill");
    let mut unreachable = aimed();
    let why = serde_json::json!({ "name": "commit_held", "why": "one packet" });
    unreachable.history.notes.push(Timed { at: Offset::ZERO, what: ("point_unreachable".into(), why) });
    unreachable.history.faults.retain(|mark| mark.what.step == FaultStep::Healed);
    assert!(judged(&unreachable, "faults_bit").verdict.is_unknown(), "there was nothing else to bite");
    assert!(matches!(judged(&unreachable, "kill_points_covered").verdict, Verdict::NotApplicable { .. }));
}

#[test]
fn the_stores_at_rest_name_the_half_state_that_an_order_was_left_in() {
    let fate_after = |change: fn(&mut Evidence)| {
        let mut evidence = clean_run();
        change(&mut evidence);
        fates(&evidence, ["o-1"].into_iter())["o-1"]
    };
    assert_eq!(fate_after(|_| {}), Fate::Happened);
    assert_eq!(fate_after(|evidence| evidence.stops.clear()), Fate::NotSeen);
    let forget = |evidence: &mut Evidence| {
        let snapshot = &mut evidence.stops[0].snapshot;
        snapshot.orders.retain(|row| row.order_id != "o-1");
        snapshot.ledger.retain(|row| row.order_id != "o-1");
        snapshot.outbox.retain(|row| row.order_id != "o-1");
    };
    assert_eq!(fate_after(forget), Fate::DidNot);
    assert_eq!(
        fate_after(|evidence| {
            let snapshot = &mut evidence.stops[0].snapshot;
            snapshot.orders.retain(|row| row.order_id != "o-1");
            snapshot.ledger.retain(|row| row.order_id != "o-1");
            snapshot.redis.get_mut(&item(1)).unwrap().locks.push(lock("o-1|1:1|1"));
        }),
        Fate::PreDeductedNoOrder
    );
    let is = |change: fn(&mut Evidence), fate: Fate| assert_eq!(fate_after(change), fate);
    is(|evidence| evidence.stops[0].snapshot.outbox.retain(|row| row.order_id != "o-1"), Fate::OrderedNoEvent);
    is(|evidence| sale(evidence).transaction_type = "LOCK".into(), Fate::EventNotDeducted);
    is(
        |evidence| evidence.stops[0].snapshot.redis.get_mut(&item(1)).unwrap().locks.push(lock("o-1|1:1|1")),
        Fate::DeductedNotConfirmed,
    );
    is(
        |evidence| {
            let again = sale(evidence).clone();
            evidence.stops[0].snapshot.ledger.push(again);
        },
        Fate::DeductedTwice,
    );
}

fn sale(evidence: &mut Evidence) -> &mut crate::snapshot::LedgerRow {
    evidence.stops[0].snapshot.ledger.iter_mut().find(|row| row.order_id == "o-1").unwrap()
}

#[test]
fn a_cancelled_order_is_undone_until_its_increase_is_missing() {
    let fate = |evidence: &Evidence| fates(evidence, ["o-5"].into_iter())["o-5"];
    let mut evidence = clean_run();
    assert_eq!(fate(&evidence), Fate::Undone);
    let outbox = &mut evidence.stops[0].snapshot.outbox;
    outbox.iter_mut().find(|row| row.event_id == "C.o-5").unwrap().status = "NEW".into();
    assert_eq!(fate(&evidence), Fate::UndoneNotReturned);
}
