//! What the relays of these tests share: a TCP relay before a store that deals with whatever a client sends as the test wants.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    GoesOn,
    Ends,
}

/// What a relay does to what clients send. Replies pass untouched.
pub(crate) trait Harm: Send + Sync + 'static {
    /// What is remembered of one link.
    type Memory: Default + Send;

    /// Passes on to the server what a client sent, or some of it, or nothing.
    fn deal(&self, memory: &mut Self::Memory, sent: &[u8], server: &mut TcpStream)
    -> impl Future<Output = io::Result<Link>> + Send;
}

/// A listener on a port of its own.
pub(crate) async fn own_port() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Relays every link of `listener` to `upstream`. Dropped with its links, which are its own.
pub(crate) async fn listen<H: Harm>(listener: TcpListener, upstream: String, harm: Arc<H>) {
    let mut links = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (upstream, harm) = (upstream.clone(), Arc::clone(&harm));
        links.spawn(async move {
            let server = TcpStream::connect(upstream).await.unwrap();
            // A link that ends is what this is for.
            let _ = relay(client, server, &*harm).await;
        });
    }
}

async fn relay<H: Harm>(mut client: TcpStream, mut server: TcpStream, harm: &H) -> io::Result<()> {
    let (mut from_client, mut from_server, mut memory) = (vec![0; 65_536], vec![0; 65_536], H::Memory::default());
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let sent = &from_client[..read?];
                if sent.is_empty() || harm.deal(&mut memory, sent, &mut server).await? == Link::Ends {
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

/// Host and port of a URL.
pub(crate) fn address(url: &str) -> String {
    let after = url.rsplit_once('@').or_else(|| url.split_once("://")).map_or(url, |(_, after)| after);
    after.split('/').next().unwrap().to_owned()
}

/// The URL with `port` of this machine in place of its own.
pub(crate) fn through(url: &str, port: u16) -> String {
    let (before, rest) = url.rsplit_once(':').unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    format!("{before}:{port}/{path}")
}

/// Whether the reply to a packet of several statements is not at its end: the last reply ends with the status, in which a flag says so, and the
/// number of warnings, two bytes each.
fn more_follows(reply: &[u8]) -> bool {
    const MORE_RESULTS: u8 = 8;
    reply.last_chunk::<4>().is_none_or(|[status, ..]| status & MORE_RESULTS != 0)
}

/// Reads the reply to a packet to its end, so that the server has executed all of its statements.
pub(crate) async fn reply_of_mysql(server: &mut TcpStream) -> io::Result<()> {
    let mut reply = Vec::new();
    while more_follows(&reply) && server.read_buf(&mut reply).await? > 0 {}
    Ok(())
}
