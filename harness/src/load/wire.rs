//! One keep-alive HTTP/1.1 connection, and one exchange at a time over it.
//!
//! In: the bytes of a request. Out: the reply, or how far the exchange came. The task that asks also moves the bytes: with a connection as
//! a task of its own, as hyper has it, every request was handed over twice and woke two tasks, which took more CPU time than the system
//! calls. Retries nothing.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{Parsed, Reply, parse};

/// Room for the usual reply; more is taken when needed.
const REPLY_BYTES: usize = 2_048;

/// One open connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// How far an exchange came. What it says stays true when the exchange is dropped at its deadline.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Whether a byte of the request may have left.
    pub(super) sent: bool,
    /// The status, once it has arrived.
    pub(super) http: Option<u16>,
}

/// Why there is no whole reply. Whether the request left is in [`Progress`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The connection failed or ended.
    #[error(transparent)]
    Lost(#[from] io::Error),
    /// More came than is read of a reply.
    #[error("a reply that is too long")]
    TooLong,
    /// What came is no reply.
    #[error("no HTTP/1.1 reply: {0}")]
    Malformed(String),
}

impl Wire {
    /// Opens a connection. Cancel safe.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn dial(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(REPLY_BYTES) })
    }

    /// Whether the other side has neither closed it nor said anything unasked. No system call while nothing has arrived.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request, waits for its whole reply and has `read` make of it what is wanted; parsed once, while it lies where it was received.
    /// Not cancel safe: after a call that was dropped, or failed, the connection is of no more use, and `progress` says how far it came.
    ///
    /// # Errors
    /// There is no whole reply.
    pub(super) async fn exchange<T>(
        &mut self,
        request: &[u8],
        progress: &mut Progress,
        read: impl FnOnce(Reply<'_>) -> T,
    ) -> Result<T, Broken> {
        self.received.clear();
        self.send(request, progress).await?;
        let mut ended = false;
        loop {
            ended |= self.stream.read_buf(&mut self.received).await? == 0;
            match parse(&self.received, ended) {
                Parsed::Whole(reply) => {
                    progress.http = Some(reply.status);
                    return Ok(read(reply));
                }
                Parsed::Part(http) => {
                    progress.http = http;
                    if ended {
                        return Err(Broken::Lost(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Parsed::TooLong(http) => {
                    progress.http = http;
                    return Err(Broken::TooLong);
                }
                Parsed::Malformed => return Err(Broken::Malformed(String::from_utf8_lossy(&self.received).into_owned())),
            }
        }
    }

    /// A first write that fails has sent nothing: the system takes some bytes or none.
    async fn send(&mut self, request: &[u8], progress: &mut Progress) -> io::Result<()> {
        progress.sent = true;
        let first = self.stream.write(request).await;
        progress.sent = first.is_ok();
        let first = first?;
        self.stream.write_all(&request[first..]).await
    }
}
