//! A bounded pool of connections for units of work.
//!
//! Small on purpose: a connection comes back only when its unit says that it is clean, and one that the server is about to close
//! for idleness is not handed out. The driver's own pool pings with no time limit and gives back what a dropped future left.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::{Connection, Dial};
use super::failure::Failure;
use crate::clock::now;

/// Longest wait for a free connection.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(2);
/// Idle connections older than this are closed; well below the server's `wait_timeout` of 10 s.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// Connections of one purpose.
pub(super) struct Pool {
    dial: Dial,
    permits: Arc<Semaphore>,
    size: u32,
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    /// A pool of at most `size` connections, none of them open yet.
    pub(super) fn new(dial: Dial, size: u32) -> Arc<Self> {
        let size = size.max(1);
        Arc::new(Self { dial, permits: Arc::new(Semaphore::new(size as usize)), size, idle: Mutex::default() })
    }

    /// A connection, the one used last if one is idle.
    ///
    /// # Errors
    /// Nothing was changed: none was free in time, or a new one could not be opened.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lease, Failure> {
        let permit = match tokio::time::timeout(ACQUIRE_LIMIT, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(Failure::Lost { why: "the ledger is closed".into() }),
            Err(_) => return Err(Failure::Lost { why: format!("no free connection within {ACQUIRE_LIMIT:?}") }),
        };
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.dial.connect().await?,
        };
        Ok(Lease { connection, pool: Arc::clone(self), _permit: permit })
    }

    /// Closes what is idle: the server was restarted, or has closed them.
    pub(super) fn forget_idle(&self) {
        self.lock().clear();
    }

    /// Waits for the units under way, at most `limit`, and closes all connections. No unit begins afterwards.
    pub(super) async fn close(&self, limit: Duration) {
        let all = tokio::time::timeout(limit, self.permits.acquire_many(self.size)).await;
        if all.is_err() {
            tracing::warn!("units of work were still under way when the ledger closed");
        }
        self.permits.close();
        let idle = std::mem::take(&mut *self.lock());
        for entry in idle {
            entry.connection.close().await;
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.lock();
        // The newest are at the end; everything before one that is too old is older still.
        let entry = idle.pop()?;
        if now().duration_since(entry.since) > IDLE_LIMIT {
            idle.clear();
            return None;
        }
        let mut connection = entry.connection;
        connection.reuse();
        Some(connection)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that belongs to one unit of work. Dropped without [`Lease::give_back`] it is closed.
pub(super) struct Lease {
    /// The connection.
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Returns the connection to the pool if it is clean, else closes it.
    pub(super) fn give_back(self) {
        if self.connection.is_clean() {
            self.pool.lock().push(Idle { connection: self.connection, since: now() });
        }
    }
}
