//! A process of the service, from start to clean stop.
//!
//! In: a [`Config`]. Out: listeners and workers until it is told to stop; then requests and batches under way finish, what is
//! queued is written, and the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::alerts::Alerts;
use crate::clock::Deadline;
use crate::config::{Config, ConfigError, Role};
use crate::descriptors;
use crate::flow::{Flow, RedisDown};
use crate::http::server::{self, Limits};
use crate::http::{Shared, admin_router, public_router};
use crate::ledger::{Ledger, LedgerError};
use crate::metrics::Metrics;
use crate::stock::{Stock, StockError, StockSettings};
use crate::workers;

/// Why a process could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings do not go together, or a secret cannot be had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Redis is unreachable or unsuitable.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// MySQL is unreachable or unsuitable.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A listener or a signal failed.
    #[error("{act}: {source}")]
    System {
        /// What was tried.
        act: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A listener or a worker ended although nobody had asked it to, or panicked while it was to finish.
    #[error("a {part} ended by itself: {how}")]
    Ended {
        /// `listener` or `worker`.
        part: &'static str,
        /// What became of it.
        how: String,
    },
    /// Something was still under way when the time to drain was over.
    #[error("stop: still busy after {0} ms")]
    StillBusy(u64),
}

/// Runs a process until SIGTERM or SIGINT, on its own runtime.
///
/// # Errors
/// It could not start, or did not stop in time.
pub fn run(config: Config) -> Result<(), ServeError> {
    let system = |act: &str| {
        let act = act.to_owned();
        move |source| ServeError::System { act, source }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(config.threads))
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    descriptors::raise_limit();
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate()).map_err(system("listen for SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for SIGINT"))?;
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            told.cancel();
        });
        serve(config, stop).await
    })
}

/// Serves until `stop` is cancelled or a listener or worker ends by itself, then drains.
///
/// # Errors
/// It could not start, lost a listener or a worker, or did not stop in time.
pub async fn serve(config: Config, stop: CancellationToken) -> Result<(), ServeError> {
    config.check()?;
    #[cfg(feature = "defects")]
    crate::defects::plant(&config.defects);
    let admin_token: Arc<str> = config.admin_token()?.reveal().into();
    let deadline = Deadline::after(Duration::from_millis(config.start_deadline_ms));
    let stock = open_stock(config.stock()?, config.flow().redis_down, deadline, &stop).await?;
    let settings = config.ledger()?;
    let ledger =
        patiently(deadline, &stop, || Ledger::open(settings.clone()), |error| matches!(error, LedgerError::Unsuitable(_))).await?;
    let flow = Flow::new(stock, ledger.clone(), Metrics::default(), config.flow());
    #[cfg(feature = "defects")]
    flow.warm_up().await;
    let limits = config.limits();
    let (public, admin) = descriptors::connections(limits.connections);
    let at_most = |connections| Limits { connections, ..limits };
    let shared = Shared { flow: flow.clone(), admin_token, client_timeout: limits.client_timeout, alerts: Alerts::default() };

    let mut parts = JoinSet::new();
    let scraped = flow.clone();
    parts.spawn(shared.alerts.clone().watch(move || scraped.exposition(), stop.clone()));
    listen(&mut parts, config.admin_listen, admin_router(shared.clone()), (at_most(admin), &stop)).await?;
    if config.has(Role::Api) {
        listen(&mut parts, config.listen, public_router(shared), (at_most(public), &stop)).await?;
    }
    let mut working = if config.has(Role::Worker) {
        workers::start(&flow, &config.workers(), &stop)
    } else {
        workers::start_watching(&flow, &stop)
    };
    tracing::info!(roles = ?config.roles, "serving");

    let lost = until_stopped(&mut parts, &mut working, &stop).await;
    stop.cancel();
    tracing::info!("stopping");
    let drained = async {
        // A client that never finishes its request must not keep what is queued from being written.
        let patience = Duration::from_millis(config.drain_ms / 2);
        let parts = tokio::time::timeout(patience, drain("listener", &mut parts)).await.unwrap_or_else(|_| {
            tracing::warn!("gave up on clients that did not finish their requests");
            Ok(())
        });
        let working = drain("worker", &mut working).await;
        ledger.close().await;
        parts.and(working)
    };
    let patience = Duration::from_millis(config.drain_ms);
    let drained = tokio::time::timeout(patience, drained).await;
    lost.and(drained.unwrap_or(Err(ServeError::StillBusy(config.drain_ms))))
}

