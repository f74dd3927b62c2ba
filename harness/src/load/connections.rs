//! Keep-alive connections to one api process.
//!
//! In: an address. Out: connections that serve one request at a time, the last one used first. A connection that failed, timed
//! out or was closed is never handed out again. Sends nothing itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest wait for a connection to be ready for its next request; it is so at once unless it is about to close.
const READY_MAX: Duration = Duration::from_millis(100);

/// The connections to one api process.
#[derive(Debug)]
pub(crate) struct Connections {
    address: SocketAddr,
    host: HeaderValue,
    free: Mutex<Vec<Connection>>,
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    pub(crate) sender: SendRequest<Full<Bytes>>,
}

/// What a request will go over.
#[derive(Debug)]
pub(crate) enum Lease {
    /// A free connection.
    Open(Connection),
    /// A connection with this number, still to be dialled.
    Dial(u64),
}

impl Lease {
    /// Number of the connection within the client.
    pub(crate) const fn number(&self) -> u64 {
        match self {
            Self::Open(connection) => connection.number,
            Self::Dial(number) => *number,
        }
    }
}

impl Connections {
    /// No connection yet; the first are dialled when they are needed.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("localhost"));
        Self { address, host, free: Mutex::new(Vec::new()) }
    }

    /// Value of the `Host` header.
    pub(crate) fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// The free connection used last that is still open, or the number for a new one, taken from `numbers`.
    pub(crate) fn lease(&self, numbers: &AtomicU64) -> Lease {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = free.pop() {
            if connection.sender.is_ready() {
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
    /// What the system or hyper said. No byte of any request has left then.
    pub(crate) async fn open(&self, lease: Lease) -> Result<Connection, String> {
        let number = match lease {
            Lease::Open(connection) => return Ok(connection),
            Lease::Dial(number) => number,
        };
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Ends by itself when the sender is dropped or the peer closes; its errors reach the request that is open then.
        tokio::spawn(connection);
        Ok(Connection { number, sender })
    }

    /// Takes back a connection whose reply was read whole; one that is about to close is dropped.
    pub(crate) async fn give_back(&self, mut connection: Connection) {
        if matches!(tokio::time::timeout(READY_MAX, connection.sender.ready()).await, Ok(Ok(()))) {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}
