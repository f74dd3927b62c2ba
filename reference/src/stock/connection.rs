//! One TCP connection to one Redis process. It never reconnects, so whoever holds it knows whom it talks to.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Value};
use tokio::time::timeout;

use super::StockError;
use super::failure::Failure;
use super::identity::Identity;
use super::reply::Reply;
use super::script::{Invocation, Script};

/// Commands that may wait for the socket of one connection.
pub(super) const CALLERS_PER_CONNECTION: usize = 512;

/// So many late replies in a row mean a link that is dead in one direction, which TCP reports only after minutes.
const TIMEOUTS_IN_A_ROW: u32 = 3;

/// A client for `url` whose connections send small packets at once.
pub(super) fn client(url: &str) -> Result<Client, StockError> {
    let nodelay = TcpSettings::default().set_nodelay(true);
    let info = url.into_connection_info().map(|info| info.set_tcp_settings(nodelay));
    info.and_then(Client::open).map_err(|error| StockError::Unsuitable(format!("its URL: {error}")))
}

/// An open connection and the process behind it.
pub(super) struct Connection {
    link: MultiplexedConnection,
    incarnation: String,
    timeouts: AtomicU32,
}

impl Connection {
    /// Connects and asks who answers, within `limit`.
    ///
    /// # Errors
    /// Nobody answered in time (`NotExecuted`), or a server that the protocol may not run on (`Unsuitable`).
    pub(super) async fn open(client: &Client, limit: Duration) -> Result<Self, StockError> {
        let not_executed = |why| StockError::NotExecuted { act: "connect", why };
        // The limits of the client are off: the one around the whole covers name, socket, handshake and INFO.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(CALLERS_PER_CONNECTION);
        let opening = async {
            let link = client.get_multiplexed_async_connection_with_config(&config).await?;
            let identity = identify(&link).await?;
            Ok((link, identity))
        };
        let opened = timeout(limit, opening).await.unwrap_or(Err(Failure::TimedOut(limit)));
        let (link, identity) = opened.map_err(|failure: Failure| not_executed(failure.to_string()))?;
        identity.check()?;
        Ok(Self { link, incarnation: identity.incarnation, timeouts: AtomicU32::new(0) })
    }

    /// `run_id:master_replid` of the process at the other end.
    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// Runs a script: by its hash, and by its text if the server does not know it, which means that it did not run.
    ///
    /// Cancel safe in that the connection stays usable; the script may run nevertheless.
    pub(super) async fn run(&self, script: &Script, invocation: &Invocation<'_>, limit: Duration) -> Result<Value, Failure> {
        let running = async {
            match send(&self.link, &script.by_hash(invocation, &self.incarnation)).await {
                Err(failure) if failure.is_unknown_script() => {
                    send(&self.link, &script.by_text(invocation, &self.incarnation)).await
                }
                outcome => outcome,
            }
        };
        self.within(limit, running).await
    }

    /// Asks the server who it is now.
    ///
    /// # Errors
    /// No reply, or another process, role or setting than the connection was opened to.
    pub(super) async fn check(&self, limit: Duration) -> Result<(), CheckError> {
        let identity = self.within(limit, identify(&self.link)).await.map_err(CheckError::NoReply)?;
        identity.check().map_err(CheckError::Unsuitable)?;
        if identity.incarnation == self.incarnation { Ok(()) } else { Err(CheckError::Changed) }
    }

    /// Whether the connection must be given up after `failure`.
    pub(super) fn is_lost_by(&self, failure: &Failure) -> bool {
        failure.spoils_connection() || self.timeouts.load(Ordering::Relaxed) >= TIMEOUTS_IN_A_ROW
    }

    async fn within<T>(&self, limit: Duration, reply: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Ok(outcome) = timeout(limit, reply).await else {
            self.timeouts.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::TimedOut(limit));
        };
        // Any reply ends the row. Read first: a store at every reply would move the cache line between all callers.
        if self.timeouts.load(Ordering::Relaxed) != 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
        outcome
    }
}

/// Why a connection is not, or no longer, to be used.
#[derive(Debug)]
pub(super) enum CheckError {
    /// No reply.
    NoReply(Failure),
    /// A replica by now, or a server that evicts keys by now.
    Unsuitable(StockError),
    /// Promoted since the connection was opened.
    Changed,
}

/// The reply of `script` in what came of running it.
pub(super) fn reply_of(script: &Script, outcome: Result<Value, Failure>) -> Result<Reply, StockError> {
    match outcome {
        Ok(value) => Reply::new(script.act, value),
        Err(failure) if failure.is_wrong_type() => Ok(Reply::wrong_type(script.act)),
        Err(failure) => Err(failure.into_error(script.act)),
    }
}

async fn send(link: &MultiplexedConnection, command: &Cmd) -> Result<Value, Failure> {
    link.clone().send_packed_command(command).await.and_then(Value::extract_error).map_err(Failure::Redis)
}

async fn identify(link: &MultiplexedConnection) -> Result<Identity, Failure> {
    let reply = send(link, &redis::cmd("INFO")).await?;
    let info: String = redis::from_redis_value(reply).map_err(|error| Failure::Redis(error.into()))?;
    let unreadable = || {
        Failure::Redis((redis::ErrorKind::Parse, "INFO names no run_id, master_replid, role, maxmemory_policy or loading").into())
    };
    Identity::parse(&info).ok_or_else(unreadable)
}
