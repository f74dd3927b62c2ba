//! Gathers the evidence of a run: stack up, sale opened, load beside faults, rest, snapshot, drain test, rest, snapshot, stack down.
//!
//! In: the plan. Out: history and snapshots in the run folder. A step that fails ends the gathering, and is told as a rig error; what was
//! gathered before it is kept and judged.

use tokio_util::sync::CancellationToken;

use super::sampling::{Calm, sample};
use super::selling;
use super::stalls::StallMeter;
use super::telemetry::listen;
use super::watch::Watch;
use super::{Run, RunError, RunRequest, machine};
use crate::clock::RunClock;
use crate::faults::{Faults, run_faults};
use crate::history::record::{Head, PhaseMark, Record, SCHEMA};
use crate::history::recorder::Recorder;
use crate::measure::coverage::UNREACHABLE_NOTE;
use crate::proxy::tap::{Peer, Point};
use crate::report::folder::{HISTORY, LOGS, RunFolder};
use crate::report::{RunIdentity, SCHEMA_VERSION};
use crate::scenario::faults::Fault;
use crate::scenario::plan::Plan;
use crate::scenario::{FaultWindow, Phase};
use crate::snapshot::reader::StoreReader;
use crate::snapshot::take::{StopContext, stop_point};
use crate::snapshot::{Servers, Stop};
use crate::stack::services::Stack;
use crate::stack::{Endpoints, StackSpec};
use crate::target::admin::open_sales;
use crate::target::telemetry::holdfast;

/// Orders read back through every api process at the end, spread over the whole plan.
const FINAL_READS_MAX: usize = 1_000;

/// What a run left beside its history.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    stops: Vec<Stop>,
    rig_errors: Vec<String>,
    interrupted: bool,
    build_id: String,
}

/// Brings the stack up, runs everything, takes the stack down, closes the history.
pub(super) async fn gather(
    request: &RunRequest,
    plan: &Plan,
    folder: &RunFolder,
    watch: &dyn Watch,
    (clock, stop): (&RunClock, &CancellationToken),
) -> Result<Gathered, RunError> {
    let (recorder, history) = Recorder::create(&folder.file(HISTORY), *clock)?;
    let mut gathered = Gathered { build_id: machine::build_id(&request.service.program), ..Gathered::default() };
    recorder.record(Record::Head(Box::new(head(request, folder, clock, &gathered.build_id)))).await?;
    for (point, why) in &plan.scenario.promises.unreachable {
        let detail = serde_json::json!({ "name": point, "why": why });
        recorder.record(Record::Note { what: UNREACHABLE_NOTE.to_owned(), detail }).await?;
    }
    let run = Run { plan, clock, recorder: &recorder, watch, stop };
    watch.stage("starting the stack");
    match Stack::start(spec(request, folder), *clock).await {
        Ok(stack) => {
            gathered.rig_errors.extend(machine::strangers(&stack.pids(), &request.service.program));
            on_stack(run, folder, stack, &mut gathered).await;
        }
        Err(error) if error.is_usage() => {
            history.finish("nothing ran").await?;
            return Err(error.into());
        }
        Err(error) => gathered.rig_errors.push(error.to_string()),
    }
    gathered.interrupted = stop.is_cancelled();
    history.finish(if gathered.interrupted { "interrupted" } else { "finished" }).await?;
    Ok(gathered)
}

async fn on_stack(run: Run<'_>, folder: &RunFolder, mut stack: Stack, gathered: &mut Gathered) {
    run.watch.up(stack.endpoints());
    // Without it the report lacks a picture, and the run is no less judged.
    let _stalls = StallMeter::start(run.recorder);
    if let Err(error) = sell_watched(run, &stack, gathered).await {
        gathered.rig_errors.push(error.to_string());
    }
    if let Err(error) = folder.write_stops(&gathered.stops) {
        gathered.rig_errors.push(error.to_string());
    }
    run.watch.stage("stopping the stack");
    gathered.rig_errors.extend(stack.stop().await);
    for mark in stack.take_steps() {
        // A history that no longer takes records says so when it is finished.
        let _lost = run.recorder.record_at(mark.at, Record::Proc(mark.what)).await;
    }
}

/// Goes through the whole sale while the stack is looked at once a second.
async fn sell_watched(run: Run<'_>, stack: &Stack, gathered: &mut Gathered) -> Result<(), RunError> {
    let stores = StoreReader::connect(stack.endpoints()).await?;
    let sold = CancellationToken::new();
    let calm = if run.plan.scenario.faults.is_empty() { Calm::Yes } else { Calm::No };
    let sampling = sample(stack, &stores, run.recorder, &sold, calm);
    let selling = async {
        let result = sell_and_stop(run, stack, &stores, gathered).await;
        sold.cancel();
        result
    };
    let telemetry = holdfast();
    let listening = listen(stack, run.recorder, &telemetry, &sold);
    let (ends, (), result) = tokio::join!(sampling, listening, selling);
    gathered.rig_errors.extend(ends);
    result
}

/// Opens the sale, sells while the faults go on, waits for rest, looks, sells what is left, waits, looks again.
async fn sell_and_stop(run: Run<'_>, stack: &Stack, stores: &StoreReader, gathered: &mut Gathered) -> Result<(), RunError> {
    let endpoints = stack.endpoints();
    run.watch.stage("opening the sale");
    let scenario = &run.plan.scenario;
    open_sales(endpoints.api_admin()?, &endpoints.admin_token, &scenario.items, scenario.promises.limit_per_user).await?;
    let faults = Faults { scenario, controls: stack.controls(), recorder: run.recorder, stop: run.stop };
    let (sold, left) = tokio::join!(selling::sell(run, endpoints), run_faults(faults, run.clock.now()));
    gathered.rig_errors.extend(left?);
    let stopped = stop_after("load", Phase::Quiesce, run, endpoints, stores).await;
    // What the stores hold convicts even where the load failed.
    gathered.stops.push(stopped?);
    sold?;
    if run.stop.is_cancelled() {
        return Ok(());
    }
    run.watch.stage("drain test");
    if let Some(at_rest) = gathered.stops.last() {
        selling::drain(run, endpoints, &at_rest.snapshot).await?;
    }
    gathered.stops.push(stop_after("drain", Phase::Drain, run, endpoints, stores).await?);
    Ok(())
}

