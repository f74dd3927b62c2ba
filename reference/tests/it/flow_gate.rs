//! A TCP relay to a store that can be shut, so that nobody listens any more, and that can lose replies of Redis scripts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::lossy_relay::address;

/// A running relay. Ends with the runtime of its test.
pub(crate) struct Gate {
    port: u16,
    upstream: String,
    lost: Arc<AtomicU32>,
    open: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Gate {
    /// An open gate to the store of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let upstream = address(url.trim_start_matches("redis://"));
        let mut gate = Self { port: 0, upstream, lost: Arc::default(), open: None };
        gate.open().await;
        gate
    }

    /// Listens, on the same port as before.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let relaying = listen(listener, self.upstream.clone(), Arc::clone(&self.lost));
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                stop.run_until_cancelled(relaying).await;
            }
        });
        self.open = Some((stop, task));
    }

    /// Cuts all links, and listens no more.
    pub(crate) async fn shut(&mut self) {
        let (stop, task) = self.open.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    /// The next `count` scripts run in Redis, and their replies are lost together with their links.
    pub(crate) fn lose_script_replies(&self, count: u32) {
        self.lost.store(count, Ordering::SeqCst);
    }

    /// Replies that are still to be lost.
    pub(crate) fn still_to_lose(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }

    /// The URL with this gate in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        format!("{before}:{}/{path}", self.port)
    }
}

/// Dropped with its links, which are its own.
async fn listen(listener: TcpListener, upstream: String, lost: Arc<AtomicU32>) {
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, lost) = (upstream.clone(), Arc::clone(&lost));
        links.spawn(async move {
            let server = TcpStream::connect(upstream).await.unwrap();
            // A link that ends is what this is for.
            let _ = relay(client, server, &lost).await;
        });
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, lost: &AtomicU32) -> std::io::Result<()> {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let sent = &from_client[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                server.write_all(sent).await?;
                let is_script = sent.windows(4).any(|word| word == b"EVAL");
                if is_script && lost.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    // The reply is read, so the script ran, and kept.
                    server.read_u8().await?;
                    return Ok(());
                }
            }
            read = server.read(&mut from_server) => {
                let sent = &from_server[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                client.write_all(sent).await?;
            }
        }
    }
}
