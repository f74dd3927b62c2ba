//! Local memory of items in which Redis does not decide now, so that orders for them need not ask it first.
//!
//! A mode is believed for a bounded time only, and an order that was admitted by an old one is not written: its transaction looks again.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::clock;
use crate::domain::Item;
use crate::ledger::Mode;

/// A mode other than REDIS is believed for this long before it is read again.
const MODE_BOUND: Duration = Duration::from_secs(1);
/// Items remembered at most; beyond it the memory starts anew, which costs a few more reads.
const ITEMS_MAX: usize = 100_000;

/// Items that were last seen in a mode in which Redis does not decide.
#[derive(Debug, Default)]
pub(super) struct ModeMemory(RwLock<HashMap<Item, (Mode, Instant)>>);

impl ModeMemory {
    /// The mode of the item, if Redis did not decide in it at most [`MODE_BOUND`] ago.
    pub(super) fn of(&self, item: Item) -> Option<Mode> {
        let modes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        modes.get(&item).filter(|(_, read_at)| clock::now().duration_since(*read_at) < MODE_BOUND).map(|(mode, _)| *mode)
    }

    /// Remembers the mode. `read_at` is before it was read, so that the bound holds.
    pub(super) fn put(&self, item: Item, mode: Mode, read_at: Instant) {
        let mut modes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(mode, Mode::Redis | Mode::Strict) {
            modes.remove(&item);
            return;
        }
        if modes.len() >= ITEMS_MAX {
            modes.clear();
        }
        modes.insert(item, (mode, read_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_believed_for_its_bound_and_until_redis_decides_again() {
        let (item, memory) = (Item::new(1, 1, 1).unwrap(), ModeMemory::default());
        assert_eq!(memory.of(item), None);
        memory.put(item, Mode::Db, clock::now());
        assert_eq!(memory.of(item), Some(Mode::Db));
        memory.put(item, Mode::Closed, clock::now().checked_sub(MODE_BOUND).unwrap());
        assert_eq!(memory.of(item), None, "older than its bound");
        memory.put(item, Mode::Db, clock::now());
        memory.put(item, Mode::Redis, clock::now());
        assert_eq!(memory.of(item), None, "Redis decides again");
    }

    #[test]
    fn it_never_holds_more_than_its_maximum() {
        let memory = ModeMemory::default();
        for sku in (1..).take(ITEMS_MAX + 1) {
            memory.put(Item::new(1, 1, sku).unwrap(), Mode::Db, clock::now());
        }
        assert_eq!(memory.0.read().unwrap().len(), 1);
    }
}
