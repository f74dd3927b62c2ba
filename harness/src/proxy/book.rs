//! The connections of a proxy: those that stand, what the ended ones left, and the sums.
//!
//! In: connections that come and go. Out: counters, and an end for all that stand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::connection::Connection;
use super::counters::{ConnectionCounters, Counters, End};
use super::lock;
use crate::clock::RunClock;

/// Ended connections whose counters are remembered one by one.
const ENDED_KEPT: usize = 1024;

#[derive(Debug, Default)]
struct Pages {
    open: BTreeMap<u64, Arc<Connection>>,
    ended: VecDeque<ConnectionCounters>,
    totals: Counters,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: Mutex<Pages>,
}

/// A connection in the book; dropped unclosed, because its task was cut short, it counts as closed.
pub(super) struct Entry {
    book: Arc<Book>,
    clock: RunClock,
    connection: Arc<Connection>,
    end: End,
}

impl Book {
    /// Enters a connection under the next number.
    pub(super) fn enter(self: &Arc<Self>, clock: RunClock) -> Entry {
        let mut pages = lock(&self.pages);
        pages.totals.opened += 1;
        let connection = Arc::new(Connection::new(pages.totals.opened, clock.now()));
        pages.open.insert(connection.number, Arc::clone(&connection));
        Entry { book: Arc::clone(self), clock, connection, end: End::Closed }
    }

    /// Ends every connection that stands now; returns how many.
    pub(super) fn end_all(&self, end: End) -> usize {
        let open: Vec<_> = lock(&self.pages).open.values().cloned().collect();
        for connection in &open {
            connection.end(end);
        }
        open.len()
    }

    /// What was counted so far.
    pub(super) fn counters(&self) -> Counters {
        let pages = lock(&self.pages);
        let mut counters = pages.totals.clone();
        counters.connections = pages.ended.iter().copied().collect();
        for connection in pages.open.values().map(|connection| connection.counters(None)) {
            counters.add_flows(&connection.upstream, &connection.downstream);
            counters.connections.push(connection);
        }
        counters.connections.sort_by_key(|connection| connection.number);
        counters
    }
}

impl Entry {
    /// The connection of the entry.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection has ended like this.
    pub(super) fn close(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let counters = self.connection.counters(Some((self.end, self.clock.now())));
        let mut pages = lock(&self.book.pages);
        pages.open.remove(&self.connection.number);
        pages.totals.add_end(self.end);
        pages.totals.add_flows(&counters.upstream, &counters.downstream);
        if pages.ended.len() == ENDED_KEPT {
            pages.ended.pop_front();
        }
        pages.ended.push_back(counters);
    }
}
