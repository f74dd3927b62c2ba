//! Faults on real processes and proxies: they end when their run is stopped, when they are dropped and when they are forgotten, and one
//! that does nothing is seen to do nothing.
//!
//! The process that stands where the service goes is this test binary; what faults do to a real sale is tested beside the programs.

use std::time::Duration;

use harness::clock::RunClock;
use harness::faults::{Faults, run_faults};
use harness::history::operation::History;
use harness::history::pairing::read_history;
use harness::history::record::{FaultStep, Head, Record, SCHEMA};
use harness::history::recorder::Recorder;
use harness::scenario::faults::{Fault, Store, Target};
use harness::scenario::{FaultWindow, ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::stack::services::Stack;
use harness::stack::{Backend, StackSpec};
use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use crate::stack_services::{Logs, signal, spec};

fn window(fault: Fault, target: Target, duration_ms: u64) -> FaultWindow {
    FaultWindow { fault, target, start_ms: (0, 0), duration_ms, max_ms: 60_000, recovery_ms: None }
}

fn scenario(faults: Vec<FaultWindow>) -> Scenario {
    let scenario = Scenario {
        name: "faults".into(),
        seed: Seed(1),
        items: vec![SaleItem { item: ItemId { store: 1, product: 1, sku: 1 }, opening: 10, weight: 1 }],
        stretches: vec![LoadStretch { name: "none".into(), phase: Phase::Baseline, duration_ms: 60_000, rate_per_s: 1.0 }],
        mix: Mix {
            users: 1,
            duplicates: 0.0,
            concurrent_duplicates: 0.0,
            cancels: 0.0,
            payments: 0.0,
            reads: 0.0,
            think_ms: (0, 0),
            quantity_max: 1,
            ..Mix::default()
        },
        processes: Processes { api: 2, worker: 1 },
        limits: Limits::default(),
        promises: Promises::default(),
        faults,
    };
    assert_eq!(scenario.check(), Ok(()));
    scenario
}

async fn start(logs: &Logs) -> Stack {
    let wanted = spec(logs, Backend::Process, &[]);
    let wanted = StackSpec { redis_append_only: true, proxied: Some(Seed(1)), ..wanted };
    Stack::start(wanted, RunClock::start()).await.expect("tests need redis-server and mariadbd (or mysqld): run scripts/setup")
}

/// Runs faults on a stack beside `meanwhile`; what could not be done, and the history.
async fn run(
    logs: &Logs,
    stack: &Stack,
    faults: Vec<FaultWindow>,
    meanwhile: impl AsyncFnOnce(&CancellationToken),
) -> (Vec<String>, History) {
    let number = std::fs::read_dir(logs.folder()).expect("a folder of logs").count();
    let path = logs.folder().join(format!("history-{number}.jsonl.zst"));
    let (recorder, guard) = Recorder::create(&path, RunClock::start()).expect("a history");
    recorder.record(Record::Head(Box::new(head()))).await.expect("a record");
    let (scenario, stop) = (scenario(faults), CancellationToken::new());
    let faults = Faults { scenario: &scenario, controls: stack.controls(), recorder: &recorder, stop: &stop };
    let (told, ()) = tokio::join!(run_faults(faults, recorder.clock().now()), meanwhile(&stop));
    guard.finish("finished").await.expect("a whole history");
    (told.expect("a recorder"), read_history(&path).expect("a history"))
}

fn head() -> Head {
    Head {
        schema: SCHEMA,
        run_id: "faults".into(),
        scenario: "faults".into(),
        seed: Seed(1),
        argv: Vec::new(),
        commit: String::new(),
        build_id: String::new(),
        wall_start_ms: 0,
    }
}

fn steps(history: &History) -> Vec<FaultStep> {
    history.faults.iter().map(|mark| mark.what.step).collect()
}

/// Waits for what another task does.
async fn until(what: &str, met: impl Fn() -> bool) {
    let clock = RunClock::start();
    while !met() {
        assert!(clock.now().as_millis_f64() < 20_000.0, "waited for 20 s until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn is_stopped(stack: &Stack, role: &str) -> bool {
    stack.controls().life(role).expect("a process of the stack").is_some_and(|life| life.state == 'T')
}

#[tokio::test]
async fn an_injection_that_does_nothing_is_seen_not_to_bite() {
    let logs = Logs::new("blunt");
    let mut stack = start(&logs).await;
    let late = Fault::Latency { store: Store::Redis, latency_ms: 2_000, jitter_ms: 0 };
    let proxies = stack.controls().proxies().unwrap().clone();
    let set = || !proxies.view("api-1.redis").unwrap().toxics.is_empty();
    let undo = async |_: &CancellationToken| {
        until("the delay is set", set).await;
        proxies.reset().await.unwrap();
    };
    let (told, history) = run(&logs, &stack, vec![window(late, Target::Api(1), 400)], undo).await;
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(steps(&history), [FaultStep::Armed, FaultStep::Injected, FaultStep::Healing, FaultStep::Healed], "no bite");
    assert_eq!(stack.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_delay_and_a_partition_bite_heal_and_leave_nothing_in_the_proxies() {
    let logs = Logs::new("network");
    let mut stack = start(&logs).await;
    for fault in [
        Fault::Latency { store: Store::Mysql, latency_ms: 60, jitter_ms: 5 },
        Fault::Partition { store: Store::Redis },
        Fault::Reset { store: Store::Redis, every_ms: 100 },
        Fault::Refuse { store: Store::Mysql },
        Fault::Bandwidth { store: Store::Redis, rate_kbps: 500 },
    ] {
        let name = fault.name();
        let (told, history) = run(&logs, &stack, vec![window(fault, Target::EveryApi, 800)], async |_| {}).await;
        assert_eq!(told, Vec::<String>::new(), "{name}");
        let all = [FaultStep::Armed, FaultStep::Injected, FaultStep::Bit, FaultStep::Healing, FaultStep::Healed];
        assert_eq!(steps(&history), all, "{name}: {:#?}", history.faults);
        let generations: Vec<u64> = history.faults.iter().map(|mark| mark.what.generation).collect();
        assert!(name.ends_with("reset") || generations.first() < generations.last(), "{name}: {generations:?}");
        let left = stack.controls().proxies().unwrap().list();
        assert!(left.iter().all(|proxy| proxy.toxics.is_empty() && proxy.outages.is_empty()), "{name}: {left:#?}");
    }
    assert_eq!(stack.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_is_stopped_heals_what_is_in_force_and_injects_no_more() {
    let logs = Logs::new("stopped");
    let mut stack = start(&logs).await;
    let later = FaultWindow { start_ms: (30_000, 30_000), ..window(Fault::RedisFlush, Target::Redis, 100) };
    let clock = RunClock::start();
    let stop = async |stop: &CancellationToken| {
        until("the worker is stopped", || is_stopped(&stack, "worker-1")).await;
        stop.cancel();
    };
    // Its harm is to come after 25 s.
    let stale = window(Fault::RedisStaleRestore { age_ms: 25_000 }, Target::Redis, 100);
    let pids = stack.pids();
    let faults = vec![window(Fault::Pause, Target::Worker(1), 29_000), later, stale];
    let (told, history) = run(&logs, &stack, faults, stop).await;
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(steps(&history).last(), Some(&FaultStep::Healed));
    assert!(history.faults.iter().all(|mark| mark.what.id != 1), "{:#?}", history.faults);
    let waited: Vec<FaultStep> = history.faults.iter().filter(|mark| mark.what.id == 2).map(|mark| mark.what.step).collect();
    assert_eq!(waited, [FaultStep::Armed, FaultStep::Healed], "nothing was done");
    assert_eq!(stack.pids(), pids);
    assert!(!is_stopped(&stack, "worker-1"));
    assert!(clock.now().as_millis_f64() < 25_000.0, "it did not wait for the end of the window");
    assert_eq!(stack.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_injection_that_fails_half_way_is_not_healed_and_one_that_did_nothing_is() {
    let logs = Logs::new("half-way");
    let mut stack = start(&logs).await;
    signal(&stack, "api-1", Signal::SIGKILL);
    until("it is gone", || !stack.exited_unexpectedly().is_empty()).await;
    let (told, history) = run(&logs, &stack, vec![window(Fault::Kill, Target::EveryApi, 100)], async |_| {}).await;
    assert!(told[0].contains("was not injected") && told[0].contains("it had ended"), "{told:?}");
    assert_eq!(steps(&history), [FaultStep::Armed, FaultStep::Injected, FaultStep::Abandoned], "api-2 was killed, or not");
    let without_replica = window(Fault::RedisPromote { lag_ms: 1 }, Target::Redis, 100);
    let (told, history) = run(&logs, &stack, vec![without_replica], async |_| {}).await;
    assert!(told[0].contains("started without one"), "{told:?}");
    assert_eq!(steps(&history), [FaultStep::Armed, FaultStep::Healed]);
    stack.stop().await;
}

#[tokio::test]
async fn a_stopped_process_goes_on_when_its_fault_is_dropped_and_when_it_is_forgotten() {
    let logs = Logs::new("dropped");
    let mut stack = start(&logs).await;
    let controls = stack.controls();
    let paused = controls.pause("api-1", Duration::from_secs(60)).await.unwrap();
    until("it is stopped", || is_stopped(&stack, "api-1")).await;
    drop(paused);
    until("it goes on", || !is_stopped(&stack, "api-1")).await;
    let paused = controls.pause("api-2", Duration::from_millis(300)).await.unwrap();
    until("it is stopped", || is_stopped(&stack, "api-2")).await;
    until("its timer lets it go on", || !is_stopped(&stack, "api-2")).await;
    drop(paused);
    assert_eq!(stack.stop().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_end_that_was_ordered_is_no_news_and_one_that_was_not_is() {
    let logs = Logs::new("ordered");
    let mut stack = start(&logs).await;
    let before = stack.pids();
    // The one behind the other: what stands for the service here needs Redis to start.
    let later = FaultWindow { start_ms: (5_000, 5_000), ..window(Fault::Kill, Target::Api(1), 100) };
    let kill = vec![later, window(Fault::Kill, Target::Redis, 100)];
    let (told, history) = run(&logs, &stack, kill, async |_| {}).await;
    assert_eq!(told, Vec::<String>::new());
    assert!(steps(&history).iter().filter(|step| **step == FaultStep::Healed).count() == 2, "{:#?}", history.faults);
    assert_eq!(stack.exited_unexpectedly(), Vec::<String>::new());
    let changed: Vec<_> =
        stack.pids().into_iter().zip(before).filter(|(now, before)| now != before).map(|(now, _)| now.0).collect();
    assert_eq!(changed, ["redis", "api-1"]);
    signal(&stack, "api-1", Signal::SIGKILL);
    let clock = RunClock::start();
    let mut news = Vec::new();
    while news.is_empty() && clock.now().as_millis_f64() < 20_000.0 {
        news = stack.exited_unexpectedly();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(news.len() == 1 && news[0].starts_with("api-1 ended with signal 9"), "{news:?}");
    stack.stop().await;
}
