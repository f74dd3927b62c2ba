//! A TCP relay to MySQL that loses the link at COMMIT, once for each time it is armed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OFF: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

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
    cut: Arc<AtomicU8>,
}

impl LossyRelay {
    pub(crate) async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, cut) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU8::new(OFF)));
        let armed = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, armed) = (upstream.clone(), Arc::clone(&armed));
                tokio::spawn(async move {
                    let server = TcpStream::connect(upstream).await.unwrap();
                    // A link that ends is what this is for.
                    let _ = relay(client, server, &armed).await;
                });
            }
        });
        Self { port, cut }
    }

    /// The next COMMIT loses its link.
    pub(crate) fn arm(&self, cut: Cut) {
        self.cut.store(if cut == Cut::Before { BEFORE } else { AFTER }, Ordering::SeqCst);
    }

    /// Whether an armed cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == OFF
    }

    /// The URL with this relay in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{before}:{}/{database}", self.port)
    }
}

/// Host and port of a URL.
pub(crate) fn address(url: &str) -> String {
    let after = url.rsplit_once('@').map_or_else(|| url.trim_start_matches("mysql://"), |(_, after)| after);
    after.split('/').next().unwrap().to_owned()
}

/// Whether the reply to a packet of several statements is not at its end: the last reply ends with the status, in which a flag says so, and the
/// number of warnings, two bytes each.
fn more_follows(reply: &[u8]) -> bool {
    const MORE_RESULTS: u8 = 8;
    reply.last_chunk::<4>().is_none_or(|[status, ..]| status & MORE_RESULTS != 0)
}

/// Reads the reply to a packet to its end, so that the server has executed all of its statements.
pub(crate) async fn reply_of_mysql(server: &mut TcpStream) -> std::io::Result<()> {
    let mut reply = Vec::new();
    while more_follows(&reply) && server.read_buf(&mut reply).await? > 0 {}
    Ok(())
}

async fn relay(mut client: TcpStream, mut server: TcpStream, armed: &AtomicU8) -> std::io::Result<()> {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let sent = &from_client[..read?];
                if sent.is_empty() {
                    return Ok(());
                }
                // Alone, or behind the statements of its transaction.
                let cut = if sent.ends_with(b"COMMIT") { armed.swap(OFF, Ordering::SeqCst) } else { OFF };
                if cut == BEFORE {
                    return Ok(());
                }
                server.write_all(sent).await?;
                if cut == AFTER {
                    // The server has committed, and its reply is kept.
                    return reply_of_mysql(&mut server).await;
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
