//! Cuts bytes into small pieces with a pause between them.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Item, Pull, Stage, later};
use crate::clock::Offset;
use crate::proxy::toxic::ToxicKind;

struct Held {
    item: Item,
    arrived: Offset,
}

/// See the module.
pub(super) struct Slicer {
    kind: ToxicKind,
    draws: ChaCha8Rng,
    queue: VecDeque<Held>,
    /// When the pause after the last piece ends.
    free: Offset,
}

impl Slicer {
    pub(super) const fn new(kind: ToxicKind, draws: ChaCha8Rng) -> Self {
        Self { kind, draws, queue: VecDeque::new(), free: Offset::ZERO }
    }

    /// Bytes of the next piece, and the pause after it in nanoseconds.
    fn draw(&mut self) -> (usize, u64) {
        let ToxicKind::Slicer { average_size, size_variation, delay_us } = self.kind else { return (usize::MAX, 0) };
        let (least, most) =
            (average_size.saturating_sub(size_variation).max(1), average_size.saturating_add(size_variation).max(1));
        let size = usize::try_from(self.draws.random_range(least..=most)).unwrap_or(usize::MAX);
        (size, delay_us.saturating_mul(1000))
    }
}

impl Stage for Slicer {
    fn push(&mut self, item: Item, now: Offset) -> usize {
        self.queue.push_back(Held { item, arrived: now });
        0
    }

    fn pull(&mut self, now: Offset) -> Pull {
        let Some(held) = self.queue.front() else { return Pull::Wait(None) };
        if matches!(held.item, Item::Data(..)) && self.free > now {
            return Pull::Wait(Some(self.free));
        }
        let Some(Held { item, arrived }) = self.queue.pop_front() else { return Pull::Wait(None) };
        let Item::Data(mut bytes, at) = item else { return Pull::Item(item) };
        let (size, pause) = self.draw();
        let piece = bytes.split_to(size.min(bytes.len()));
        if !bytes.is_empty() {
            self.queue.push_front(Held { item: Item::Data(bytes, at), arrived });
        }
        // From when the piece was due, not from now: a late timer does not stretch the whole.
        self.free = later(self.free.max(arrived), pause);
        Pull::Item(Item::Data(piece, at))
    }

    fn update(&mut self, kind: ToxicKind, now: Offset) {
        self.kind = kind;
        self.free = now;
    }

    fn give_back(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.queue).into_iter().map(|held| held.item).collect()
    }
}
