//! One client of a proxy: dials the server, runs both directions, ends the sockets as it is to be seen from outside.
//!
//! In: an accepted socket. Out: counters, and how it ended. A reset is sent by closing both sockets with a linger of zero.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Direction;
use super::counters::{ConnectionCounters, End, LiveFlow};
use super::lane::Lane;
use super::proxy::Proxy;
use super::toxic::Outage;
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

    /// Serves one client until either side, a fault or an order from outside ends it.
    pub(super) async fn serve(self: Arc<Self>, client: TcpStream, proxy: Arc<Proxy>) -> End {
        let server = tokio::select! {
            end = self.ordered() => return finish(end, &[&client]),
            server = dial(&proxy) => match server {
                Ok(server) => server,
                Err(error) => {
                    proxy.event(Some(self.number), format!("dial {}: {error}", proxy.upstream()));
                    return End::Refused;
                }
            },
        };
        let end = tokio::select! {
            end = self.ordered() => end,
            end = self.carry(&client, &server, &proxy) => end,
        };
        finish(end, &[&client, &server])
    }

    /// Runs both directions until both have finished or one of them ends the connection.
    async fn carry(&self, client: &TcpStream, server: &TcpStream, proxy: &Proxy) -> End {
        let lane = |direction: Direction| {
            let (source, sink) = match direction {
                Direction::Upstream => (client, server),
                Direction::Downstream => (server, client),
            };
            Lane { direction, source, sink, flow: &self.flows[direction.index()], settings: proxy.settings.subscribe() }
        };
        let mut up = std::pin::pin!(lane(Direction::Upstream).run());
        let mut down = std::pin::pin!(lane(Direction::Downstream).run());
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

fn finish(end: End, sockets: &[&TcpStream]) -> End {
    if matches!(end, End::Reset | End::Broken) {
        for socket in sockets {
            // A socket whose peer is gone already has nothing to reset.
            drop(socket.set_zero_linger());
        }
    }
    end
}
