//! The one handle on the MySQL side.

use std::sync::Arc;
use std::time::Duration;

use super::connection::{Connection, Dial};
use super::failure::Failure;
use super::order_aside::Detour;
use super::order_writer::OrderWriter;
use super::pool::Pool;
use super::seat::{Seat, Seats};
use super::unit::{self, Unit};
use super::{LedgerError, LedgerSettings, NewOrder, Written, boot, self_test};
use crate::domain::Item;

/// Longest wait for a lock of a batch of orders, seconds: then the orders of the item that is locked go aside, or each order alone.
const WRITER_LOCK_WAIT_S: u32 = 1;
/// Longest wait for a lock of a request, seconds.
const REQUEST_LOCK_WAIT_S: u32 = 3;
/// Longest wait for a lock of a worker, seconds.
const WORKER_LOCK_WAIT_S: u32 = 10;
/// Of the seats so many may be taken by orders that wait aside: what is locked must not leave the others without one.
const ASIDE_SHARE: usize = 4;
/// Longest wait for work under way when the ledger closes.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Orders, balances, epochs and outbox in MySQL. Clones share their connections.
///
/// Cancel safety of every method: the unit of work runs in a task of its own. Dropping the future drops the answer, never the
/// unit, and leaves no connection in doubt.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    requests: Arc<Pool>,
    looks: Arc<Pool>,
    workers: Arc<Pool>,
    writer: OrderWriter,
    /// Orders whose id somebody else may be writing right now: they wait for that one, and nobody else should wait with them.
    contested: OrderWriter,
    /// Orders of items that somebody has locked for longer than a moment.
    aside: OrderWriter,
    /// As many as either of the first two queues holds, so that an order with a seat finds room in both.
    seats: Seats,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("writer_queue_len", &self.writer_queue_len()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Creates and migrates the database if need be, tests the server, and starts the order writers.
    ///
    /// Must be called inside a tokio runtime. Any number of processes may open one database at once.
    ///
    /// # Errors
    /// `Failed`: not reachable, or a migration failed. `Unsuitable`: the server cannot carry the protocol.
    pub async fn open(settings: LedgerSettings) -> Result<Self, LedgerError> {
        let plain = Dial::plain(&settings.url).map_err(|failure| failure.into_error("open the ledger"))?;
        let flavour = boot::prepare(&plain).await?;
        let (requests, workers) = (plain.session(flavour, REQUEST_LOCK_WAIT_S), plain.session(flavour, WORKER_LOCK_WAIT_S));
        if settings.self_test {
            self_test::run(&requests, flavour).await?;
        }
        let seat_count = settings.writer_queue.max(1);
        let writers = plain.session(flavour, WRITER_LOCK_WAIT_S);
        let waiting = (seat_count / ASIDE_SHARE).max(1);
        let aside = LedgerSettings { writer_connections: 1, writer_queue: waiting, ..settings.clone() };
        let aside = OrderWriter::start(&aside, &requests, None);
        let detour = Arc::new(Detour::to(aside.queue()));
        let shared = Shared {
            writer: OrderWriter::start(&settings, &writers, Some(&detour)),
            contested: OrderWriter::start(
                &LedgerSettings { batch_max: 1, writer_connections: 1, ..settings.clone() },
                &writers,
                Some(&detour),
            ),
            aside,
            seats: Seats::new(seat_count, detour),
            looks: Pool::new(requests.clone(), settings.look_connections),
            requests: Pool::new(requests, settings.request_connections),
            workers: Pool::new(workers, settings.worker_connections),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A seat for an order of these items, if one is free: whoever holds one can write its order. Never waits.
    ///
    /// # Errors
    /// `QueueFull`: none is free, or one of the items is locked by somebody and enough orders wait for it already.
    pub fn seat(&self, items: impl IntoIterator<Item = Item>) -> Result<Seat, LedgerError> {
        self.shared.seats.take(items)
    }

    /// Takes a seat and writes an order: [`Ledger::write_seated`].
    ///
    /// # Errors
    /// `QueueFull` or `Failed`: certainly not written.
    pub async fn write(&self, order: NewOrder) -> Result<Written, LedgerError> {
        let seat = self.seat(order.request.lines().iter().map(|line| line.item))?;
        self.write_seated(order, seat).await
    }

    /// Writes an order, together with others that wait at the same time. The answer comes after COMMIT was acknowledged.
    ///
    /// # Errors
    /// `Failed`: certainly not written; also if its item turned out to be locked and enough orders wait for it already. Whether a COMMIT is in
    /// doubt is [`Written::Unknown`] and no error.
    pub async fn write_seated(&self, order: NewOrder, seat: Seat) -> Result<Written, LedgerError> {
        let writer = if order.contested { &self.shared.contested } else { &self.shared.writer };
        writer.write(order, seat).await
    }

    /// Orders waiting for a writer.
    #[must_use]
    pub fn writer_queue_len(&self) -> usize {
        self.shared.writer.len() + self.shared.contested.len() + self.shared.aside.len()
    }

    /// Whether MySQL answers.
    ///
    /// # Errors
    /// `Failed`: it does not.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        self.request(Ping).await
    }

    /// Writes what is queued, waits for units under way, and closes all connections; each wait is bounded by ten seconds.
    pub async fn close(&self) {
        tokio::join!(self.shared.writer.close(CLOSE_LIMIT), self.shared.contested.close(CLOSE_LIMIT));
        self.shared.aside.close(CLOSE_LIMIT).await;
        tokio::join!(self.shared.requests.close(CLOSE_LIMIT), self.shared.looks.close(CLOSE_LIMIT));
        self.shared.workers.close(CLOSE_LIMIT).await;
    }

    /// Runs a unit with the waits of a request.
    pub(super) async fn request<U: Unit>(&self, unit: U) -> Result<U::Output, LedgerError> {
        unit::run(&self.shared.requests, unit).await
    }

    /// Runs a unit that only looks, with the waits of a request.
    pub(super) async fn look<U: Unit>(&self, unit: U) -> Result<U::Output, LedgerError> {
        unit::run(&self.shared.looks, unit).await
    }

    /// Runs a unit with the waits of a worker.
    pub(super) async fn work<U: Unit>(&self, unit: U) -> Result<U::Output, LedgerError> {
        unit::run(&self.shared.workers, unit).await
    }
}

struct Ping;

impl Unit for Ping {
    const ACT: &'static str = "ping mysql";
    const REPEATABLE: bool = true;
    type Output = ();

    async fn run(&self, connection: &mut Connection) -> Result<(), Failure> {
        connection.query("SELECT 1".into()).await.map(drop)
    }
}
