//! What the taps of one service process have seen it do, over all its connections to both stores.
//!
//! In: the steps that took effect, and the ends of its calls of `pre_deduct`. Out: whether an order is among the last that did, and how those calls
//! ended. Bounded: the oldest orders are forgotten, and a point that rests on one that was forgotten is not told.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::dialect::Script;
use super::step::{Act, Phase, Step, Unit};
use crate::clock::{Offset, RunClock};

/// Orders that are remembered for each thing seen: more than a process has under way at once.
const REMEMBERED: usize = 16_384;

/// A reply that took longer may have come after its caller had given the call up as failed. Shorter than any patience with Redis that serves a sale.
const LATE: Duration = Duration::from_millis(100);

/// How calls have ended so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that have ended: by a reply, or with their connection.
    pub ended: u64,
    /// Of those, the ones that ended in an error or without a reply. A refusal is a reply.
    pub failed: u64,
    /// Of those, the ones whose reply came so late that their caller may have given them up.
    pub late: u64,
}

/// How a call has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// By a reply that is an answer.
    Answered,
    /// By an error, or without a reply.
    Failed,
}

/// A thing that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Redis said that it took units for the order.
    Taken,
    /// MySQL said that the deduct of the order is committed.
    Deducted,
    /// MySQL said that the tombstone of the order is committed.
    Fenced,
}

/// The shared memory of the taps of one service process. It may live on over a restart: what the dead process did is still done.
#[derive(Debug)]
pub struct Process {
    clock: RunClock,
    seen: Mutex<[Recent; 3]>,
    ended: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
}

impl Default for Process {
    fn default() -> Self {
        Self::at(RunClock::start())
    }
}

#[derive(Debug, Default)]
struct Recent {
    /// The item that was seen first with the order; empty if items do not matter.
    orders: HashMap<String, String>,
    by_age: VecDeque<String>,
}

impl Recent {
    fn add(&mut self, order: &str, item: &str) {
        if self.orders.contains_key(order) {
            return;
        }
        if self.by_age.len() == REMEMBERED
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.orders.remove(&oldest);
        }
        self.orders.insert(order.to_owned(), item.to_owned());
        self.by_age.push_back(order.to_owned());
    }
}

impl Process {
    /// A process of which nothing was seen yet, by the clock of a run.
    #[must_use]
    pub fn at(clock: RunClock) -> Self {
        let (ended, failed, late) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { clock, seen: Mutex::default(), ended, failed, late }
    }

    /// How its calls of `pre_deduct` have ended so far. A call of a script that Redis did not know comes again, and counts then.
    #[must_use]
    pub fn pre_deducts(&self) -> Calls {
        // Parts before the whole, so that no share is above 1.
        let (failed, late) = (self.failed.load(Relaxed), self.late.load(Relaxed));
        Calls { ended: self.ended.load(Relaxed), failed, late }
    }

    pub(super) fn now(&self) -> Offset {
        self.clock.now()
    }

    /// Counts the end of a call of `pre_deduct` that was asked at `asked_at`.
    pub(super) fn pre_deduct_ended(&self, asked_at: Offset, how: CallEnd) {
        self.ended.fetch_add(1, Relaxed);
        if how == CallEnd::Failed {
            self.failed.fetch_add(1, Relaxed);
        } else if self.now().since(asked_at) > LATE {
            self.late.fetch_add(1, Relaxed);
        }
    }

    /// Remembers what a step made true.
    pub(super) fn note(&self, step: Step, orders: &[String], item: Option<&str>) {
        if step.phase != Phase::Done {
            return;
        }
        let seen = match step.act {
            Act::Script(Script::PreDeduct) => Seen::Taken,
            Act::Commit(Unit::Deduct) => Seen::Deducted,
            Act::Commit(Unit::Tombstone) => Seen::Fenced,
            _ => return,
        };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for order in orders {
            all[seen as usize].add(order, item.unwrap_or_default());
        }
    }

    /// Whether one of `orders` is among those seen.
    pub(super) fn has_any(&self, seen: Seen, orders: &[String]) -> bool {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        orders.iter().any(|order| all[seen as usize].orders.contains_key(order))
    }

    /// Whether units of another item than `item` were taken for one of `orders`.
    pub(super) fn holds_another_item(&self, orders: &[String], item: Option<&str>) -> bool {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = &all[Seen::Taken as usize].orders;
        orders.iter().filter_map(|order| taken.get(order)).any(|first| Some(first.as_str()) != item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_orders_are_remembered() {
        let process = Process::default();
        let taken = Step { act: Act::Script(Script::PreDeduct), phase: Phase::Done };
        for number in 0..=REMEMBERED {
            process.note(taken, &[format!("o-{number}")], None);
        }
        assert!(!process.has_any(Seen::Taken, &["o-0".to_owned()]));
        assert!(process.has_any(Seen::Taken, &["o-1".to_owned()]) && process.has_any(Seen::Taken, &[format!("o-{REMEMBERED}")]));
    }
}
