//! One keep-alive HTTP/1.1 connection for the few calls that the harness makes beside the load: admin calls and final reads.
//!
//! In: a request and a deadline. Out: status and body. One request at a time; it retries nothing. The load has its own client.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest reply body in bytes; no reply of the contract comes near it.
const BODY_MAX: usize = 1 << 20;

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address does not accept connections.
    #[error("connect to {address}: {source}")]
    Connect {
        /// The listener.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The exchange broke off.
    #[error("exchange with {address}: {source}")]
    Exchange {
        /// The listener.
        address: SocketAddr,
        /// What the HTTP library said.
        source: hyper::Error,
    },
    /// The request cannot be written as HTTP, or the body broke off or is longer than 1 MiB.
    #[error("exchange with {address}: {why}")]
    Content {
        /// The listener.
        address: SocketAddr,
        /// What is wrong.
        why: String,
    },
    /// No whole reply in time.
    #[error("exchange with {address}: no whole reply after {deadline_ms} ms")]
    Deadline {
        /// The listener.
        address: SocketAddr,
        /// The deadline.
        deadline_ms: u128,
    },
}

/// A connection that is opened when it is first needed, and again after it broke.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// A connection to `address`, not yet open.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// The listener.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request for `path` with this connection's `Host`.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder().method(method).uri(path).header(HOST, self.address.to_string())
    }

    /// Sends one request with `body` and waits for the whole reply. Cancel safe: a call that is dropped closes the connection.
    ///
    /// # Errors
    /// No connection, no whole reply within `deadline`, or a request that is not HTTP. Whether the request had its effect is then open.
    pub async fn call(
        &mut self,
        request: hyper::http::request::Builder,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Reply, CallError> {
        let address = self.address;
        let request =
            request.body(Full::new(body)).map_err(|error| CallError::Content { address, why: format!("request: {error}") })?;
        // The sender is taken out and comes back only after a whole reply, so a broken exchange can never leave half a reply behind.
        let kept = self.sender.take();
        let exchange = exchange(address, kept, request);
        let late = |_| CallError::Deadline { address, deadline_ms: deadline.as_millis() };
        let (sender, reply) = tokio::time::timeout(deadline, exchange).await.map_err(late)??;
        self.sender = Some(sender);
        Ok(reply)
    }
}

type Sender = SendRequest<Full<Bytes>>;

async fn exchange(address: SocketAddr, kept: Option<Sender>, request: Request<Full<Bytes>>) -> Result<(Sender, Reply), CallError> {
    let broken = |source| CallError::Exchange { address, source };
    let mut sender = match usable(kept).await {
        Some(sender) => sender,
        None => open(address).await?,
    };
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
    let body = body.map_err(|error| CallError::Content { address, why: format!("body: {error}") })?.to_bytes();
    Ok((sender, Reply { status, body }))
}

/// The kept sender, unless the other side has closed its connection.
async fn usable(kept: Option<Sender>) -> Option<Sender> {
    let mut sender = kept?;
    sender.ready().await.ok()?;
    Some(sender)
}

async fn open(address: SocketAddr) -> Result<Sender, CallError> {
    let connect = |source| CallError::Connect { address, source };
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    let (sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|source| CallError::Exchange { address, source })?;
    // Ends with the sender; what it has to say reaches the caller through the request that failed.
    tokio::spawn(driver);
    Ok(sender)
}
