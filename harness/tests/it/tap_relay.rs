//! A plain TCP relay with a tap in it, which keeps what passed: the chunks as they came, and the frames that the tap saw.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use harness::proxy::{Direction, DissectorFactory, Frame, Piece};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A frame and the way it went.
pub(crate) type Seen = (Direction, Frame);

/// One connection: its chunks in the order in which they passed, and the frames in them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conversation {
    pub(crate) chunks: Vec<(Direction, Bytes)>,
    pub(crate) frames: Vec<Seen>,
}

/// A running relay. Ends with the runtime of its test.
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    conversations: Arc<Mutex<Vec<Conversation>>>,
}

impl Relay {
    /// Starts a relay to `upstream` (`host:port`).
    pub(crate) async fn start(upstream: String, taps: DissectorFactory) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let conversations = Arc::<Mutex<Vec<Conversation>>>::default();
        let kept = Arc::clone(&conversations);
        tokio::spawn(async move {
            for number in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&upstream).await.unwrap();
                kept.lock().unwrap().push(Conversation::default());
                tokio::spawn(relay([client, server], number, Arc::clone(&taps), Arc::clone(&kept)));
            }
        });
        Self { address, conversations }
    }

    /// The URL with this relay in place of its `host:port`.
    pub(crate) fn url(&self, url: &str) -> String {
        let at = url.rfind('@').map_or_else(|| url.find("://").unwrap() + 3, |at| at + 1);
        let path = url[at..].find('/').map_or("", |slash| &url[at + slash..]);
        format!("{}{}{path}", &url[..at], self.address)
    }

    /// All connections so far.
    pub(crate) fn conversations(&self) -> Vec<Conversation> {
        self.conversations.lock().unwrap().clone()
    }

    /// All frames so far, connection by connection.
    pub(crate) fn frames(&self) -> Vec<Seen> {
        self.conversations().into_iter().flat_map(|conversation| conversation.frames).collect()
    }
}

/// Host and port of a URL.
pub(crate) fn address_of(url: &str) -> String {
    let after = url.split_once("://").unwrap().1;
    let after = after.rsplit_once('@').map_or(after, |(_, after)| after);
    after.split('/').next().unwrap().to_owned()
}

async fn relay(
    [mut client, mut server]: [TcpStream; 2],
    number: usize,
    taps: DissectorFactory,
    kept: Arc<Mutex<Vec<Conversation>>>,
) {
    let mut tap = taps(number as u64);
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    loop {
        let (mut upstream, mut downstream) = (BytesMut::with_capacity(1 << 16), BytesMut::with_capacity(1 << 16));
        let (direction, chunk) = tokio::select! {
            read = client.read_buf(&mut upstream) => (Direction::Upstream, read.map(|_| upstream)),
            read = server.read_buf(&mut downstream) => (Direction::Downstream, read.map(|_| downstream)),
        };
        // A side that is gone ends the conversation, however it went.
        let Ok(chunk) = chunk else { return };
        if chunk.is_empty() {
            return;
        }
        let chunk = chunk.freeze();
        let mut pieces = Vec::new();
        tap.feed(direction, chunk.clone(), &mut pieces);
        assert_eq!(put_together(&pieces), chunk, "a tap changes nothing");
        {
            let mut kept = kept.lock().unwrap();
            kept[number].chunks.push((direction, chunk));
            kept[number].frames.extend(pieces.iter().filter_map(|piece| Some((direction, piece.frame.clone()?))));
        }
        let target = if direction == Direction::Upstream { &mut server } else { &mut client };
        for piece in pieces {
            if target.write_all(&piece.bytes).await.is_err() {
                return;
            }
        }
    }
}

/// The bytes of all pieces.
pub(crate) fn put_together(pieces: &[Piece]) -> Bytes {
    let mut whole = BytesMut::new();
    pieces.iter().for_each(|piece| whole.extend_from_slice(&piece.bytes));
    whole.freeze()
}
