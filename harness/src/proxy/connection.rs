//! One client of a proxy: dials the server, runs both directions, ends the sockets as it is to be seen from outside.
//!
//! In: an accepted socket. Out: counters, and how it ended. A reset is sent by closing both sockets with a linger of zero.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::chain::{Chain, Whose};
use super::counters::{ConnectionCounters, End, LiveFlow};
use super::intake::{Intake, Tap};
use super::lane::Lane;
use super::running::Proxy;
use super::toxic::Outage;
use super::{Direction, Protocol};
use crate::clock::Offset;

/// How long the server may take to accept.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// A connection that stands; shared with whoever counts or ends it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: u64,
    opened_at: Offset,
    pub(super) flows: [LiveFlow; 2],
    order: watch::Sender<Option<End>>,
}

impl Connection {
    pub(super) fn new(number: u64, opened_at: Offset) -> Self {
        Self { number, opened_at, flows: Default::default(), order: watch::channel(None).0 }
    }

    /// Ends the connection from outside; the first order counts.
    pub(super) fn end(&self, end: End) {
        self.order.send_if_modified(|order| {
            let first = order.is_none();
            order.get_or_insert(end);
            first
        });
    }

    /// Its counters; those of an ended one hold no waiting bytes.
    pub(super) fn counters(&self, ended: Option<(End, Offset)>) -> ConnectionCounters {
        let read = if ended.is_some() { LiveFlow::settle } else { LiveFlow::read };
        let [upstream, downstream] = &self.flows;
        ConnectionCounters {
            number: self.number,
            opened_at: self.opened_at,
            ended,
            upstream: read(upstream),
            downstream: read(downstream),
        }
    }

    async fn ordered(&self) -> End {
        let mut orders = self.order.subscribe();
        match orders.wait_for(Option::is_some).await {
            Ok(order) => order.unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }

    /// Serves one client until either side, a fault or an order from outside ends it. Gives back the server's socket: the caller
    /// closes both, after it has told how they end.
    pub(super) async fn serve(&self, client: &mut TcpStream, proxy: &Proxy) -> (End, Option<TcpStream>) {
        let mut server = tokio::select! {
            end = self.ordered() => return (prepare(end, &[client]), None),
            server = dial(proxy) => match server {
                Ok(server) => server,
                Err(error) => {
                    proxy.event(Some(self.number), format!("dial {}: {error}", proxy.upstream()));
                    let reset = error.kind() == io::ErrorKind::ConnectionReset;
                    return (prepare(if reset { End::Broken } else { End::Refused }, &[client]), None);
                }
            },
        };
        let end = tokio::select! {
            end = self.ordered() => end,
            end = self.carry(client, &mut server, proxy) => end,
        };
        (prepare(end, &[client, &server]), Some(server))
    }

    /// Runs both directions until both have finished or one of them ends the connection.
    async fn carry(&self, client: &mut TcpStream, server: &mut TcpStream, proxy: &Proxy) -> End {
        let tap = match &proxy.protocol {
            Protocol::Plain => None,
            Protocol::Dissected(factory) => Some(Tap::new(factory(self.number))),
        };
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let lane = |direction: Direction, source, sink| {
            let flow = &self.flows[direction.index()];
            let whose = Whose { seed: proxy.shared.seed, proxy: &proxy.name, connection: self.number, direction };
            let intake = Intake::new(tap.as_ref(), proxy, self.number, direction, flow);
            Lane { source, sink, settings: proxy.settings.subscribe(), intake, chain: Chain::new(whose) }
        };
        let mut up = std::pin::pin!(lane(Direction::Upstream, from_client, to_server).run());
        let mut down = std::pin::pin!(lane(Direction::Downstream, from_server, to_client).run());
        tokio::select! {
            end = &mut up => if end == End::Finished { down.await } else { end },
            end = &mut down => if end == End::Finished { up.await } else { end },
        }
    }
}

/// Waits out a blackhole, then connects.
async fn dial(proxy: &Proxy) -> io::Result<TcpStream> {
    let mut settings = proxy.settings.subscribe();
    if settings.wait_for(|settings| !settings.has(Outage::BlackholeAccept)).await.is_err() {
        return Err(io::Error::other("the proxy has ended"));
    }
    let upstream = proxy.upstream();
    let server = match timeout(DIAL_MAX, TcpStream::connect(&upstream)).await {
        Ok(server) => server?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer after {DIAL_MAX:?}"))),
    };
    server.set_nodelay(true)?;
    Ok(server)
}

/// Makes the closing of the sockets a reset if that is how they end.
fn prepare(end: End, sockets: &[&TcpStream]) -> End {
    if matches!(end, End::Reset | End::Broken | End::Forgotten) {
        // The client's comes first. That of a server which is not told stays open.
        for socket in sockets.iter().take(if end == End::Forgotten { 1 } else { sockets.len() }) {
            // A socket whose peer is gone already has nothing to reset.
            drop(socket.set_zero_linger());
        }
    }
    end
}
