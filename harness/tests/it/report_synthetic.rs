//! Evidence of runs that never happened, drawn from a seed: for tests of the report and for its example.
//!
//! In: a number of operations. Out: plan, history and stops of a sale that sells out, with latencies of a plausible shape. Nothing here
//! says anything about a real service.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use harness::clock::Offset;
use harness::history::operation::{History, Operation, Timed};
use harness::history::record::{
    FailCode, Function, Head, InfoCause, ItemQuantity, OpId, Outcome, PhaseMark, SCHEMA, Sample, Shed, ShedCause, Tail,
};
use harness::invariants::{Evidence, Finding, Story, Verdict, Violation};
use harness::report::{RunIdentity, SCHEMA_VERSION};
use harness::scenario::plan::{Action, Arrival, Journey, Plan, PlannedLine, PlannedOrder};
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::snapshot::{Backlog, Quiescence, Rest, Servers, Snapshot, Stop};
use rand::Rng;

/// The one item of the sale.
pub(crate) const ITEM: ItemId = ItemId { store: 1, product: 20, sku: 300 };

/// Mean rate of the load, per second.
const RATE: f64 = 6_000.0;

fn uniform(draws: &mut impl Rng) -> f64 {
    f64::from(draws.next_u32()) / f64::from(u32::MAX)
}

/// A latency of log-normal shape with a thin tail of stalls.
fn latency(draws: &mut impl Rng, median_ms: f64) -> Duration {
    let bell = (0..12).map(|_| uniform(draws)).sum::<f64>() - 6.0;
    let stall = if uniform(draws) > 0.9995 { 20.0 * uniform(draws) } else { 0.0 };
    Duration::from_secs_f64((median_ms * (0.55 * bell).exp() + stall) / 1e3)
}

/// A scenario of one item.
pub(crate) fn scenario(opening: u64, load_ms: u64) -> Scenario {
    let stretch = |name: &str, phase, duration_ms| LoadStretch { name: name.to_owned(), phase, duration_ms, rate_per_s: RATE };
    Scenario {
        name: "flash_sale".to_owned(),
        seed: Seed(7),
        items: vec![SaleItem { item: ITEM, opening, weight: 1 }],
        stretches: vec![stretch("warm-up", Phase::Warmup, load_ms / 8), stretch("spike", Phase::Baseline, load_ms - load_ms / 8)],
        mix: Mix {
            users: 50_000,
            duplicates: 0.05,
            concurrent_duplicates: 0.5,
            cancels: 0.02,
            payments: 0.2,
            reads: 0.1,
            think_ms: (100, 2_000),
            ..Mix::default()
        },
        processes: Processes { api: 2, worker: 2 },
        limits: Limits::default(),
        promises: Promises::default(),
        faults: Vec::new(),
    }
}

/// A plan with as many arrivals as operations.
fn plan(scenario: Scenario, operations: &[Operation]) -> Plan {
    let arrival =
        |(index, op): (u32, &Operation)| Arrival { due: op.due, action: Action::Create, order: index, instance: op.instance };
    Plan {
        scenario,
        run_tag: "s7".to_owned(),
        orders: operations.iter().map(|_| PlannedOrder::of_one(0, 1, 1)).collect(),
        changes: Vec::new(),
        arrivals: (0..).zip(operations).map(arrival).collect(),
        journeys: Vec::new(),
    }
}

fn operation(draws: &mut impl Rng, id: u64, due: Offset, left: &mut u64, phase: Phase) -> Operation {
    let function = match uniform(draws) {
        share if share < 0.9 => Function::CreateOrder,
        share if share < 0.97 => Function::PayOrder,
        _ => Function::CancelOrder,
    };
    let doubt = uniform(draws) > 0.9998;
    let outcome = match function {
        _ if doubt => Outcome::Info(InfoCause::Timeout),
        Function::CreateOrder if *left == 0 => Outcome::Fail(FailCode::SoldOut),
        _ => Outcome::Ok,
    };
    *left -= u64::from(function == Function::CreateOrder && outcome == Outcome::Ok);
    let median_ms = if outcome == Outcome::Ok { 2.1 } else { 0.7 };
    let sent = due.plus(latency(draws, 0.25));
    let took = if doubt { Duration::from_millis(2_000) } else { latency(draws, median_ms) };
    Operation {
        id: OpId(id),
        proc: id,
        function,
        order: format!("s7-{id}").into(),
        user: id % 50_000,
        items: vec![ItemQuantity { item: ITEM, qty: 1 }],
        due,
        sent,
        answered: Some(sent.plus(took)),
        outcome,
        http: (!doubt).then_some(if outcome == Outcome::Ok { 201 } else { 409 }),
        witness: Vec::new(),
        status: None,
        short: (outcome == Outcome::Fail(FailCode::SoldOut)).then_some(ITEM),
        phase,
        instance: u16::from(id.is_multiple_of(2)),
        closed_loop: false,
    }
}

