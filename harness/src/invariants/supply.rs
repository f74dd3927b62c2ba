//! How many units of an item there are to sell.
//!
//! In: the plan and the restocks of the history. Out: bounds of the supply for each item.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use crate::history::record::{Function, Outcome};
use crate::scenario::ItemId;

/// Units of one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Supply {
    /// Units at opening.
    pub(crate) opening: u64,
    /// Units of restocks that were acknowledged.
    pub(crate) restocked: u64,
    /// Units of restocks that nobody can say happened.
    pub(crate) in_doubt: u64,
}

impl Supply {
    /// Units that there are for certain: opening and acknowledged restocks.
    pub(crate) const fn certain(self) -> u64 {
        self.opening + self.restocked
    }

    /// Units that there may be at most.
    pub(crate) const fn most(self) -> u64 {
        self.certain() + self.in_doubt
    }
}

/// The supply of every item of the sale, and of any other that was restocked.
pub(crate) fn supplies(evidence: &Evidence) -> BTreeMap<ItemId, Supply> {
    let mut supplies: BTreeMap<ItemId, Supply> = BTreeMap::new();
    for sale in &evidence.scenario().items {
        supplies.entry(sale.item).or_default().opening += sale.opening;
    }
    for restock in evidence.history.of(Function::Restock) {
        for line in &restock.items {
            let supply = supplies.entry(line.item).or_default();
            match restock.outcome {
                Outcome::Ok => supply.restocked += u64::from(line.qty),
                Outcome::Info(_) => supply.in_doubt += u64::from(line.qty),
                Outcome::Fail(_) => {}
            }
        }
    }
    supplies
}
