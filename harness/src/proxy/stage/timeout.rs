//! Throws bytes away, and closes the connection once none came for a while, or when the toxic is taken away.

use super::{Item, Pull, Stage, later, nanos_of_ms};
use crate::clock::Offset;
use crate::proxy::counters::End;
use crate::proxy::toxic::ToxicKind;

/// See the module.
pub(super) struct Timeout {
    timeout_ms: u64,
    last_bytes: Offset,
    finish: Option<End>,
    finished: bool,
}

impl Timeout {
    pub(super) const fn new(timeout_ms: u64, now: Offset) -> Self {
        Self { timeout_ms, last_bytes: now, finish: None, finished: false }
    }
}

impl Stage for Timeout {
    fn push(&mut self, item: Item, now: Offset) -> usize {
        match item {
            Item::Data(bytes, _) => {
                self.last_bytes = now;
                bytes.len()
            }
            Item::Finish(end) => {
                self.finish.get_or_insert(end);
                0
            }
        }
    }

    fn pull(&mut self, now: Offset) -> Pull {
        if self.finished {
            return Pull::Wait(None);
        }
        let due = later(self.last_bytes, nanos_of_ms(self.timeout_ms));
        if self.finish.is_none() && self.timeout_ms > 0 && due <= now {
            self.finish = Some(End::Closed);
        }
        match self.finish {
            Some(end) => {
                self.finished = true;
                Pull::Item(Item::Finish(end))
            }
            None => Pull::Wait((self.timeout_ms > 0).then_some(due)),
        }
    }

    fn update(&mut self, kind: ToxicKind, now: Offset) {
        if let ToxicKind::Timeout { timeout_ms } = kind {
            (self.timeout_ms, self.last_bytes) = (timeout_ms, now);
        }
    }

    fn give_back(&mut self) -> Vec<Item> {
        if self.finished { Vec::new() } else { vec![Item::Finish(End::Closed)] }
    }
}
