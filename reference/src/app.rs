//! A process of the service, from start to clean stop.
//!
//! In: a [`Config`]. Out: listeners and workers until it is told to stop; then requests and batches under way finish, what is
//! queued is written, and the process ends.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Deadline;
use crate::config::{Config, Role, TokenError};
use crate::flow::Flow;
use crate::http::{Shared, admin_router, public_router};
use crate::ledger::{Ledger, LedgerError};
use crate::metrics::Metrics;
use crate::stock::{Stock, StockError};
use crate::workers;

/// Why a process could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No admin token.
    #[error(transparent)]
    Token(#[from] TokenError),
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

/// Serves until `stop` is cancelled, then drains.
///
/// # Errors
/// It could not start, or did not stop in time.
pub async fn serve(config: Config, stop: CancellationToken) -> Result<(), ServeError> {
    let admin_token: Arc<str> = config.admin_token()?.reveal().into();
    let deadline = Deadline::after(Duration::from_millis(config.start_deadline_ms));
    let stock =
        patiently(deadline, &stop, || Stock::open(config.stock()), |error| matches!(error, StockError::Unsuitable(_))).await?;
    let ledger =
        patiently(deadline, &stop, || Ledger::open(config.ledger()), |error| matches!(error, LedgerError::Unsuitable(_))).await?;
    let flow = Flow::new(stock, ledger.clone(), Metrics::default(), config.flow());
    let shared = Shared { flow: flow.clone(), admin_token };

    let mut parts = JoinSet::new();
    listen(&mut parts, config.admin_listen, admin_router(shared.clone()), &stop).await?;
    if config.has(Role::Api) {
        listen(&mut parts, config.listen, public_router(shared), &stop).await?;
    }
    let mut working = if config.has(Role::Worker) { workers::start(&flow, &config.workers(), &stop) } else { JoinSet::new() };
    tracing::info!(roles = ?config.roles, "serving");

    stop.cancelled().await;
    tracing::info!("stopping");
    let drained = async {
        while parts.join_next().await.is_some() {}
        while working.join_next().await.is_some() {}
        ledger.close().await;
    };
    let patience = Duration::from_millis(config.drain_ms);
    tokio::time::timeout(patience, drained).await.map_err(|_| ServeError::StillBusy(config.drain_ms))
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

async fn listen(parts: &mut JoinSet<()>, address: SocketAddr, router: Router, stop: &CancellationToken) -> Result<(), ServeError> {
    let system = |source| ServeError::System { act: format!("listen on {address}"), source };
    let listener = TcpListener::bind(address).await.map_err(system)?;
    // Without it a small reply waits for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
    });
    let stop = stop.clone();
    parts.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, %address, "listener ended");
        }
    });
    Ok(())
}
