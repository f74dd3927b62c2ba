//! The loop that accepts connections and serves each with the limits that a stranger at the other end calls for.
//!
//! In: a listener and routes. Out: replies, until it is told to stop; then requests under way are answered and the rest is closed. A client
//! that is slow, silent or gone holds a connection for a bounded time and with bounded memory.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest head of a request, bytes; also what is buffered of one connection.
const HEAD_MAX: usize = 16 * 1024;
/// Pause after the system had no descriptor for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After the stop a connection is served for so long as before: a request that was sent to us is on its way, and closing a connection that
/// seems to rest would lose it.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What one listener grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; further clients wait in the backlog of the system.
    pub connections: usize,
    /// Longest wait for the head of a request, which is also the longest rest of an idle connection; for its body; and for the client to
    /// take the reply.
    pub client_timeout: Duration,
}

/// Serves until `stop` is cancelled, then until every request under way is answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.connections)));
    let begin = |stream: TcpStream, place: OwnedSemaphorePermit| {
        let connection = one_connection(stream, router.clone(), limits.client_timeout, stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    };
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &places)).await {
        match accepted {
            Ok((stream, place)) => begin(stream, place),
            // The client was faster to go, or the system is short of descriptors: other connections are not to suffer.
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
    for stream in last_clients(listener) {
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            begin(stream, place);
        }
    }
    connections.close();
    connections.wait().await;
}

/// Stops listening. Whoever had connected by then would be reset by it, so they are taken in first, straight from the system: the runtime
/// may not have heard of them yet.
fn last_clients(listener: TcpListener) -> Vec<TcpStream> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let waiting = std::iter::from_fn(|| listener.accept().ok());
    waiting.filter_map(|(stream, _)| stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)).ok()).collect()
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn one_connection(stream: TcpStream, router: Router, client_timeout: Duration, stop: CancellationToken) {
    if let Err(error) = prepare(&stream, client_timeout) {
        tracing::debug!(%error, "set the options of a connection");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(client_timeout).max_buf_size(HEAD_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(ended) => ended,
        None => match tokio::time::timeout(LAST_WORDS, connection.as_mut()).await {
            Ok(ended) => ended,
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

fn prepare(stream: &TcpStream, client_timeout: Duration) -> io::Result<()> {
    // Without it a small reply waits for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    // A client that takes no reply, or is gone, ends by this; the system's own patience is a quarter of an hour.
    SockRef::from(stream).set_tcp_user_timeout(Some(client_timeout))
}
