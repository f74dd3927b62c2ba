//! A server and clients of plain sockets for the tests of the proxy.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::clock::RunClock;
use harness::proxy::{Counters, Proxies, ProxySpec};
use harness::seed::Seed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The longest that anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A fault that lasts as long as its test.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A server that sends back what it gets, and its end with it.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let ended = Arc::new(AtomicUsize::new(0));
        let (count, gone) = (Arc::clone(&accepted), Arc::clone(&ended));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let gone = Arc::clone(&gone);
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    // A connection that a test breaks ends with an error here.
                    drop(tokio::io::copy(&mut read, &mut write).await);
                    drop(write.shutdown().await);
                    gone.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, accepted, ended }
    }

    /// Connections that the server has seen the end of.
    pub(crate) fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// An echo server behind a plain proxy called `echo`.
pub(crate) struct Rig {
    pub(crate) proxies: Proxies,
    pub(crate) echo: Echo,
    pub(crate) address: SocketAddr,
    pub(crate) clock: RunClock,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with_seed(7).await
    }

    pub(crate) async fn with_seed(seed: u64) -> Self {
        let (echo, clock) = (Echo::start().await, RunClock::start());
        let proxies = Proxies::start(Seed(seed), clock).unwrap();
        let address = proxies.create(ProxySpec::plain("echo", echo.address.to_string())).await.unwrap();
        Self { proxies, echo, address, clock }
    }

    pub(crate) async fn client(&self) -> TcpStream {
        connect(self.address).await
    }

    pub(crate) fn counters(&self) -> Counters {
        self.proxies.counters("echo").unwrap()
    }

    /// Polls the counters until they say so.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut(&Counters) -> bool) -> Counters {
        let deadline = self.clock.now().plus(SOON);
        loop {
            let counters = self.counters();
            if holds(&counters) {
                return counters;
            }
            assert!(self.clock.now() < deadline, "no {what} after {SOON:?}: {counters:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = timeout(SOON, TcpStream::connect(address)).await.unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `bytes` and reads as many back.
pub(crate) async fn round_trip(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    assert_eq!(read(stream, bytes.len()).await, bytes);
}

/// The next `length` bytes.
pub(crate) async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(SOON, stream.read_exact(&mut bytes)).await.expect("bytes in time").unwrap();
    bytes
}

/// Everything up to the end of the stream; an error is its kind.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Result<Vec<u8>, std::io::ErrorKind> {
    let mut bytes = Vec::new();
    match timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("an end in time") {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.kind()),
    }
}

/// Whether nothing comes for a while.
pub(crate) async fn is_silent(stream: &mut TcpStream, time: Duration) -> bool {
    let mut byte = [0];
    timeout(time, stream.peek(&mut byte)).await.is_err()
}