/// [`evidence`] of which every tenth operation is a closed-loop user's.
pub(crate) fn with_closed_loop(number: u64) -> Evidence {
    let mut evidence = evidence(number);
    let think_ms = [500; 4];
    let round = Journey { line: PlannedLine { item: 0, quantity: 1 }, pays: true, instance: 0, think_ms };
    evidence.plan.journeys = vec![vec![round]; 20];
    for op in evidence.history.operations.iter_mut().skip(5).step_by(10) {
        op.closed_loop = true;
        op.due = op.sent;
    }
    evidence
}

/// Evidence of a whole run of `number` operations.
pub(crate) fn evidence(number: u64) -> Evidence {
    let mut draws = Seed(7).stream("synthetic");
    let load_ms = (number * 1_000 / 6_000).max(800);
    let scenario = scenario((number / 4).max(1), load_ms);
    let starts_ms = 1_500;
    let mut left = scenario.supply();
    let mut at_s = 0.0;
    let mut operations = Vec::new();
    for id in 0..number {
        at_s += -(1.0 - uniform(&mut draws).min(0.999_999)).ln() / RATE;
        let due = Offset::from_millis(starts_ms).plus(Duration::from_secs_f64(at_s));
        let phase = if at_s * 1e3 < (load_ms / 8) as f64 { Phase::Warmup } else { Phase::Baseline };
        operations.push(operation(&mut draws, id, due, &mut left, phase));
    }
    let plan = plan(scenario, &operations);
    let history = history(operations, starts_ms, load_ms);
    let stops = ["load", "drain"].map(|after| stop(after, starts_ms + load_ms)).into();
    Evidence { plan, history, stops, damage: Vec::new(), edited: Vec::new() }
}

fn history(operations: Vec<Operation>, starts_ms: u64, load_ms: u64) -> History {
    let mark = |at_ms: u64, name, stretch: &str| Timed {
        at: Offset::from_millis(at_ms),
        what: PhaseMark { name, stretch: stretch.to_owned() },
    };
    let ends_ms = starts_ms + load_ms;
    let sample = |second: u64, of: &str, value| Timed {
        at: Offset::from_millis(starts_ms + second * 1_000),
        what: Sample { name: "cpu_percent".to_owned(), of: of.to_owned(), value },
    };
    let roles = ["api-1", "api-2", "redis", "mysql"];
    let samples =
        (0..load_ms / 1_000).flat_map(|second| roles.map(|of| sample(second, of, 20.0 + (second % 7) as f64 * of.len() as f64)));
    History {
        head: Some(Head {
            schema: SCHEMA,
            run_id: "20261122T153614Z-7".to_owned(),
            scenario: "flash_sale".to_owned(),
            seed: Seed(7),
            argv: vec!["flash-sale".to_owned(), "--seed".to_owned(), "7".to_owned()],
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            build_id: "ab".repeat(32),
            wall_start_ms: 1_795_361_774_000,
        }),
        phases: vec![
            mark(starts_ms, Phase::Warmup, "warm-up"),
            mark(starts_ms + load_ms / 8, Phase::Baseline, "spike"),
            mark(ends_ms, Phase::Quiesce, ""),
            mark(ends_ms + 900, Phase::Drain, ""),
        ],
        tail: Some(Tail { records: 2 * operations.len() as u64, ops: operations.len() as u64, why: "finished".to_owned() }),
        records: 2 * operations.len() as u64 + 1,
        samples: samples.collect(),
        operations,
        ..History::default()
    }
}

fn stop(after: &str, ended_ms: u64) -> Stop {
    let at = Offset::from_millis(ended_ms);
    let quiescence = Quiescence { rest: Rest::Quiesced, backlog: Backlog::default(), began: at, ended: at };
    let snapshot = Snapshot { taken_at: at, consistent: true, attempts: 1, servers: servers(), ..Snapshot::default() };
    Stop { after: after.to_owned(), quiescence, snapshot }
}

