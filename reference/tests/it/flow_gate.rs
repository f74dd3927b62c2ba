//! A TCP relay to a store that can be shut, so that nobody listens any more, and that can lose replies of Redis
//! scripts, or shut by itself at a COMMIT.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::lossy_relay::{address, reply_of_mysql};
use crate::stock_fixture::free_port;

/// What is still to be done to what passes.
#[derive(Default)]
struct Harm {
    lost_script_replies: AtomicU32,
    shut_at_commit: AtomicBool,
}

/// A running relay. Ends with the runtime of its test.
pub(crate) struct Gate {
    port: u16,
    upstream: String,
    harm: Arc<Harm>,
    open: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Gate {
    /// An open gate to the store of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let upstream = address(url.trim_start_matches("redis://"));
        let mut gate = Self { port: free_port(), upstream, harm: Arc::default(), open: None };
        gate.open().await;
        gate
    }

    /// Listens, on the same port as before.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let stop = CancellationToken::new();
        let relaying = listen(listener, self.upstream.clone(), Arc::clone(&self.harm), stop.clone());
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
        self.harm.lost_script_replies.store(count, Ordering::SeqCst);
    }

    /// Replies that are still to be lost.
    pub(crate) fn still_to_lose(&self) -> u32 {
        self.harm.lost_script_replies.load(Ordering::SeqCst)
    }

    /// The server executes the next COMMIT; then the gate is shut, before the reply has passed.
    pub(crate) fn shut_at_commit(&self) {
        self.harm.shut_at_commit.store(true, Ordering::SeqCst);
    }

    /// The URL with this gate in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        format!("{before}:{}/{path}", self.port)
    }
}

/// Dropped with its links, which are its own.
async fn listen(listener: TcpListener, upstream: String, harm: Arc<Harm>, stop: CancellationToken) {
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, harm, stop) = (upstream.clone(), Arc::clone(&harm), stop.clone());
        links.spawn(async move {
            let server = TcpStream::connect(upstream).await.unwrap();
            // A link that ends is what this is for.
            let _ = relay(client, server, &harm, &stop).await;
        });
    }
}

async fn relay(mut client: TcpStream, mut server: TcpStream, harm: &Harm, stop: &CancellationToken) -> std::io::Result<()> {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let sent = &from_client[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                server.write_all(sent).await?;
                if harm.keeps_reply_to(sent, stop, &mut server).await? {
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

impl Harm {
    /// Whether the reply to what was sent is kept; then it is read, so the server has executed it.
    async fn keeps_reply_to(&self, sent: &[u8], stop: &CancellationToken, server: &mut TcpStream) -> std::io::Result<bool> {
        let is_script = sent.windows(4).any(|word| word == b"EVAL");
        let takes_one = |left: u32| left.checked_sub(1);
        let keeps = is_script && self.lost_script_replies.try_update(Ordering::SeqCst, Ordering::SeqCst, takes_one).is_ok();
        // Alone, or behind the statements of its transaction.
        let shuts = sent.ends_with(b"COMMIT") && self.shut_at_commit.swap(false, Ordering::SeqCst);
        if keeps {
            server.read_u8().await?;
        }
        if shuts {
            reply_of_mysql(server).await?;
            stop.cancel();
        }
        Ok(keeps || shuts)
    }
}
