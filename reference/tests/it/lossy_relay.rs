//! A relay to MySQL that loses the link at COMMIT, once for each time it is armed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io;
use std::sync::{Arc, Mutex};

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

/// A running relay. Ends with the runtime of its test.
pub(crate) struct LossyRelay {
    port: u16,
    armed: Arc<Armed>,
}

#[derive(Default)]
struct Armed(Mutex<Option<Cut>>);

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
        *self.armed.0.lock().unwrap() = Some(cut);
    }

    /// Whether an armed cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.armed.0.lock().unwrap().is_none()
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
        let cut = if sent.ends_with(b"COMMIT") { self.0.lock().unwrap().take() } else { None };
        if cut == Some(Cut::Before) {
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
