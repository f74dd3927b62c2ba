//! A lane: a place for one connection at a time, and a bound on who may use it.
//!
//! The next caller after a loss reconnects; the others wait for it. While Redis is away, calls fail within moments and not each
//! after a connect timeout of its own.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::Client;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::connection::{CALLERS_PER_CONNECTION, CheckError, Connection, reply_of};
use super::reply::Reply;
use super::script::{Invocation, Script};
use super::{StockError, StockSettings};
use crate::clock::now;

/// After a failed connect, calls fail at once for this long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// A connection, or the place for the next one.
pub(super) struct Lane {
    client: Client,
    command_timeout: Duration,
    connect_timeout: Duration,
    callers: Semaphore,
    connection: RwLock<Option<Arc<Connection>>>,
    /// Held by the one caller that connects; remembers the last failure.
    connecting: Mutex<Option<ConnectFailure>>,
}

struct ConnectFailure {
    at: Instant,
    error: StockError,
}

impl Lane {
    /// A lane that is not connected yet.
    pub(super) fn new(client: Client, settings: &StockSettings) -> Self {
        Self {
            client,
            command_timeout: settings.command_timeout,
            connect_timeout: settings.connect_timeout,
            callers: Semaphore::new(CALLERS_PER_CONNECTION),
            connection: RwLock::new(None),
            connecting: Mutex::new(None),
        }
    }

    /// Runs a script on the lane's connection. Waits at most for a place, a connection and the reply, each within its own limit.
    ///
    /// # Errors
    /// `NotExecuted` or `Unknown`.
    pub(super) async fn call(&self, script: &Script, invocation: &Invocation<'_>) -> Result<Reply, StockError> {
        let _place = self.place().await.map_err(|why| StockError::NotExecuted { act: script.act, why })?;
        let connection = self.connection().await.map_err(|error| not_connected(script.act, &error))?;
        let outcome = connection.run(script, invocation, self.command_timeout).await;
        if outcome.as_ref().is_err_and(|failure| connection.is_lost_by(failure)) {
            self.discard(&connection);
        }
        reply_of(script, outcome)
    }

    /// Whether a connection stands, as far as is known.
    pub(super) fn is_connected(&self) -> bool {
        self.current().is_some()
    }

    /// The connection; makes one if there is none.
    ///
    /// # Errors
    /// Nobody answered (`NotExecuted`) or the wrong server did (`Unsuitable`), now or a moment ago.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, StockError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let mut last = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        if let Some(failure) = last.as_ref().filter(|failure| failure.at.elapsed() < PAUSE_AFTER_FAILURE) {
            return Err(failure.error.clone());
        }
        match Connection::open(&self.client, self.connect_timeout).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *last = None;
                *self.connection.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                *last = Some(ConnectFailure { at: now(), error: error.clone() });
                Err(error)
            }
        }
    }

    /// Gives the connection up if it leads to another incarnation than this one, which was read just now: what it would say of a counter
    /// installed meanwhile is only that it is not ready.
    pub(super) fn keep_only(&self, incarnation: &str) {
        if let Some(connection) = self.current().filter(|connection| connection.incarnation() != incarnation) {
            tracing::warn!(was = connection.incarnation(), is = incarnation, "redis is another incarnation: connection given up");
            self.discard(&connection);
        }
    }

    /// Asks the process behind the connection, if there is one, who it is; gives the connection up if it is another one or the
    /// link is dead.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) async fn check(&self) -> Result<(), StockError> {
        let Some(connection) = self.current() else { return Ok(()) };
        let Err(wrong) = connection.check(self.command_timeout).await else { return Ok(()) };
        let is_lost = match &wrong {
            CheckError::NoReply(failure) => connection.is_lost_by(failure),
            CheckError::Unsuitable(_) | CheckError::Changed => true,
        };
        if is_lost {
            tracing::warn!(?wrong, "connection to redis given up");
            self.discard(&connection);
        }
        Err(match wrong {
            CheckError::NoReply(failure) => StockError::NotExecuted { act: "ping", why: failure.to_string() },
            CheckError::Unsuitable(error) => error,
            CheckError::Changed => StockError::NotExecuted { act: "ping", why: "redis was promoted under the connection".into() },
        })
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, String> {
        if let Ok(place) = self.callers.try_acquire() {
            return Ok(place);
        }
        let full = || format!("{CALLERS_PER_CONNECTION} callers wait on the connection already");
        timeout(self.command_timeout, self.callers.acquire()).await.ok().and_then(Result::ok).ok_or_else(full)
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Empties the lane, unless another caller has put a newer connection there.
    fn discard(&self, lost: &Arc<Connection>) {
        let mut place = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_some_and(|current| Arc::ptr_eq(current, lost)) {
            *place = None;
        }
    }
}

/// An error of connecting, as the caller of `act` sees it: whatever it was, nothing was sent.
fn not_connected(act: &'static str, error: &StockError) -> StockError {
    StockError::NotExecuted { act, why: error.to_string() }
}