/// Waits until `stop` is cancelled. A part that ends earlier is an error: the others would go on and answer ready without it.
async fn until_stopped(parts: &mut JoinSet<()>, working: &mut JoinSet<()>, stop: &CancellationToken) -> Result<(), ServeError> {
    let (part, how) = tokio::select! {
        // First, because parts end by themselves once it is cancelled.
        biased;
        () = stop.cancelled() => return Ok(()),
        Some(ended) = parts.join_next() => ("listener", ended),
        Some(ended) = working.join_next() => ("worker", ended),
    };
    let lost = ended(part, how.err().as_ref());
    tracing::error!(error = %lost, "stopping because a part is gone");
    Err(lost)
}

/// Waits until all tasks have ended; the first panic of them is the error.
async fn drain(part: &'static str, tasks: &mut JoinSet<()>) -> Result<(), ServeError> {
    let mut first = Ok(());
    while let Some(result) = tasks.join_next().await {
        first = first.and(result.map_err(|error| ended(part, Some(&error))));
    }
    first
}

fn ended(part: &'static str, error: Option<&JoinError>) -> ServeError {
    ServeError::Ended { part, how: error.map_or_else(|| "without an error".to_owned(), ToString::to_string) }
}

/// Connects to Redis. If MySQL may admit instead, an absence of Redis at start is like any other.
async fn open_stock(
    settings: StockSettings,
    redis_down: RedisDown,
    deadline: Deadline,
    stop: &CancellationToken,
) -> Result<Stock, StockError> {
    let is_final = |error: &StockError| matches!(error, StockError::Unsuitable(_));
    let RedisDown::Database { after } = redis_down else {
        return patiently(deadline, stop, || Stock::open(settings.clone()), is_final).await;
    };
    match patiently(Deadline::after(after), stop, || Stock::open(settings.clone()), is_final).await {
        Err(error) if !is_final(&error) => {
            tracing::warn!(%error, "starting without redis");
            Stock::unconnected(settings)
        }
        result => result,
    }
}

/// Repeats `open` while the store is only unreachable: at start it may come up later than we do.
async fn patiently<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    deadline: Deadline,
    stop: &CancellationToken,
    open: impl Fn() -> F,
    final_error: impl Fn(&E) -> bool,
) -> Result<T, E> {
    loop {
        match open().await {
            Err(error) if !final_error(&error) && !deadline.has_passed() && !stop.is_cancelled() => {
                tracing::warn!(%error, "waiting for a store");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            result => return result,
        }
    }
}

async fn listen(
    parts: &mut JoinSet<()>,
    address: SocketAddr,
    router: Router,
    (limits, stop): (Limits, &CancellationToken),
) -> Result<(), ServeError> {
    let system = |source| ServeError::System { act: format!("listen on {address}"), source };
    let listener = TcpListener::bind(address).await.map_err(system)?;
    parts.spawn(server::serve(listener, router, limits, stop.clone()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(parts: &mut JoinSet<()>, working: &mut JoinSet<()>, stop: &CancellationToken) -> Option<String> {
        let waited = tokio::time::timeout(Duration::from_secs(10), until_stopped(parts, working, stop)).await;
        waited.expect("waited 10 s for the end of a part").err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_part_that_ends_or_panics_ends_the_process_with_an_error() {
        let stop = CancellationToken::new();
        let mut listeners = JoinSet::new();
        listeners.spawn(std::future::pending());
        let mut workers = JoinSet::new();
        workers.spawn(async { panic!("no batch today") });
        let error = told(&mut listeners, &mut workers, &stop).await.unwrap();
        assert!(error.starts_with("a worker ended by itself") && error.contains("no batch today"), "{error}");
        listeners.spawn(async {});
        let error = told(&mut listeners, &mut JoinSet::new(), &stop).await;
        assert_eq!(error.as_deref(), Some("a listener ended by itself: without an error"));
    }

    #[tokio::test]
    async fn parts_that_end_once_they_are_told_to_are_no_error() {
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        workers.spawn(stop.clone().cancelled_owned());
        stop.cancel();
        assert_eq!(told(&mut JoinSet::new(), &mut workers, &stop).await, None);
        assert!(drain("worker", &mut workers).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_while_draining_is_told() {
        let mut workers = JoinSet::new();
        workers.spawn(async { panic!("no batch today") });
        workers.spawn(async {});
        let error = drain("worker", &mut workers).await.unwrap_err().to_string();
        assert!(error.contains("no batch today"), "{error}");
    }
}
