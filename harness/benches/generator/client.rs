//! The generator as a process of its own, so that its CPU time is nobody else's.
//!
//! In: address, rate, seconds and a folder, as arguments. Out: one line of JSON. Counted is the CPU time of the load and of its history to
//! the last byte on disk; the drawing of the plan before, and the reading of the history after, are not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use harness::clock::RunClock;
use harness::history::pairing::read_history;
use harness::history::record::{Head, Outcome as Fate, Record, SCHEMA};
use harness::history::recorder::Recorder;
use harness::load::arrivals::draw;
use harness::load::open_loop::run_load;
use harness::load::progress::Progress;
use harness::scenario::{ItemId, Limits, LoadStretch, Mix, Phase, Processes, Promises, SaleItem, Scenario};
use harness::seed::Seed;
use harness::stack::Endpoints;
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::figures::Outcome;

/// What one run of the generator did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Requests answered with the effect asked for.
    pub(crate) answered: u64,
    /// Requests of the plan.
    pub(crate) planned: u64,
    /// CPU time, s.
    pub(crate) cpu_s: f64,
    /// 99th percentile of sent minus due, µs.
    pub(crate) lag_p99_us: f64,
}

/// Offers `rate` new orders a second for `seconds` to `address`, and records them in `folder`.
pub(crate) fn run(address: SocketAddr, rate: f64, seconds: u64, folder: &Path) -> Outcome<Told> {
    let plan = draw(&scenario(rate, seconds), "b");
    let endpoints = Endpoints {
        api: vec![address],
        admin: vec![],
        admin_token: String::new(),
        redis_url: String::new(),
        mysql_url: String::new(),
    };
    let path = folder.join("history.jsonl.zst");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = cpu_s(UsageWho::RUSAGE_SELF)?;
    runtime.block_on(async {
        let (recorder, guard) = Recorder::create(&path, RunClock::start())?;
        recorder.record(head()).await?;
        run_load(&plan, &endpoints, &recorder, &Arc::new(Progress::default()), &CancellationToken::new()).await?;
        guard.finish("finished").await?;
        Outcome::Ok(())
    })?;
    let cpu_s = cpu_s(UsageWho::RUSAGE_SELF)? - before;
    let history = read_history(&path)?;
    if let Some(problem) = history.problems.first() {
        return Err(problem.clone().into());
    }
    let mut lags: Vec<u128> = history.operations.iter().map(|it| it.sent.since(it.due).as_nanos()).collect();
    lags.sort_unstable();
    let lag_p99 = lags.get(lags.len() * 99 / 100).copied().unwrap_or_default();
    let answered = history.operations.iter().filter(|it| it.outcome == Fate::Ok).count() as u64;
    std::fs::remove_file(&path)?;
    Ok(Told { answered, planned: plan.arrivals.len() as u64, cpu_s, lag_p99_us: lag_p99 as f64 / 1e3 })
}

/// CPU time in user and kernel mode, of this process or of its children that have ended.
pub(crate) fn cpu_s(who: UsageWho) -> Outcome<f64> {
    let used = getrusage(who)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(used.user_time()) + seconds(used.system_time()))
}

fn scenario(rate_per_s: f64, seconds: u64) -> Scenario {
    let item = ItemId { store: 1, product: 1, sku: 1 };
    Scenario {
        name: "bench".into(),
        seed: Seed(1),
        items: vec![SaleItem { item, opening: 1, weight: 1 }],
        stretches: vec![LoadStretch { name: "steady".into(), phase: Phase::Baseline, duration_ms: seconds * 1_000, rate_per_s }],
        mix: Mix { users: 100_000, ..Mix::default() },
        processes: Processes { api: 1, worker: 1 },
        limits: Limits::default(),
        promises: Promises::default(),
        faults: Vec::new(),
    }
}

fn head() -> Record {
    Record::Head(Box::new(Head {
        schema: SCHEMA,
        run_id: "bench".into(),
        scenario: "bench".into(),
        seed: Seed(1),
        argv: Vec::new(),
        commit: String::new(),
        build_id: String::new(),
        wall_start_ms: 0,
    }))
}
