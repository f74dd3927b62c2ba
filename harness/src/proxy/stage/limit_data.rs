//! Closes the connection when it has carried a number of bytes. The count outlives updates.

use std::collections::VecDeque;

use super::{Item, Pull, Stage};
use crate::clock::Offset;
use crate::proxy::counters::End;
use crate::proxy::toxic::ToxicKind;

/// See the module.
pub(super) struct LimitData {
    limit: u64,
    carried: u64,
    closed: bool,
    queue: VecDeque<Item>,
}

impl LimitData {
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, carried: 0, closed: false, queue: VecDeque::new() }
    }
}

impl Stage for LimitData {
    fn push(&mut self, item: Item, _now: Offset) -> usize {
        let Item::Data(mut bytes, at) = item else {
            if !self.closed {
                self.queue.push_back(item);
            }
            return 0;
        };
        let room = if self.closed { 0 } else { self.limit.saturating_sub(self.carried) };
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let first = bytes.split_to(fits);
        self.carried += first.len() as u64;
        if !first.is_empty() {
            self.queue.push_back(Item::Data(first, at));
        }
        if !self.closed && self.carried >= self.limit {
            self.closed = true;
            self.queue.push_back(Item::Finish(End::Closed));
        }
        bytes.len()
    }

    fn pull(&mut self, _now: Offset) -> Pull {
        self.queue.pop_front().map_or(Pull::Wait(None), Pull::Item)
    }

    fn update(&mut self, kind: ToxicKind, _now: Offset) {
        if let ToxicKind::LimitData { bytes } = kind {
            self.limit = bytes;
        }
    }

    fn give_back(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.queue).into()
    }
}
