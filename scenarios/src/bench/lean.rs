//! A client that costs as little as a client can: it keeps no history, so that the server is what limits the rate.
//!
//! In: an address, connections, how a request is written and what its reply must hold. Out: replies per second. Closed loop: each connection
//! sends its next request once the last was answered. Not for orders that are accepted: nobody could judge them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use harness::clock::{Offset, RunClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest reply.
const REPLY_MAX: usize = 16 * 1024;
/// Longest wait for one reply.
const REPLY_LIMIT: Duration = Duration::from_secs(5);

/// What is asked again and again.
pub(super) struct Question<'a> {
    /// Writes the request with this number.
    pub(super) write: &'a (dyn Fn(u64) -> Vec<u8> + Sync),
    /// Status of every reply.
    pub(super) status: u16,
    /// Text within every reply.
    pub(super) holds: &'a str,
}

/// Asks over `connections` for so long; replies per second.
///
/// # Errors
/// A connection that failed, or a reply that was not the expected one: then there is no rate.
pub(super) fn replies_per_s(address: SocketAddr, connections: u64, time: Duration, question: &Question<'_>) -> Result<f64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let dial = (0..connections).map(|_| TcpStream::connect(address));
        let streams = try_join_all(dial).await.map_err(|error| format!("connect to {address}: {error}"))?;
        let clock = RunClock::start();
        let until = clock.now().plus(time);
        let asked =
            streams.into_iter().zip(0..).map(|(stream, first)| ask(stream, question, (&clock, until), (first, connections)));
        let answered: Vec<u64> = try_join_all(asked).await?;
        let seconds = clock.now().since(Offset::ZERO).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        Ok(answered.iter().sum::<u64>() as f64 / seconds)
    })
}

/// One connection: its requests have the numbers `first`, `first + step`, ... Returns how many were answered.
async fn ask(
    mut stream: TcpStream,
    question: &Question<'_>,
    (clock, until): (&RunClock, Offset),
    (first, step): (u64, u64),
) -> Result<u64, String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut reply = vec![0; REPLY_MAX];
    let mut answered = 0;
    while clock.now() < until {
        let request = (question.write)(first + answered * step);
        stream.write_all(&request).await.map_err(|error| format!("send a request: {error}"))?;
        let read = tokio::time::timeout(REPLY_LIMIT, read_reply(&mut stream, &mut reply)).await;
        let length = read.map_err(|_| format!("no reply within {} s", REPLY_LIMIT.as_secs()))??;
        question.check(&reply[..length])?;
        answered += 1;
    }
    Ok(answered)
}

impl Question<'_> {
    fn check(&self, reply: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(reply);
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        let fits = status == Some(self.status) && text.contains(self.holds);
        if fits { Ok(()) } else { Err(format!("not a {} with {:?}: {text}", self.status, self.holds)) }
    }
}

/// Reads one whole reply to the front of `reply`; its length.
async fn read_reply(stream: &mut TcpStream, reply: &mut [u8]) -> Result<usize, String> {
    let mut length = 0;
    loop {
        let read = stream.read(&mut reply[length..]).await.map_err(|error| format!("read a reply: {error}"))?;
        if read == 0 {
            return Err("the connection was closed, or a reply is too long".to_owned());
        }
        length += read;
        match whole_length(&reply[..length])? {
            Some(whole) if whole == length => return Ok(length),
            Some(whole) if whole < length => return Err("more than one reply to a request".to_owned()),
            _ => {}
        }
    }
}

/// Length of head and body together, once the head is there.
fn whole_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|error| format!("a head that is no text: {error}"))?;
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|value| value.trim().parse::<usize>().ok());
    length.map(|length| Some(head + 4 + length)).ok_or_else(|| format!("a reply without a length: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_when_its_body_is() {
        let head = "HTTP/1.1 409 Conflict\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(whole_length(&head.as_bytes()[..20]), Ok(None));
        assert_eq!(whole_length(format!("{head}ab").as_bytes()), Ok(Some(head.len() + 5)));
        assert!(whole_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_reply_that_was_not_expected_ends_the_measurement() {
        let question = Question { write: &|_| Vec::new(), status: 409, holds: "sold_out" };
        assert!(question.check(b"HTTP/1.1 409 Conflict\r\n\r\n{\"code\":\"sold_out\"}").is_ok());
        assert!(question.check(b"HTTP/1.1 201 Created\r\n\r\nsold_out").is_err());
        assert!(question.check(b"HTTP/1.1 409 Conflict\r\n\r\n{\"code\":\"mismatch\"}").is_err());
    }
}
