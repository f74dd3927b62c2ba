//! Synthetic evidence of a run that was broken: for tests of the report and for its example.
//!
//! In: a number of operations, best 150,000 or more, so that ten seconds lie before the first fault. Out: the run of
//! [`report_synthetic`](crate::report_synthetic) with a kill that was recovered from, a kill point that was met, one that was not, one that
//! cannot be, a fault that did not bite, and readings.

use std::sync::LazyLock;
use std::time::Duration;

use harness::clock::Offset;
use harness::history::operation::Timed;
use harness::history::record::{FaultMark, FaultStep, InfoCause, Outcome, PhaseMark, PointMark, ProcMark, ProcStep, Sample};
use harness::invariants::{Evidence, Story, Verdict, Violation};
use harness::scenario::Phase;
use harness::scenario::faults::{Fault, FaultWindow, PointAction, Store, Target};

use crate::report_synthetic as synthetic;

/// First fault: a kill, healed after a second, felt until 1.2 s later.
const KILL_MS: (u64, u64, u64) = (15_000, 16_000, 17_200);
/// Second fault: a kill at a held COMMIT.
const POINT_MS: (u64, u64, u64) = (19_000, 19_600, 20_000);
/// Third fault: injected without an effect.
const BLUNT_MS: (u64, u64) = (22_000, 22_500);

fn at(ms: u64) -> Offset {
    Offset::from_millis(ms)
}

/// Operations of the run that tests look at: 11 s of baseline before the first fault.
const OPERATIONS: u64 = 160_000;

/// One run for all tests: drawing it takes a second or two.
pub(crate) fn shared() -> &'static Evidence {
    static RUN: LazyLock<Evidence> = LazyLock::new(|| evidence(OPERATIONS));
    &RUN
}

/// The run and its faults.
pub(crate) fn evidence(number: u64) -> Evidence {
    let mut evidence = synthetic::evidence(number);
    evidence.plan.scenario.faults = plan();
    hurt(&mut evidence, KILL_MS);
    hurt(&mut evidence, POINT_MS);
    let history = &mut evidence.history;
    let phase = |ms, name| Timed { at: at(ms), what: PhaseMark { name, stretch: String::new() } };
    history.phases.insert(2, phase(KILL_MS.0, Phase::Fault));
    history.phases.insert(3, phase(BLUNT_MS.1, Phase::Recovery));
    for op in &mut history.operations {
        op.phase = match op.due {
            due if due >= at(BLUNT_MS.1) => Phase::Recovery,
            due if due >= at(KILL_MS.0) => Phase::Fault,
            _ => op.phase,
        };
    }
    steps(
        &mut evidence,
        0,
        ("kill", "api-1"),
        (KILL_MS.0, KILL_MS.1),
        Some("waitpid says signal 9; pid 4242 is ready, it was 4117"),
    );
    let proof = "held 12 ms; waitpid says signal 9; pid 4301 is ready, it was 4242";
    steps(&mut evidence, 1, ("commit_held:kill", "api-1"), (POINT_MS.0, POINT_MS.1), Some(proof));
    steps(&mut evidence, 4, ("redis_partition", "worker-1"), BLUNT_MS, None);
    points(&mut evidence);
    readings(&mut evidence);
    evidence
}

fn plan() -> Vec<FaultWindow> {
    let window = |fault, target, (from, to): (u64, u64)| FaultWindow {
        fault,
        target,
        start_ms: (from, from),
        duration_ms: to - from,
        max_ms: 10_000,
        recovery_ms: Some(5_000),
    };
    let point = |point: &str, action| Fault::Point { point: point.to_owned(), nth: 40, action };
    vec![
        window(Fault::Kill, Target::Api(1), (KILL_MS.0, KILL_MS.1)),
        window(point("commit_held", PointAction::Kill), Target::Api(1), (POINT_MS.0, POINT_MS.1)),
        window(point("confirm_reply_held", PointAction::DropReply), Target::Worker(1), (20_000, 21_000)),
        window(point("order_inserted", PointAction::Kill), Target::Api(2), (21_000, 22_000)),
        window(Fault::Partition { store: Store::Redis }, Target::Worker(1), BLUNT_MS),
    ]
}

/// Half of the operations get no answer while a fault is in force, and all are slow until it is overcome.
fn hurt(evidence: &mut Evidence, (from, healed, calm): (u64, u64, u64)) {
    let hit = evidence.history.operations.iter_mut().filter(|op| op.due >= at(from) && op.due < at(calm));
    for (index, op) in hit.enumerate() {
        if op.due < at(healed) && index % 2 == 0 {
            (op.outcome, op.http) = (Outcome::Info(InfoCause::ConnectionLost), None);
        }
        op.answered = op.answered.map(|answered| answered.plus(Duration::from_millis(40 + index as u64 % 90)));
    }
}

