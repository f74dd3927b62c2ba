//! Runs load, closed-loop users and drain test on threads of their own, so that nothing else of the harness shows up as lag of the generator.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::watch::Reading;
use super::{Run, RunError};
use crate::clock::Offset;
use crate::load::drain::drain as drain_items;
use crate::load::open_loop::run_load;
use crate::load::progress::{Counts, Progress};
use crate::scenario::ItemId;
use crate::snapshot::Snapshot;
use crate::stack::Endpoints;

/// Pause between two readings for a person.
const READING_EVERY: Duration = Duration::from_secs(1);

/// Sends the whole plan, closed-loop users beside the arrivals.
pub(super) async fn sell(run: Run<'_>, endpoints: &Endpoints) -> Result<(), RunError> {
    run.watch.stage("selling");
    let (arrivals, journeys) = tokio::join!(arrive(run, endpoints), journey(run, endpoints));
    arrivals.and(journeys)
}

#[cfg(feature = "goose")]
async fn journey(run: Run<'_>, endpoints: &Endpoints) -> Result<(), RunError> {
    if run.plan.journeys.is_empty() {
        return Ok(());
    }
    let (plan, endpoints, recorder, stop) = (run.plan.clone(), endpoints.clone(), run.recorder.clone(), run.stop.clone());
    let journeys = move || async move { crate::load::journeys::run_journeys(&plan, &endpoints, &recorder, &stop).await };
    Ok(on_own_thread(journeys).await??)
}

/// A plan with journeys was refused before anything started.
#[cfg(not(feature = "goose"))]
async fn journey(_run: Run<'_>, _endpoints: &Endpoints) -> Result<(), RunError> {
    Ok(())
}

async fn arrive(run: Run<'_>, endpoints: &Endpoints) -> Result<(), RunError> {
    let progress = Arc::new(Progress::default());
    let (plan, endpoints, recorder) = (run.plan.clone(), endpoints.clone(), run.recorder.clone());
    let (told, stop) = (Arc::clone(&progress), run.stop.clone());
    let load = on_own_thread(move || async move { run_load(&plan, &endpoints, &recorder, &told, &stop).await });
    tokio::pin!(load);
    let mut tick = tokio::time::interval(READING_EVERY);
    let mut before = (run.clock.now(), Counts::default());
    loop {
        tokio::select! {
            ended = &mut load => { ended??; return Ok(()) }
            _ = tick.tick() => before = tell(run, &progress, before),
        }
    }
}

/// Tells the watcher where the load stands, and returns that for the next time.
#[expect(clippy::cast_precision_loss, reason = "rates for a person")]
fn tell(run: Run<'_>, progress: &Progress, before: (Offset, Counts)) -> (Offset, Counts) {
    let (at, counts) = (run.clock.now(), progress.counts());
    let seconds = at.since(before.0).as_secs_f64().max(0.001);
    let answered = |counts: &Counts| counts.ok + counts.fail + counts.info;
    let stretch = counts.stretch.and_then(|index| run.plan.scenario.stretches.get(index));
    run.watch.reading(&Reading {
        at,
        stretch: stretch.map_or("", |stretch| stretch.name.as_str()),
        planned: run.plan.arrivals.len() as u64,
        counts,
        offered_per_s: (counts.offered - before.1.offered) as f64 / seconds,
        answered_per_s: (answered(&counts) - answered(&before.1)) as f64 / seconds,
        accepted_p99: progress.accepted_p99(),
        standing: run.recorder.standing(),
    });
    (at, counts)
}

/// The drain test: sells what the ledger says is free, and asks until everybody refuses.
pub(super) async fn drain(run: Run<'_>, endpoints: &Endpoints, at_rest: &Snapshot) -> Result<(), RunError> {
    let available = available(run, at_rest);
    let (plan, endpoints, recorder, stop) = (run.plan.clone(), endpoints.clone(), run.recorder.clone(), run.stop.clone());
    on_own_thread(move || async move { drain_items(&plan, &endpoints, &recorder, &available, &stop).await }).await??;
    Ok(())
}

/// Units that no committed order holds, for each item of the scenario: what the drain test should be able to sell.
fn available(run: Run<'_>, at_rest: &Snapshot) -> Vec<u64> {
    let mut free: BTreeMap<ItemId, i64> =
        at_rest.inventory.iter().map(|row| (row.item, row.current_stock - row.locked_stock)).collect();
    for row in at_rest.ledger.iter().filter(|row| row.transaction_type == "LOCK") {
        *free.entry(row.item).or_default() -= row.quantity;
    }
    let items = run.plan.scenario.items.iter();
    items.map(|sale| free.get(&sale.item).and_then(|units| u64::try_from(*units).ok()).unwrap_or(0)).collect()
}

/// Runs a future to its end on a new thread with its own runtime. If the caller is dropped the thread goes on to its end.
async fn on_own_thread<F, T>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, RunError>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let thread = |error: &dyn std::fmt::Display| RunError::Thread(error.to_string());
    let (done, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| thread(&error))?;
    let body = move || {
        let result = runtime.block_on(work());
        // Nobody waits any more: the run was given up.
        let _unheard = done.send(result);
    };
    std::thread::Builder::new().name("load".to_owned()).spawn(body).map_err(|error| thread(&error))?;
    ended.await.map_err(|error| thread(&error))
}
