//! A small HTTP server for the tests of the load: a peer that misbehaves on request.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use harness::clock::{Offset, RunClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arrived {
    /// When it had arrived whole.
    pub(crate) at: Offset,
    /// Number of its connection.
    pub(crate) connection: usize,
    /// `POST /orders`
    pub(crate) call: String,
    /// Its body; null if it has none.
    pub(crate) body: serde_json::Value,
    /// Its authorization; empty if it has none.
    pub(crate) authorization: String,
}

impl Arrived {
    /// The order that it speaks of.
    pub(crate) fn order(&self) -> &str {
        self.body["order_id"].as_str().unwrap_or_else(|| self.call.split('/').nth(2).unwrap())
    }
}

/// What the peer does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Answers.
    Reply(u16, String),
    /// Answers at the given time.
    ReplyAt(Offset, u16, String),
    /// Answers and says that it closes the connection.
    ReplyAndClose(u16, String),
    /// Answers and closes the connection without a word.
    ReplyAndDrop(u16, String),
    /// Never answers.
    Silence,
    /// Ends the stream.
    Close,
    /// Resets the connection.
    Reset,
    /// Sends the head and half of the body, then ends the stream.
    CutBody(String),
}

/// A reply that accepts the order.
pub(crate) fn accepted(order: &str) -> Reaction {
    Reaction::Reply(201, format!(r#"{{"order_id":"{order}","status":"CREATED","items":[]}}"#))
}

/// A reply that refuses the order.
pub(crate) fn sold_out() -> Reaction {
    Reaction::Reply(409, r#"{"code":"sold_out","message":"","effect":"none","item":"1:1:1"}"#.into())
}

/// The running peer.
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Peer {
    /// Starts it on a free port of this runtime.
    pub(crate) async fn start(clock: RunClock, react: impl Fn(&Arrived) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (log, react) = (Arc::clone(&arrived), Arc::new(react));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, react) = (Arc::clone(&log), Arc::clone(&react));
                tokio::spawn(serve(stream, move |(call, body, authorization)| {
                    let request = Arrived { at: clock.now(), connection, call, body, authorization };
                    log.lock().unwrap().push(request.clone());
                    let reaction = react(&request);
                    let wait = match reaction {
                        Reaction::ReplyAt(at, ..) => Some(tokio::time::Instant::from_std(clock.instant(at))),
                        _ => None,
                    };
                    (reaction, wait)
                }));
            }
        });
        Self { address, arrived }
    }

    /// Every request so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }
}

/// First line without its version, body, authorization.
type Request = (String, serde_json::Value, String);

async fn serve(mut stream: TcpStream, react: impl Fn(Request) -> (Reaction, Option<tokio::time::Instant>)) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(request) = next_request(&mut stream, &mut buffer).await {
        let (reaction, wait) = react(request);
        if let Some(until) = wait {
            tokio::time::sleep_until(until).await;
        }
        let sent = match reaction {
            Reaction::Reply(status, body) | Reaction::ReplyAt(_, status, body) => reply(&mut stream, status, "", &body).await,
            Reaction::ReplyAndClose(status, body) => return drop(reply(&mut stream, status, "connection: close\r\n", &body).await),
            Reaction::ReplyAndDrop(status, body) => return drop(reply(&mut stream, status, "", &body).await),
            Reaction::Silence => std::future::pending().await,
            Reaction::Close => return,
            Reaction::Reset => return stream.set_zero_linger().unwrap(),
            Reaction::CutBody(body) => {
                let head = format!("HTTP/1.1 201 X\r\ncontent-length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2]);
                return drop(stream.write_all(head.as_bytes()).await);
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn reply(stream: &mut TcpStream, status: u16, extra: &str, body: &str) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{extra}\r\n{body}", body.len()).as_bytes()).await
}

/// The next request; `None` at the end of the stream.
async fn next_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let sent = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let head = sent.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let call = sent.split(" HTTP/").next().unwrap().to_owned();
                let named = |line: &str| line.to_lowercase().starts_with("authorization: ");
                let authorization = sent.lines().find(|line| named(line)).map_or("", |line| line.split_at(15).1).to_owned();
                let body = serde_json::from_slice(&buffer[end + 4..end + 4 + length]).unwrap_or_default();
                buffer.drain(..end + 4 + length);
                return Some((call, body, authorization));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