fn steps(evidence: &mut Evidence, id: u32, (kind, target): (&str, &str), (from, to): (u64, u64), proof: Option<&str>) {
    let mark = |ms, step, proof: &str| Timed {
        at: at(ms),
        what: FaultMark {
            id,
            kind: kind.to_owned(),
            target: target.to_owned(),
            step,
            generation: u64::from(id),
            proof: proof.to_owned(),
        },
    };
    let marks = [
        Some(mark(from, FaultStep::Injected, "")),
        proof.map(|proof| mark(from + 20, FaultStep::Bit, proof)),
        Some(mark(to - 30, FaultStep::Healing, "")),
        Some(mark(to, FaultStep::Healed, "the canary is back in its band")),
    ];
    evidence.history.faults.extend(marks.into_iter().flatten());
}

fn points(evidence: &mut Evidence) {
    let history = &mut evidence.history;
    let caught = history.operations.iter().filter(|op| op.due >= at(POINT_MS.0)).take(3).map(|op| op.order.to_string());
    let what = PointMark {
        name: "commit_held".to_owned(),
        fault: 1,
        orders: caught.collect(),
        role: "api-1".to_owned(),
        pid: 4_242,
        conn: 3,
        nth: 40,
        action: PointAction::Kill,
        held_ns: 12_000_000,
    };
    history.points.push(Timed { at: at(POINT_MS.0), what });
    let why = serde_json::json!({ "name": "order_inserted", "why": "the rows of an order travel in one packet" });
    history.notes.push(Timed { at: at(1), what: ("point_unreachable".to_owned(), why) });
    for (ms, pid) in [(KILL_MS.0, 4_117), (POINT_MS.0, 4_242)] {
        let what = ProcMark { role: "api-1".to_owned(), pid, step: ProcStep::Signalled, detail: "SIGKILL".to_owned() };
        history.processes.push(Timed { at: at(ms), what });
    }
}

fn readings(evidence: &mut Evidence) {
    let end_ms = evidence.history.operations.last().map_or(0, |op| op.due.nanos() / 1_000_000);
    let bad = |ms: u64, (from, _, calm): (u64, u64, u64)| (from..calm).contains(&ms);
    for ms in (1_500..end_ms).step_by(250) {
        let hurt = bad(ms, KILL_MS) || bad(ms, POINT_MS);
        let wave = ((ms / 250) % 7) as f64;
        for (name, of, value) in [
            ("outbox_new", "", if hurt { 900.0 } else { 40.0 + 3.0 * wave }),
            ("locks", "", if hurt { 1_200.0 } else { 60.0 + 4.0 * wave }),
            ("drift", "1:20:300", 0.0),
            ("oldest_lock_ms", "", if hurt { 1_900.0 } else { 80.0 + 9.0 * wave }),
            ("stall_ms", "", if ms % 5_000 == 0 { 6.0 + wave } else { 0.1 + wave / 20.0 }),
            ("memory_mib", "api-1", 31.0 + wave),
            ("memory_mib", "redis", 12.0 + ms as f64 / 4e3),
        ] {
            let what = Sample { name: name.to_owned(), of: of.to_owned(), value };
            evidence.history.samples.push(Timed { at: at(ms), what });
        }
    }
}

/// A counter-example next to the kill, with a line in every lane.
pub(crate) fn violated_near_the_kill() -> Verdict {
    let story = |at_ms: Option<u64>, lane: &str, what: &str| Story {
        at: at_ms.map(Offset::from_millis),
        lane: lane.to_owned(),
        what: what.to_owned(),
    };
    let violation = Violation {
        what: "order s7-90210 was acknowledged and is not in the ledger".to_owned(),
        orders: vec!["s7-90210".to_owned()],
        item: Some(synthetic::ITEM),
        units: Some(-1),
        at: Some(at(15_010)),
        story: vec![
            story(Some(14_982), "client", "create_order s7-90210 1 x 1:20:300 sent to api-1 (operation 90210)"),
            story(Some(14_990), "workers", "worker-1 pid 4120: Signalled SIGSTOP"),
            story(Some(15_000), "process", "api-1 pid 4117: Signalled SIGKILL"),
            story(Some(15_001), "fault", "kill on api-1: Injected"),
            story(Some(15_010), "client", "create_order s7-90210: ok, token 3:812 left Some(14188)"),
            story(None, "mysql", "after the load: no order row"),
            story(None, "redis", "after the load: lock s7-90210|3:812|1 of item 1:20:300"),
        ],
        ..Violation::default()
    };
    Verdict::from_violations(15_000, vec![violation])
}
