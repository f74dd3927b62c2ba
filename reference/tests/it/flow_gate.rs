//! A relay to a store that can be shut, so that nobody listens any more, and that can lose replies of Redis scripts, or shut by itself at a
//! COMMIT.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::relay::{Harm, Link, address, listen, reply_of_mysql, through};
use crate::stock_fixture::free_port;

/// What is still to be done to what passes.
#[derive(Default)]
struct Latch {
    lost_script_replies: AtomicU32,
    shut_at_commit: AtomicBool,
    /// Ends the listener that is open now, with its links.
    stop: Mutex<CancellationToken>,
}

/// A running relay. Ends with the runtime of its test.
pub(crate) struct Gate {
    port: u16,
    upstream: String,
    latch: Arc<Latch>,
    open: Option<JoinHandle<()>>,
}

impl Gate {
    /// An open gate to the store of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let mut gate = Self { port: free_port(), upstream: address(url), latch: Arc::default(), open: None };
        gate.open().await;
        gate
    }

    /// Listens, on the same port as before.
    pub(crate) async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let stop = CancellationToken::new();
        *self.latch.stop.lock().unwrap() = stop.clone();
        let relaying = listen(listener, self.upstream.clone(), Arc::clone(&self.latch));
        self.open = Some(tokio::spawn(async move {
            stop.run_until_cancelled(relaying).await;
        }));
    }

    /// Cuts all links, and listens no more.
    pub(crate) async fn shut(&mut self) {
        self.latch.shut();
        self.open.take().unwrap().await.unwrap();
    }

    /// The next `count` scripts run in Redis, and their replies are lost together with their links.
    pub(crate) fn lose_script_replies(&self, count: u32) {
        self.latch.lost_script_replies.store(count, Ordering::SeqCst);
    }

    /// Replies that are still to be lost.
    pub(crate) fn still_to_lose(&self) -> u32 {
        self.latch.lost_script_replies.load(Ordering::SeqCst)
    }

    /// The server executes the next COMMIT; then the gate is shut, before the reply has passed.
    pub(crate) fn shut_at_commit(&self) {
        self.latch.shut_at_commit.store(true, Ordering::SeqCst);
    }

    /// The URL with this gate in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        through(url, self.port)
    }
}

impl Latch {
    fn shut(&self) {
        self.stop.lock().unwrap().cancel();
    }
}

impl Harm for Latch {
    type Memory = ();

    /// A reply that is kept is read first, so the server has executed what it answers.
    async fn deal(&self, (): &mut (), sent: &[u8], server: &mut TcpStream) -> io::Result<Link> {
        server.write_all(sent).await?;
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
            self.shut();
        }
        Ok(if keeps || shuts { Link::Ends } else { Link::GoesOn })
    }
}