/// The servers of the synthetic run.
pub(crate) fn servers() -> Servers {
    let settings = [("innodb_flush_log_at_trx_commit", "1"), ("sync_binlog", "1"), ("appendonly", "no")];
    Servers {
        redis: "Redis 7.0.15".to_owned(),
        mysql: "10.11.14-MariaDB".to_owned(),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

/// The identity that belongs to the synthetic run.
pub(crate) fn identity() -> RunIdentity {
    let machine = [("cores", "2"), ("memory", "7.8 GiB"), ("system", "Linux 6.1")];
    RunIdentity {
        schema_version: SCHEMA_VERSION,
        run_id: "20261122T153614Z-7".to_owned(),
        scenario: "flash_sale".to_owned(),
        seed: 7,
        command: "flash-sale --seed 7 --stock 15000 --rate 6000 --duration 10s".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        build_id: "ab".repeat(32),
        wall_start_ms: 1_795_361_774_000,
        duration_ms: 24_300,
        backend: "process".to_owned(),
        toxiproxy: Some("http://127.0.0.1:8474".to_owned()),
        service_args: vec!["--writer-connections=2".to_owned()],
        servers: servers(),
        machine: machine.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        files: BTreeMap::new(),
        rig_errors: Vec::new(),
        interrupted: false,
    }
}

/// The same run, cut off after a part of its operations: no end, no stops, the last ones unanswered.
pub(crate) fn cut_off(number: u64) -> Evidence {
    let mut evidence = evidence(number);
    for op in evidence.history.operations.iter_mut().rev().take(40) {
        (op.answered, op.outcome) = (None, Outcome::Info(InfoCause::RunEnded));
    }
    evidence.history.phases.truncate(2);
    (evidence.history.tail, evidence.stops) = (None, Vec::new());
    evidence
}

/// An arrival that was not sent.
pub(crate) fn shed(due_ms: u64, why: ShedCause) -> Timed<Shed> {
    let due = Offset::from_millis(due_ms);
    Timed { at: due, what: Shed { due, f: Function::CreateOrder, order: "s7-x".to_owned(), why } }
}

/// A finding.
pub(crate) fn finding(invariant: &str, required: bool, verdict: Verdict) -> Finding {
    let (claim, looked_at) = match invariant {
        "no_oversell" => ("No more units are sold than were on sale", "15,000 accepted orders of 1 item"),
        "redis_equals_ledger" => ("At rest, the stock in Redis is what the ledger says", "1 item"),
        "latency_within_budget" => ("p99 of create_order stays within the budget", "52,311 answers"),
        "evidence_is_sound" => ("What was recorded can be believed", "120,001 records"),
        _ => ("What the service promised came true", "60,000 operations"),
    };
    Finding {
        invariant: invariant.to_owned(),
        claim: claim.to_owned(),
        required,
        strength: None,
        looked_at: looked_at.to_owned(),
        verdict,
    }
}

/// A verdict that holds.
pub(crate) fn held() -> Verdict {
    Verdict::Held { examined: NonZeroU64::MIN.saturating_add(14_999) }
}

/// A verdict with one counter-example that names orders and the item.
pub(crate) fn violated(what: &str) -> Verdict {
    let story = |at_ms, lane: &str, what: &str| Story { at: at_ms, lane: lane.to_owned(), what: what.to_owned() };
    let violation = Violation {
        what: what.to_owned(),
        orders: (0..7).map(|index| format!("s7-{index}")).collect(),
        item: Some(ITEM),
        operations: vec![OpId(3), OpId(4)],
        units: Some(2),
        at: Some(Offset::from_millis(4_310)),
        story: vec![
            story(Some(Offset::from_millis(4_301)), "client", "asks for 1 unit as s7-3"),
            story(Some(Offset::from_millis(4_303)), "redis", "pre_deduct leaves -1"),
            story(None, "mysql", "row s7-3 in CREATED, ledger row 91 in OUT"),
        ],
    };
    Verdict::from_violations(15_000, vec![violation.clone(), Violation { what: "A second one".to_owned(), ..violation }])
}

/// Findings of a run in which everything held.
pub(crate) fn all_held() -> Vec<Finding> {
    let names = [
        "evidence_is_sound",
        "no_oversell",
        "no_false_sold_out",
        "acknowledged_is_durable",
        "redis_equals_ledger",
        "every_lock_resolved",
    ];
    let mut findings: Vec<Finding> = names.iter().map(|name| finding(name, true, held())).collect();
    findings.push(finding("latency_within_budget", true, held()));
    findings.push(finding("carts_are_whole", false, Verdict::NotApplicable { why: "no order held several items".to_owned() }));
    findings
}
