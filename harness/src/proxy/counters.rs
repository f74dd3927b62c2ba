//! What a proxy counted: connections by their fate, bytes and frames by direction, for the whole and for each connection.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Direction;
use crate::clock::Offset;

/// What was counted in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes read from the sender.
    pub received: u64,
    /// Bytes written to the receiver.
    pub forwarded: u64,
    /// Bytes thrown away by a fault.
    pub discarded: u64,
    /// Frames seen by the dissector.
    pub frames: u64,
    /// Frames held for a trigger.
    pub held: u64,
    /// Frames thrown away by a trigger.
    pub dropped: u64,
}

impl Flow {
    /// Bytes that are inside the proxy now. Bytes of a connection that has ended do not wait.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.received - self.forwarded - self.discarded
    }

    fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.forwarded += other.forwarded;
        self.discarded += other.discarded;
        self.frames += other.frames;
        self.held += other.held;
        self.dropped += other.dropped;
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides finished.
    Finished,
    /// A side reset it, or went away while it was written to; the other side was reset as well.
    Broken,
    /// Closed by the proxy: a toxic, a decision, or a proxy that was disabled, changed or deleted.
    Closed,
    /// Reset by the proxy.
    Reset,
    /// The client was reset by the proxy, and the server was not told.
    Forgotten,
    /// The server could not be reached.
    Refused,
}

/// What was counted for one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounters {
    /// Its number in the proxy, from 1 in order of acceptance.
    pub number: u64,
    /// When it was accepted.
    pub opened_at: Offset,
    /// How and when it ended; `None` while it lasts.
    pub ended: Option<(End, Offset)>,
    /// Requests.
    pub upstream: Flow,
    /// Replies.
    pub downstream: Flow,
}

impl ConnectionCounters {
    /// The flow of a direction.
    #[must_use]
    pub const fn flow(&self, direction: Direction) -> &Flow {
        match direction {
            Direction::Upstream => &self.upstream,
            Direction::Downstream => &self.downstream,
        }
    }
}

/// What a proxy counted since it was created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub opened: u64,
    /// Connections whose server could not be reached.
    pub refused: u64,
    /// Connections reset by the proxy itself.
    pub reset: u64,
    /// Connections closed by the proxy itself, without a reset.
    pub closed: u64,
    /// Connections reset by a side.
    pub broken: u64,
    /// Requests of all connections.
    pub upstream: Flow,
    /// Replies of all connections.
    pub downstream: Flow,
    /// Every open connection, and those of the last ended ones that are still remembered, by number.
    pub connections: Vec<ConnectionCounters>,
}

impl Counters {
    /// Connections that stand now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.connections.iter().filter(|connection| connection.ended.is_none()).count()
    }

    /// Bytes inside the proxy now, both directions.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.upstream.waiting() + self.downstream.waiting()
    }

    pub(super) fn add_flows(&mut self, upstream: &Flow, downstream: &Flow) {
        self.upstream.add(upstream);
        self.downstream.add(downstream);
    }

    pub(super) const fn add_end(&mut self, end: End) {
        match end {
            End::Finished => {}
            End::Broken => self.broken += 1,
            End::Closed => self.closed += 1,
            End::Reset | End::Forgotten => self.reset += 1,
            End::Refused => self.refused += 1,
        }
    }
}

/// The flow of a living connection, counted by the task that moves the bytes.
#[derive(Debug, Default)]
pub(super) struct LiveFlow {
    received: AtomicU64,
    forwarded: AtomicU64,
    discarded: AtomicU64,
    frames: AtomicU64,
    held: AtomicU64,
    dropped: AtomicU64,
}

impl LiveFlow {
    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn forwarded(&self, bytes: usize) {
        self.forwarded.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn discarded(&self, bytes: usize) {
        self.discarded.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn frame(&self) {
        self.frames.fetch_add(1, Relaxed);
    }

    pub(super) fn held(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, bytes: usize) {
        self.dropped.fetch_add(1, Relaxed);
        self.discarded(bytes);
    }

    /// Reads the parts before the whole, so that bytes never wait in the negative.
    pub(super) fn read(&self) -> Flow {
        let (forwarded, discarded) = (self.forwarded.load(Relaxed), self.discarded.load(Relaxed));
        Flow {
            received: self.received.load(Relaxed).max(forwarded + discarded),
            forwarded,
            discarded,
            frames: self.frames.load(Relaxed),
            held: self.held.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }

    /// As [`Self::read`], for a connection that has ended: what was left inside is thrown away.
    pub(super) fn settle(&self) -> Flow {
        let flow = self.read();
        Flow { discarded: flow.discarded + flow.waiting(), ..flow }
    }
}
