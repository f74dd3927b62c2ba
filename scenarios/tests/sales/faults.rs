//! Faults in a real sale: each bites, heals, leaves nothing, and the service keeps its promises.

use harness::history::operation::{History, Operation, Timed};
use harness::history::pairing::read_history;
use harness::history::record::{FaultMark, FaultStep, Function};
use harness::invariants::Verdict;
use harness::run::{self, Judged, Reading, RunRequest, Watch};
use harness::scenario::faults::{Fault, PointAction, Store, Target};
use harness::scenario::{
    Carts, FaultWindow, ItemId, Limits, LoadStretch, Mix, Operator, Phase, Processes, Promises, SaleItem, Scenario,
};
use harness::seed::Seed;
use harness::stack::{Rig, ServiceCommand};
use tokio_util::sync::CancellationToken;

use crate::workplace::{Workplace, turn};

/// Nobody watches.
struct Quiet;

impl Watch for Quiet {
    fn opened(&self, _folder: &std::path::Path) {}
    fn stage(&self, _name: &str) {}
    fn reading(&self, _reading: &Reading<'_>) {}
}

fn scenario(name: &str, faults: Vec<FaultWindow>) -> Scenario {
    let item = |sku| SaleItem { item: ItemId { store: 1, product: 1, sku }, opening: 400, weight: if sku == 1 { 4 } else { 1 } };
    let stretch = |name: &str, phase, duration_ms| LoadStretch { name: name.into(), phase, duration_ms, rate_per_s: 120.0 };
    Scenario {
        name: name.into(),
        seed: Seed(11),
        items: (1..=4).map(item).collect(),
        stretches: vec![stretch("warm-up", Phase::Warmup, 1_000), stretch("steady", Phase::Baseline, 9_000)],
        mix: Mix {
            users: 10_000,
            greedy: 0.0,
            duplicates: 0.05,
            concurrent_duplicates: 0.5,
            altered: 0.0,
            cancels: 0.1,
            payments: 0.3,
            refunds: 0.0,
            reads: 0.1,
            think_ms: (20, 1_000),
            quantity_max: 2,
            carts: Carts::default(),
            journeys: 0,
            operator: Operator::default(),
        },
        processes: Processes { api: 2, worker: 2 },
        limits: Limits { ready_ms: 60_000, ..Limits::default() },
        // How fast this machine is, in a debug build, is not the question.
        promises: Promises { latency_p99_budget_ms: 10_000.0, ..Promises::default() },
        faults,
    }
}

fn window(fault: Fault, target: Target, start_ms: u64, duration_ms: u64) -> FaultWindow {
    FaultWindow { fault, target, start_ms: (start_ms, start_ms + 200), duration_ms, max_ms: 20_000, recovery_ms: Some(10_000) }
}

/// Runs a sale with these faults.
fn sale(name: &str, faults: Vec<FaultWindow>) -> (Judged, History) {
    let _turn = turn();
    let place = Workplace::kept(&format!("faults-{name}"));
    let request = RunRequest {
        scenario: scenario(name, faults),
        saved: None,
        rig: Rig::default(),
        service: ServiceCommand {
            program: env!("CARGO_BIN_EXE_flash-sale").into(),
            leading: vec!["__service".into()],
            scripts: Vec::new(),
        },
        reports: place.reports(),
        command: "a test".into(),
        commit: "unknown".into(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let judged = runtime.block_on(run::run(&request, &Quiet, &CancellationToken::new())).unwrap();
    let history = read_history(&judged.folder.file("history.jsonl.zst")).unwrap();
    (judged, history)
}

/// The marks of one fault, in order.
fn steps(history: &History, id: u32) -> Vec<&Timed<FaultMark>> {
    history.faults.iter().filter(|mark| mark.what.id == id).collect()
}

/// Fails unless the fault bit and was healed, and nothing went wrong beside it.
#[track_caller]
fn bit_and_healed((judged, history): &(Judged, History), faults: u32) {
    for id in 0..faults {
        let marks = steps(history, id);
        let names: Vec<FaultStep> = marks.iter().map(|mark| mark.what.step).collect();
        let told: Vec<_> = marks.iter().map(|mark| (mark.at, &mark.what)).collect();
        let all = [FaultStep::Armed, FaultStep::Injected, FaultStep::Bit, FaultStep::Healing, FaultStep::Healed];
        assert_eq!(names, all, "{told:#?}");
    }
    let broken: Vec<_> = judged.report.findings.iter().filter(|finding| finding.verdict.is_violated()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let bit = judged.report.findings.iter().find(|finding| finding.invariant == "faults_bit").unwrap();
    assert!(matches!(bit.verdict, Verdict::Held { .. }), "{bit:?}");
    assert!(judged.report.run.rig_errors.is_empty(), "{:?}", judged.report.run.rig_errors);
}

#[test]
fn killed_service_processes_and_stores_come_back_and_the_sale_is_right() {
    let run = sale(
        "kills",
        vec![
            window(Fault::Kill, Target::AnyWorker, 2_000, 500),
            window(Fault::Kill, Target::AnyApi, 3_000, 500),
            window(Fault::Kill, Target::Redis, 4_500, 300),
            window(Fault::Kill, Target::Mysql, 6_000, 300),
        ],
    );
    bit_and_healed(&run, 4);
}

#[test]
fn stopped_and_ended_processes_go_on() {
    let run = sale(
        "pauses",
        vec![
            window(Fault::Pause, Target::Worker(1), 2_000, 800),
            window(Fault::Pause, Target::Api(1), 3_200, 600),
            window(Fault::Terminate, Target::Api(2), 4_400, 300),
            window(Fault::Terminate, Target::Worker(2), 5_400, 300),
            window(Fault::Pause, Target::Redis, 6_200, 500),
            window(Fault::Pause, Target::Mysql, 7_200, 500),
        ],
    );
    bit_and_healed(&run, 6);
}

#[test]
fn a_network_that_is_slow_cut_and_reset_heals() {
    let run = sale(
        "network",
        vec![
            window(Fault::Latency { store: Store::Redis, latency_ms: 50, jitter_ms: 10 }, Target::Services, 1_500, 700),
            window(Fault::Partition { store: Store::Redis }, Target::Api(1), 2_800, 800),
            window(Fault::Reset { store: Store::Mysql, every_ms: 200 }, Target::Services, 4_200, 900),
            window(Fault::Refuse { store: Store::Redis }, Target::Worker(1), 5_600, 500),
            window(Fault::Partition { store: Store::Mysql }, Target::Services, 6_600, 700),
            window(Fault::Bandwidth { store: Store::Mysql, rate_kbps: 200 }, Target::Api(2), 7_900, 900),
        ],
    );
    bit_and_healed(&run, 6);
}

#[test]
fn a_redis_that_loses_its_data_is_rebuilt() {
    let run = sale(
        "redis",
        vec![
            window(Fault::RedisFlush, Target::Redis, 1_500, 300),
            window(Fault::RedisScriptFlush, Target::Redis, 2_400, 300),
            window(Fault::RedisKeyEdited { by: 1_000 }, Target::Redis, 3_300, 300),
            window(Fault::RedisMaxmemory, Target::Redis, 4_200, 400),
            window(Fault::RedisTruncatedTail { keep_percent: 50 }, Target::Redis, 5_200, 300),
            window(Fault::RedisEmpty, Target::Redis, 6_400, 300),
            window(Fault::RedisStaleRestore { age_ms: 700 }, Target::Redis, 7_400, 300),
        ],
    );
    bit_and_healed(&run, 7);
}

#[test]
fn a_replica_that_lagged_is_promoted_and_the_counter_is_rebuilt() {
    let run = sale("promotion", vec![window(Fault::RedisPromote { lag_ms: 500 }, Target::Redis, 3_000, 500)]);
    bit_and_healed(&run, 1);
}

#[test]
fn a_mysql_that_refuses_or_waits_goes_on() {
    let run = sale(
        "mysql",
        vec![
            window(Fault::MysqlReadOnly, Target::Mysql, 1_500, 600),
            window(Fault::MysqlRowLock, Target::Mysql, 3_000, 800),
            window(Fault::MysqlConnections, Target::Mysql, 4_800, 800),
            window(Fault::MysqlCommitStall, Target::Mysql, 6_600, 700),
            window(Fault::MysqlBadMessage, Target::Mysql, 8_400, 700),
        ],
    );
    bit_and_healed(&run, 5);
}

#[test]
fn a_process_killed_at_a_named_step_leaves_a_half_state_that_is_settled() {
    let at = |point: &str, action| Fault::Point { point: point.to_owned(), nth: 3, action };
    let run = sale(
        "points",
        vec![
            window_of_point(at("pre_deduct_reply_held", PointAction::Kill), Target::Api(1), 1_500),
            window_of_point(at("commit_held", PointAction::Kill), Target::Api(2), 3_000),
            window_of_point(at("commit_forwarded_reply_withheld", PointAction::DropReply), Target::EveryApi, 4_500),
            window_of_point(at("deduct_commit_held", PointAction::CutBefore), Target::EveryWorker, 5_500),
            window_of_point(at("confirm_reply_held", PointAction::Kill), Target::EveryWorker, 6_500),
            window_of_point(at("apply_delta_reply_held", PointAction::Reset), Target::EveryWorker, 7_500),
        ],
    );
    bit_and_healed(&run, 6);
    assert_eq!(run.1.points.len(), 6, "{:#?}", run.1.points);
    for point in &run.1.points {
        assert!(!point.what.orders.is_empty(), "{point:?}");
    }
}

#[test]
fn an_order_whose_answer_was_never_sent_is_durable_and_its_client_in_doubt() {
    let unsent = |action| Fault::Point { point: "committed_reply_unsent".to_owned(), nth: 2, action };
    let run = sale(
        "unsent",
        vec![
            window_of_point(unsent(PointAction::Kill), Target::Api(1), 1_500),
            window_of_point(unsent(PointAction::DropReply), Target::Api(2), 4_000),
            window_of_point(unsent(PointAction::CutBefore), Target::Api(2), 6_500),
        ],
    );
    bit_and_healed(&run, 3);
    for point in &run.1.points {
        let order = point.what.orders.first().expect("the reply is about an order");
        let doubtful = |op: &Operation| op.function == Function::CreateOrder && *op.order == **order && !op.is_ok();
        assert!(run.1.operations.iter().any(doubtful), "{order} was answered: {point:?}");
    }
}

fn window_of_point(fault: Fault, target: Target, start_ms: u64) -> FaultWindow {
    FaultWindow { max_ms: 2_000, ..window(fault, target, start_ms, 200) }
}
