//! Loops that finish what requests began and settle what crashes left.
//!
//! Every loop has a bound on its batch, a pause when idle, a growing pause on errors, a metric, and a clean stop between
//! batches. Any number of instances may run; none leads.

mod deduct;
mod delta;
mod expiry;
mod housekeeping;
mod reconciler;
mod resolver;
mod returning;

use std::future::Future;
use std::time::Duration;

use rand::RngExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::flow::{Flow, Refusal};

/// Settings of the workers.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Sales in one batch of the deduct worker. The claim passes the index entries that earlier batches left behind, once a batch.
    pub batch: u32,
    /// Shortest and longest pause of a worker that finds nothing to do.
    pub poll: (Duration, Duration),
    /// The resolver leaves younger locks alone, so that requests can finish; a matter of cost, not of safety.
    pub resolver_grace: Duration,
    /// Pause between two sweeps of the resolver over all items.
    pub resolver_pause: Duration,
    /// Pause of the reconciler between two items.
    pub audit_every: Duration,
    /// An increase claimed by a worker that died is claimed again after this.
    pub delta_lease: Duration,
    /// DONE rows of the outbox are deleted after this.
    pub outbox_kept: Duration,
    /// An item that left Redis goes back once Redis has been well, and the item away, for this long.
    pub return_after: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            batch: 500,
            poll: (Duration::from_millis(20), Duration::from_millis(500)),
            resolver_grace: Duration::from_secs(10),
            resolver_pause: Duration::from_secs(1),
            audit_every: Duration::from_secs(1),
            delta_lease: Duration::from_secs(5),
            outbox_kept: Duration::from_secs(7 * 24 * 3_600),
            return_after: Duration::from_secs(30),
        }
    }
}

/// What a worker found in one round.
enum Round {
    /// A full batch: there is probably more.
    Busy,
    /// Something, but less than a batch.
    Some,
    /// Nothing.
    Idle,
}

/// Longest pause after errors in a row.
const ERROR_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Starts every worker; they end, each between two batches, once `stop` is cancelled.
pub fn start(flow: &Flow, settings: &WorkerSettings, stop: &CancellationToken) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    let poll = settings.poll;
    let every_second = (Duration::from_secs(1), Duration::from_secs(1));
    let sweep = (settings.resolver_pause, settings.resolver_pause);
    // Several looks in the time that Redis must be well, at most one a second.
    let feel = (settings.return_after / 10).clamp(Duration::from_millis(20), Duration::from_secs(1));
    macro_rules! start {
        ($name:literal, $poll:expr, $round:path) => {
            let (flow, settings, stop) = (flow.clone(), settings.clone(), stop.clone());
            workers.spawn(async move { repeat($name, &flow, $poll, &stop, || $round(&flow, &settings)).await });
        };
    }
    start!("deduct", poll, deduct::round);
    start!("delta", poll, delta::round);
    // Often, so that what expired meanwhile is no burst.
    start!("expiry", (Duration::from_millis(200), Duration::from_millis(200)), expiry::round);
    start!("housekeeping", every_second, housekeeping::round);
    start!("return", (feel, feel), returning::round);
    // These two remember something from round to round.
    let (shared, unready) = (settings.clone(), resolver::Unready::default());
    let own = (flow.clone(), stop.clone());
    workers.spawn(async move { repeat("resolver", &own.0, sweep, &own.1, || resolver::round(&own.0, &shared, &unready)).await });
    let (own, cursor) = ((flow.clone(), stop.clone()), reconciler::Cursor::default());
    let pace = (settings.audit_every, settings.audit_every);
    workers.spawn(async move { repeat("reconciler", &own.0, pace, &own.1, || reconciler::round(&own.0, &cursor)).await });
    workers
}

/// Starts what a process without workers does: it reads the backlog, so that one of its alerts tells when no worker runs at all.
pub fn start_watching(flow: &Flow, stop: &CancellationToken) -> JoinSet<()> {
    let mut watching = JoinSet::new();
    let (own, pace) = ((flow.clone(), stop.clone()), (Duration::from_secs(5), Duration::from_secs(5)));
    watching.spawn(async move { repeat("backlog", &own.0, pace, &own.1, || housekeeping::read_backlog(&own.0)).await });
    watching
}

/// Runs rounds until `stop`: at once after a full batch, after a growing pause when idle or failing.
async fn repeat<F>(
    name: &'static str,
    flow: &Flow,
    poll: (Duration, Duration),
    stop: &CancellationToken,
    mut round: impl FnMut() -> F,
) where
    F: Future<Output = Result<Round, Refusal>>,
{
    let mut pause = poll.0;
    while !stop.is_cancelled() {
        let started = clock::now();
        let result = round().await;
        flow.metrics().time(name, started);
        pause = match result {
            Ok(Round::Busy) => {
                pause = poll.0;
                continue;
            }
            Ok(Round::Some) => poll.0,
            Ok(Round::Idle) => (pause * 2).min(poll.1),
            Err(error) => {
                flow.metrics().count(name, "error");
                tracing::warn!(worker = name, %error, "round failed");
                // The shortest pause wins where it is longer than the longest one after errors.
                (pause * 2).min(ERROR_PAUSE_MAX).max(poll.0)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(jittered(pause)) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The pause, longer or shorter by up to a tenth, so that instances do not march in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.9..1.1))
}
