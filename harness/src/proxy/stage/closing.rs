//! Toxics that touch how a stream ends, and the one that touches nothing.
//!
//! `slow_close` delays the end only. `reset_peer` holds everything from the first bytes on and resets after its time.
//! `noop` passes all.

use std::collections::VecDeque;

use super::{Item, Pull, Stage, later, nanos_of_ms};
use crate::clock::Offset;
use crate::proxy::toxic::ToxicKind;

struct Held {
    item: Item,
    arrived: Offset,
}

/// See the module.
pub(super) struct Closing {
    kind: ToxicKind,
    queue: VecDeque<Held>,
}

impl Closing {
    pub(super) const fn new(kind: ToxicKind) -> Self {
        Self { kind, queue: VecDeque::new() }
    }
}

impl Stage for Closing {
    fn push(&mut self, item: Item, now: Offset) -> usize {
        self.queue.push_back(Held { item, arrived: now });
        0
    }

    fn pull(&mut self, now: Offset) -> Pull {
        let Some(held) = self.queue.front() else { return Pull::Wait(None) };
        let due = match (self.kind, &held.item) {
            (ToxicKind::SlowClose { delay_ms }, Item::Finish(_)) => later(held.arrived, nanos_of_ms(delay_ms)),
            (ToxicKind::ResetPeer { timeout_ms }, Item::Data(..)) => {
                let due = later(held.arrived, nanos_of_ms(timeout_ms));
                return if due > now { Pull::Wait(Some(due)) } else { Pull::Reset };
            }
            _ => now,
        };
        if due > now {
            return Pull::Wait(Some(due));
        }
        self.queue.pop_front().map_or(Pull::Wait(None), |held| Pull::Item(held.item))
    }

    fn update(&mut self, kind: ToxicKind, _now: Offset) {
        self.kind = kind;
    }

    fn give_back(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.queue).into_iter().map(|held| held.item).collect()
    }
}
