//! What happened in the proxies, and when. Bounded: the oldest go first, and their number shows.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::lock;
use crate::clock::{Offset, RunClock};

/// Events that are kept.
const KEPT: usize = 8192;

/// Something that happened in a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Dense from 0; a gap to the one before means that events were forgotten.
    pub number: u64,
    /// When it happened.
    pub at: Offset,
    /// Generation of the settings in force.
    pub generation: u64,
    /// Name of the proxy.
    pub proxy: String,
    /// Number of the connection, if it is about one.
    pub connection: Option<u64>,
    /// What happened.
    pub what: String,
}

/// The last events of all proxies.
#[derive(Debug)]
pub(super) struct Events {
    clock: RunClock,
    kept: Mutex<(u64, VecDeque<Event>)>,
}

impl Events {
    pub(super) fn new(clock: RunClock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    pub(super) fn add(&self, generation: u64, proxy: &str, connection: Option<u64>, what: impl Into<String>) {
        let mut kept = lock(&self.kept);
        let (next, events) = &mut *kept;
        if events.len() == KEPT {
            events.pop_front();
        }
        let at = self.clock.now();
        events.push_back(Event { number: *next, at, generation, proxy: proxy.to_owned(), connection, what: what.into() });
        *next += 1;
    }

    /// Those from `number` on that are still kept.
    pub(super) fn since(&self, number: u64) -> Vec<Event> {
        lock(&self.kept).1.iter().filter(|event| event.number >= number).cloned().collect()
    }
}
