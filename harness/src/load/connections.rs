//! Keep-alive connections to one api process.
//!
//! In: an address. Out: connections that serve one request at a time, the last one used first. A connection that failed, timed
//! out or was closed is never handed out again. Sends nothing itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::wire::Wire;

/// The connections to one api process.
#[derive(Debug)]
pub(super) struct Connections {
    address: SocketAddr,
    host: String,
    free: Mutex<Vec<Connection>>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    pub(super) wire: Wire,
}

/// What a request will go over.
#[derive(Debug)]
pub(super) enum Lease {
    /// A free connection.
    Open(Connection),
    /// A connection with this number, still to be dialled.
    Dial(u64),
}

impl Lease {
    /// Number of the connection within the client.
    pub(super) const fn number(&self) -> u64 {
        match self {
            Self::Open(connection) => connection.number,
            Self::Dial(number) => *number,
        }
    }
}

impl Connections {
    /// No connection yet; the first are dialled when they are needed.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, host: address.to_string(), free: Mutex::default() }
    }

    /// Value of the `Host` header.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The free connection used last that is still open, or the number for a new one, taken from `numbers`.
    pub(super) fn lease(&self, numbers: &AtomicU64) -> Lease {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = free.pop() {
            if connection.wire.is_quiet() {
                return Lease::Open(connection);
            }
        }
        Lease::Dial(numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens the connection of a lease, if it is not open yet.
    ///
    /// Cancel safe: a call dropped before it is ready leaves no connection behind.
    ///
    /// # Errors
    /// What the system said. No byte of any request has left then.
    pub(super) async fn open(&self, lease: Lease) -> std::io::Result<Connection> {
        match lease {
            Lease::Open(connection) => Ok(connection),
            Lease::Dial(number) => Ok(Connection { number, wire: Wire::dial(self.address).await? }),
        }
    }

    /// Takes back a connection whose reply was read whole and that may carry another request.
    pub(super) fn give_back(&self, connection: Connection) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
