//! Local memory of items that were just seen to be sold out, so that a rush of refusals costs Redis nothing.
//!
//! It can only refuse too long, by its bound; it never admits.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::clock;
#[cfg(feature = "defects")]
use crate::defects::{Defect, planted};
use crate::domain::Item;

/// Items remembered at most; beyond it the memory starts anew, which costs Redis a few more calls.
const ITEMS_MAX: usize = 100_000;

/// Which items had nothing left, and when that was asked.
#[derive(Debug)]
pub(super) struct SoldOutMemory {
    bound: Duration,
    asked: RwLock<HashMap<Item, Instant>>,
}

impl SoldOutMemory {
    /// A memory that forgets after `bound`.
    pub(super) fn new(bound: Duration) -> Self {
        Self { bound, asked: RwLock::default() }
    }

    /// Whether the item had nothing left at most `bound` ago.
    pub(super) fn remembers(&self, item: Item) -> bool {
        if self.bound.is_zero() {
            return false;
        }
        let asked = self.asked.read().unwrap_or_else(PoisonError::into_inner);
        #[cfg(feature = "defects")]
        if planted(Defect::SoldOutFlagSticks) {
            return asked.contains_key(&item);
        }
        asked.get(&item).is_some_and(|at| clock::now().duration_since(*at) < self.bound)
    }

    /// Remembers that the item had nothing left. `asked_at` is before the question, so that the bound holds.
    pub(super) fn remember(&self, item: Item, asked_at: Instant) {
        let mut asked = self.asked.write().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= ITEMS_MAX {
            asked.clear();
        }
        asked.insert(item, asked_at);
    }

    /// Forgets the item, because units came back.
    pub(super) fn forget(&self, item: Item) {
        #[cfg(feature = "defects")]
        if planted(Defect::SoldOutFlagSticks) {
            return;
        }
        self.asked.write().unwrap_or_else(PoisonError::into_inner).remove(&item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_for_its_bound_and_forgets_when_told() {
        let item = Item::new(1, 1, 1).unwrap();
        let memory = SoldOutMemory::new(Duration::from_secs(60));
        assert!(!memory.remembers(item));
        memory.remember(item, clock::now());
        assert!(memory.remembers(item));
        memory.forget(item);
        assert!(!memory.remembers(item));
        memory.remember(item, clock::now().checked_sub(Duration::from_secs(61)).unwrap());
        assert!(!memory.remembers(item), "older than its bound");
    }

    #[test]
    fn a_bound_of_zero_switches_it_off() {
        let item = Item::new(1, 1, 1).unwrap();
        let memory = SoldOutMemory::new(Duration::ZERO);
        memory.remember(item, clock::now());
        assert!(!memory.remembers(item));
    }
}