async fn stop_after(
    after: &'static str,
    phase: Phase,
    run: Run<'_>,
    endpoints: &Endpoints,
    stores: &StoreReader,
) -> Result<Stop, RunError> {
    // Before the watcher hears of it: what it does then is no part of the load.
    if phase == Phase::Quiesce {
        run.recorder.record(Record::Phase(PhaseMark { name: phase, stretch: String::new() })).await?;
    }
    run.watch.stage("waiting for rest");
    let context = StopContext { stores, endpoints, scenario: &run.plan.scenario, clock: run.clock, stop: run.stop };
    // Load and drain end only when every request has its fate, so none of the harness' own is open here.
    Ok(stop_point(after, context, || 0, &final_reads(run.plan)).await?)
}

/// A sample of order ids, evenly spread over the plan, closed-loop users among it.
fn final_reads(plan: &Plan) -> Vec<String> {
    let rounds = plan.journeys.iter().enumerate().flat_map(|(user, rounds)| (0..rounds.len()).map(move |round| (user, round)));
    let arriving = (0..plan.orders.len()).filter_map(|index| u32::try_from(index).ok());
    let step = (plan.orders.len() + rounds.clone().count()).div_ceil(FINAL_READS_MAX).max(1);
    let journeys = rounds.step_by(step).map(|(user, round)| plan.journey_order_id(user, round));
    arriving.step_by(step).map(|index| plan.order_id(index)).chain(journeys).collect()
}

fn spec(request: &RunRequest, folder: &RunFolder) -> StackSpec {
    let promises = &request.scenario.promises;
    let flag = |name: &str, value: u64| [format!("--{name}"), value.to_string()];
    StackSpec {
        backend: request.rig.backend.clone(),
        processes: request.scenario.processes,
        service: request.service.clone(),
        service_flags: [
            flag("resolver-grace-ms", promises.resolver_grace_ms),
            flag("worker-poll-max-ms", promises.worker_poll_max_ms),
            flag("sold-out-memory-ms", promises.staleness_ms),
            flag("order-ttl-ms", promises.order_ttl_ms),
        ]
        .into_iter()
        .flatten()
        .chain((promises.audit_every_ms > 0).then(|| flag("audit-every-ms", promises.audit_every_ms)).into_iter().flatten())
        .chain(without_redis(promises.degrade_after_ms))
        .chain(request.rig.service_args.iter().cloned())
        .collect(),
        ready_ms: request.scenario.limits.ready_ms,
        redis_append_only: request.scenario.faults.iter().any(|window| window.fault.needs_append_only(window.target)),
        redis_replica: request.scenario.faults.iter().any(|window| matches!(window.fault, Fault::RedisPromote { .. })),
        proxied: (!request.scenario.faults.is_empty()).then_some(request.scenario.seed),
        toxiproxy: request.rig.toxiproxy.clone(),
        fronted: request.scenario.faults.iter().any(is_at_the_front),
        logs: folder.file(LOGS),
    }
}

/// Flags of a service that sells without Redis: it goes back once Redis has been well for as long as it had to be away.
fn without_redis(after_ms: u64) -> Vec<String> {
    if after_ms == 0 {
        return Vec::new();
    }
    let after = after_ms.to_string();
    ["--redis-down", "database", "--degrade-after-ms", &after, "--return-after-ms", &after].map(str::to_owned).into()
}

/// Whether a fault waits for a frame between the service and its clients.
fn is_at_the_front(window: &FaultWindow) -> bool {
    let Fault::Point { point, .. } = &window.fault else { return false };
    Point::named(point).is_some_and(|point| point.lives_on().1 == Peer::Clients)
}

fn head(request: &RunRequest, folder: &RunFolder, clock: &RunClock, build_id: &str) -> Head {
    Head {
        schema: SCHEMA,
        run_id: folder.run_id(),
        scenario: request.scenario.name.clone(),
        seed: request.scenario.seed,
        argv: vec![request.command.clone()],
        commit: request.commit.clone(),
        build_id: build_id.to_owned(),
        wall_start_ms: clock.wall_start_ms(),
    }
}

/// What `run.json` says of the run, with the hashes of its evidence.
pub(super) fn identify(
    request: &RunRequest,
    folder: &RunFolder,
    clock: &RunClock,
    gathered: Gathered,
) -> Result<RunIdentity, RunError> {
    let servers = gathered.stops.last().map_or_else(Servers::default, |stop| stop.snapshot.servers.clone());
    Ok(RunIdentity {
        schema_version: SCHEMA_VERSION,
        run_id: folder.run_id(),
        scenario: request.scenario.name.clone(),
        seed: request.scenario.seed.0,
        command: request.command.clone(),
        commit: request.commit.clone(),
        build_id: gathered.build_id,
        wall_start_ms: clock.wall_start_ms(),
        duration_ms: clock.now().nanos() / 1_000_000,
        servers,
        machine: machine::describe(),
        backend: request.rig.backend.name().to_owned(),
        toxiproxy: request.rig.toxiproxy.clone(),
        service_args: request.rig.service_args.clone(),
        files: folder.hash_evidence()?,
        rig_errors: gathered.rig_errors,
        interrupted: gathered.interrupted,
    })
}
