//! Delay with jitter: bytes leave in order, each as long after its arrival as was drawn for it.
//!
//! The delay counts from the arrival at the proxy, so that time spent in a stage before is part of it; two delays add up.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Item, Pull, Stage, later, nanos_of_ms};
use crate::clock::Offset;
use crate::proxy::toxic::{Spread, ToxicKind};

struct Held {
    item: Item,
    due: Offset,
}

/// See the module.
pub(super) struct Latency {
    kind: ToxicKind,
    draws: ChaCha8Rng,
    queue: VecDeque<Held>,
    last_due: Offset,
}

impl Latency {
    pub(super) fn new(kind: ToxicKind, draws: ChaCha8Rng) -> Self {
        Self { kind, draws, queue: VecDeque::new(), last_due: Offset::ZERO }
    }

    /// A delay in nanoseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a drawn time; casts saturate"
    )]
    fn draw(&mut self) -> u64 {
        let ToxicKind::Latency { latency_ms, jitter_ms, spread } = self.kind else { return 0 };
        let (latency, jitter) = (nanos_of_ms(latency_ms), nanos_of_ms(jitter_ms));
        match spread {
            _ if jitter == 0 => latency,
            Spread::Uniform => self.draws.random_range(latency.saturating_sub(jitter)..=latency.saturating_add(jitter)),
            Spread::Exponential => {
                let tail = -(1.0 - self.draws.random::<f64>()).ln() * jitter as f64;
                latency.saturating_add(tail as u64)
            }
        }
    }

    fn due(&mut self, item: &Item) -> Offset {
        if let Item::Data(_, at) = item {
            self.last_due = self.last_due.max(later(*at, self.draw()));
        }
        self.last_due
    }
}

impl Stage for Latency {
    fn push(&mut self, item: Item, _now: Offset) -> usize {
        let due = self.due(&item);
        self.queue.push_back(Held { item, due });
        0
    }

    fn pull(&mut self, now: Offset) -> Pull {
        match self.queue.front() {
            None => Pull::Wait(None),
            Some(held) if held.due > now => Pull::Wait(Some(held.due)),
            Some(_) => self.queue.pop_front().map_or(Pull::Wait(None), |held| {
                Pull::Item(match held.item {
                    Item::Data(bytes, _) => Item::Data(bytes, held.due),
                    finish @ Item::Finish(_) => finish,
                })
            }),
        }
    }

    fn update(&mut self, kind: ToxicKind, _now: Offset) {
        self.kind = kind;
        self.last_due = Offset::ZERO;
        for held in std::mem::take(&mut self.queue) {
            let due = self.due(&held.item);
            self.queue.push_back(Held { due, ..held });
        }
    }

    fn give_back(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.queue).into_iter().map(|held| held.item).collect()
    }
}
