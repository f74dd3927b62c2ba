//! A relay before a store that spoils one request, chosen by its number: before it arrives, in the middle of it, or after it was executed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::relay::{Harm, Link, address, listen, own_port, through};
use crate::stock_fixture::until;

/// Longer than the patience of a flow under test.
const LATE_BY: Duration = Duration::from_millis(1_500);

/// Where a request is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It never reaches the store.
    Before,
    /// Half of it reaches the store.
    During,
    /// The store executes it, and the reply is lost.
    After,
    /// The store executes it after the caller has lost patience.
    Late,
}

/// How the requests of a store are told apart in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Redis,
    MySql,
}

struct Plan {
    language: Language,
    /// Requests until the one that is spoilt, that one included; 0 spoils none.
    countdown: AtomicU32,
    moment: Mutex<Moment>,
    /// Requests that are being spoilt right now.
    spoiling: AtomicU32,
}

/// A running relay. Ends with the runtime of its test.
pub(crate) struct Cutter {
    port: u16,
    plan: Arc<Plan>,
}

impl Cutter {
    /// A relay to the store of this URL that spoils nothing yet.
    pub(crate) async fn before(url: &str, language: Language) -> Self {
        let (listener, port) = own_port().await;
        let plan = Arc::new(Plan {
            language,
            countdown: AtomicU32::new(0),
            moment: Mutex::new(Moment::Before),
            spoiling: AtomicU32::new(0),
        });
        tokio::spawn(listen(listener, address(url), Arc::clone(&plan)));
        Self { port, plan }
    }

    /// Spoils the request number `nth` from now, from 1.
    pub(crate) fn arm(&self, nth: u32, moment: Moment) {
        *self.plan.moment.lock().unwrap() = moment;
        self.plan.countdown.store(nth, Ordering::SeqCst);
    }

    /// Spoils nothing more. Whether it has spoilt what it was armed for.
    pub(crate) fn disarm(&self) -> bool {
        self.plan.countdown.swap(0, Ordering::SeqCst) == 0
    }

    /// Waits until what comes late has come.
    pub(crate) async fn settled(&self) {
        until("nothing is on its way any more", async || self.plan.spoiling.load(Ordering::SeqCst) == 0).await;
    }

    /// The URL with this relay in place of the server.
    pub(crate) fn url(&self, url: &str) -> String {
        through(url, self.port)
    }
}

impl Plan {
    /// What is to become of a request.
    fn fate(&self, request: &[u8]) -> Option<Moment> {
        let counts = match self.language {
            // Scripts; what a connection asks when it opens, or once a second, comes at any time.
            Language::Redis => request.windows(6).any(|word| word == b"\r\nEVAL"),
            // A packet is three bytes of length, a number that is 0 for a command, and the command: 3 is a query.
            Language::MySql => request.get(3..5) == Some(&[0, 3]) && request.get(5..) != Some(b"SELECT 1"),
        };
        let last = |left: u32| left.checked_sub(1);
        let before = if counts { self.countdown.try_update(Ordering::SeqCst, Ordering::SeqCst, last).ok() } else { None };
        (before == Some(1)).then(|| *self.moment.lock().unwrap())
    }

    /// Length of the first whole request in `bytes`.
    fn length(&self, bytes: &[u8]) -> Option<usize> {
        let length = match self.language {
            Language::Redis => redis_length(bytes)?,
            Language::MySql => {
                4 + usize::from(*bytes.first()?) + (usize::from(*bytes.get(1)?) << 8) + (usize::from(*bytes.get(2)?) << 16)
            }
        };
        (length <= bytes.len()).then_some(length)
    }
}

/// `*<n>\r\n`, and n times `$<length>\r\n<bytes>\r\n`.
fn redis_length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| -> Option<(usize, usize)> {
        let line = bytes.get(at + 1..)?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        Some((std::str::from_utf8(&line[..end]).ok()?.parse().ok()?, at + 1 + end + 2))
    };
    let (count, mut at) = number(0)?;
    for _ in 0..count {
        let (length, text) = number(at)?;
        at = text + length + 2;
    }
    Some(at)
}

impl Harm for Plan {
    /// What was sent and is not yet a whole request.
    type Memory = Vec<u8>;

    async fn deal(&self, waiting: &mut Vec<u8>, sent: &[u8], server: &mut TcpStream) -> io::Result<Link> {
        waiting.extend_from_slice(sent);
        while let Some(length) = self.length(waiting) {
            let request: Vec<u8> = waiting.drain(..length).collect();
            let Some(moment) = self.fate(&request) else {
                server.write_all(&request).await?;
                continue;
            };
            self.spoiling.fetch_add(1, Ordering::SeqCst);
            let spoilt = spoil(&request, moment, server).await;
            self.spoiling.fetch_sub(1, Ordering::SeqCst);
            return spoilt.map(|()| Link::Ends);
        }
        Ok(Link::GoesOn)
    }
}

async fn spoil(request: &[u8], moment: Moment, server: &mut TcpStream) -> io::Result<()> {
    match moment {
        Moment::Before => {}
        Moment::During => server.write_all(&request[..request.len() / 2]).await?,
        Moment::After => {
            server.write_all(request).await?;
            // The reply is read, so the store has executed it, and kept.
            server.read_u8().await?;
        }
        Moment::Late => {
            tokio::time::sleep(LATE_BY).await;
            server.write_all(request).await?;
            server.read_u8().await?;
        }
    }
    Ok(())
}
