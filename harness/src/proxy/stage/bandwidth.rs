//! A limited rate: bytes leave in slices of at most 100 ms, each when the line has carried it.
//!
//! A rate of zero holds everything. The line is that of one connection, or one for all connections of the proxy.

use std::collections::VecDeque;

use super::{Item, Pace, Pull, Stage, later};
use crate::clock::Offset;
use crate::proxy::lock;
use crate::proxy::toxic::ToxicKind;

/// Milliseconds of the rate that one slice holds at most.
const SLICE_MS: u64 = 100;

struct Held {
    item: Item,
    arrived: Offset,
}

/// See the module.
pub(super) struct Bandwidth {
    rate_kb_s: u64,
    pace: Pace,
    queue: VecDeque<Held>,
    /// Length of the next slice, and when the line has carried it.
    planned: Option<(usize, Offset)>,
}

impl Bandwidth {
    pub(super) fn new(kind: ToxicKind, pace: Pace) -> Self {
        Self { rate_kb_s: rate(kind), pace, queue: VecDeque::new(), planned: None }
    }

    /// Takes the line for the next slice of `length` bytes. A KB/s is a byte a millisecond.
    fn plan(&self, length: usize, arrived: Offset) -> (usize, Offset) {
        let slice = length.min(usize::try_from(self.rate_kb_s.saturating_mul(SLICE_MS)).unwrap_or(usize::MAX));
        let carried_ns = (slice as u64).saturating_mul(1_000_000) / self.rate_kb_s;
        let mut free = lock(&self.pace);
        *free = later((*free).max(arrived), carried_ns);
        (slice, *free)
    }
}

fn rate(kind: ToxicKind) -> u64 {
    if let ToxicKind::Bandwidth { rate_kb_s, .. } = kind { rate_kb_s } else { 0 }
}

impl Stage for Bandwidth {
    fn push(&mut self, item: Item, now: Offset) -> usize {
        self.queue.push_back(Held { item, arrived: now });
        0
    }

    fn pull(&mut self, now: Offset) -> Pull {
        let Some(held) = self.queue.front() else { return Pull::Wait(None) };
        let Item::Data(bytes, _) = &held.item else {
            return self.queue.pop_front().map_or(Pull::Wait(None), |held| Pull::Item(held.item));
        };
        if self.rate_kb_s == 0 {
            return Pull::Wait(None);
        }
        let (length, arrived) = (bytes.len(), held.arrived);
        let (slice, due) = self.planned.unwrap_or_else(|| self.plan(length, arrived));
        if due > now {
            self.planned = Some((slice, due));
            return Pull::Wait(Some(due));
        }
        self.planned = None;
        let Some(Held { item: Item::Data(mut bytes, at), arrived }) = self.queue.pop_front() else { return Pull::Wait(None) };
        let first = bytes.split_to(slice);
        if !bytes.is_empty() {
            self.queue.push_front(Held { item: Item::Data(bytes, at), arrived });
        }
        Pull::Item(Item::Data(first, at))
    }

    fn update(&mut self, kind: ToxicKind, now: Offset) {
        self.rate_kb_s = rate(kind);
        self.planned = None;
        // What waited under the old rate earns nothing under the new one.
        *lock(&self.pace) = now;
    }

    fn give_back(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.queue).into_iter().map(|held| held.item).collect()
    }
}
