//! A relay to MySQL that loses the link at COMMIT, once for each time it is armed, and then at requests that it is told to hide; and that holds
//! requests up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::relay::{Harm, Link, address, listen, own_port, reply_of_mysql, through};

/// Where the link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// COMMIT never reaches the server.
    Before,
    /// The server commits, and its reply never reaches the client.
    After,
}

/// Longer than a request waits for a connection.
const HELD_FOR: Duration = Duration::from_secs(6);

/// A running relay. Ends with the runtime of its test.
pub(crate) struct LossyRelay {
    port: u16,
    armed: Arc<Armed>,
}

#[derive(Default)]
struct Armed {
    cut: Mutex<Option<Cut>>,
    /// Requests with these words lose their links too.
    hidden: Mutex<Option<&'static str>>,
    /// Requests with these words wait, with their links.
    held: Mutex<Option<&'static str>>,
    /// How many wait.
    waiting: AtomicUsize,
}

impl Armed {
    fn says(words: &Mutex<Option<&'static str>>, sent: &[u8]) -> bool {
        let words = *words.lock().unwrap();
        words.is_some_and(|words| sent.windows(words.len()).any(|part| part == words.as_bytes()))
    }
}

impl LossyRelay {
    /// A relay to the server of this URL.
    pub(crate) async fn before(url: &str) -> Self {
        let (listener, port) = own_port().await;
        let armed = Arc::<Armed>::default();
        tokio::spawn(listen(listener, address(url), Arc::clone(&armed)));
        Self { port, armed }
    }

    /// The next COMMIT loses its link.
    pub(crate) fn arm(&self, cut: Cut) {
        *self.armed.cut.lock().unwrap() = Some(cut);
    }

    /// Whether an armed cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.armed.cut.lock().unwrap().is_none()
    }

    /// Once no cut is armed, every request with these words loses its link.
    pub(crate) fn hide(&self, words: &'static str) {
        *self.armed.hidden.lock().unwrap() = Some(words);
    }

    /// Requests with these words reach the server only after some seconds.
    pub(crate) fn hold(&self, words: &'static str) {
        *self.armed.held.lock().unwrap() = Some(words);
    }

    /// Requests that are held up.
    pub(crate) fn holds(&self) -> usize {
        self.armed.waiting.load(Ordering::SeqCst)
    }

    /// The URL with this relay in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        through(url, self.port)
    }
}

impl Harm for Armed {
    type Memory = ();

    async fn deal(&self, (): &mut (), sent: &[u8], server: &mut TcpStream) -> io::Result<Link> {
        // Alone, or behind the statements of its transaction.
        let cut = if sent.ends_with(b"COMMIT") { self.cut.lock().unwrap().take() } else { None };
        if cut == Some(Cut::Before) {
            return Ok(Link::Ends);
        }
        if Self::says(&self.held, sent) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(HELD_FOR).await;
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        if Self::says(&self.hidden, sent) && cut.is_none() && self.cut.lock().unwrap().is_none() {
            return Ok(Link::Ends);
        }
        server.write_all(sent).await?;
        if cut == Some(Cut::After) {
            // The server has committed, and its reply is kept.
            reply_of_mysql(server).await?;
            return Ok(Link::Ends);
        }
        Ok(Link::GoesOn)
    }
}
