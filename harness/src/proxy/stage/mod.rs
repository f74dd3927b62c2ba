//! What toxics do to the bytes of one direction of one connection, without sockets and without a clock of its own.
//!
//! In: items in order, and the time. Out: items in order, when they are due. A stage that is taken away gives back what it
//! holds, so that no byte is lost by a change of settings.

mod bandwidth;
mod closing;
mod latency;
mod limit_data;
mod slicer;
mod timeout;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;

use super::counters::End;
use super::toxic::ToxicKind;
use crate::clock::Offset;

/// What goes through a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Bytes, and the time at which they would have arrived here on a line without delays of its own.
    Data(Bytes, Offset),
    /// The end of the stream, and what it means for the connection.
    Finish(End),
}

/// What a stage has to give.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pull {
    /// The next item.
    Item(Item),
    /// Nothing before that time, or before something is pushed.
    Wait(Option<Offset>),
    /// The connection is to be reset now.
    Reset,
}

/// One toxic at work on one direction of one connection.
pub(super) trait Stage: Send {
    /// Takes an item; returns how many of its bytes were thrown away.
    fn push(&mut self, item: Item, now: Offset) -> usize;

    /// The next item that is due.
    fn pull(&mut self, now: Offset) -> Pull;

    /// The toxic does something else from now on; it is of the same kind as before.
    fn update(&mut self, kind: ToxicKind, now: Offset);

    /// Gives back everything that is held, in order.
    fn give_back(&mut self) -> Vec<Item>;
}

/// The time from which a limited rate is free; shared by all connections if the toxic says so.
pub(super) type Pace = Arc<Mutex<Offset>>;

/// The stage of a toxic that begins to work now. `draws` are its own.
pub(super) fn stage(kind: ToxicKind, draws: ChaCha8Rng, pace: Pace, now: Offset) -> Box<dyn Stage> {
    match kind {
        ToxicKind::Latency { .. } => Box::new(latency::Latency::new(kind, draws)),
        ToxicKind::Bandwidth { .. } => Box::new(bandwidth::Bandwidth::new(kind, pace)),
        ToxicKind::SlowClose { .. } | ToxicKind::ResetPeer { .. } => Box::new(closing::Closing::new(kind)),
        ToxicKind::Timeout { timeout_ms } => Box::new(timeout::Timeout::new(timeout_ms, now)),
        ToxicKind::Slicer { .. } => Box::new(slicer::Slicer::new(kind, draws)),
        ToxicKind::LimitData { bytes } => Box::new(limit_data::LimitData::new(bytes)),
        ToxicKind::Noop => Box::new(closing::Closing::new(kind)),
    }
}

/// Milliseconds as nanoseconds, at most the end of the range.
const fn nanos_of_ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

/// A time some nanoseconds later.
const fn later(at: Offset, nanos: u64) -> Offset {
    Offset(at.0.saturating_add(nanos))
}
