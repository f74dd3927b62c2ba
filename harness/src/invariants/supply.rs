//! How many units of an item there are to sell, and what the operator did to them.
//!
//! In: the plan and the history. Out: the changes of the stock, each once however often its id was sent; and for each item bounds of its
//! supply and of what is held back.

use std::collections::{BTreeMap, HashMap};

use super::case::merged;
use super::evidence::Evidence;
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{Function, OpId, Outcome};
use crate::scenario::{ItemId, Scenario};

/// A restock, cut, hold or release that happened or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) function: Function,
    pub(crate) op: OpId,
    pub(crate) item: ItemId,
    pub(crate) units: u64,
    /// When it was first sent.
    pub(crate) sent: Offset,
    /// When it was first acknowledged; `None` if nobody can say whether it happened.
    pub(crate) done: Option<Offset>,
}

/// Every change that was not refused for certain, in the order in which they were sent.
pub(crate) fn changes(evidence: &Evidence) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut places: HashMap<(Function, &str, ItemId), usize> = HashMap::new();
    let asked = evidence.history.operations.iter().filter(|op| op.function.changes_stock());
    for op in asked.filter(|op| !matches!(op.outcome, Outcome::Fail(_))) {
        for (item, units) in merged(&op.items) {
            let done = op.answered.filter(|_| op.is_ok());
            let place = *places.entry((op.function, &op.order, item)).or_insert(changes.len());
            match changes.get_mut(place) {
                Some(change) => change.done = change.done.into_iter().chain(done).min(),
                None => changes.push(of(op, item, units, done)),
            }
        }
    }
    changes
}

fn of(op: &Operation, item: ItemId, units: u64, done: Option<Offset>) -> Change {
    Change { function: op.function, op: op.id, item, units, sent: op.sent, done }
}

/// Units that were certainly moved, and such that nobody can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) certain: u64,
    pub(crate) in_doubt: u64,
}

impl Moved {
    const fn most(self) -> u64 {
        self.certain + self.in_doubt
    }
}

/// Units of one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Supply {
    /// Units at opening.
    pub(crate) opening: u64,
    pub(crate) restocked: Moved,
    pub(crate) cut: Moved,
    pub(crate) held: Moved,
    pub(crate) released: Moved,
}

impl Supply {
    /// Units that may be sold if everything acknowledged happened and nothing else.
    pub(crate) const fn certain(self) -> u64 {
        let held = self.held.certain.saturating_sub(self.released.certain);
        (self.opening + self.restocked.certain).saturating_sub(self.cut.certain + held)
    }

    /// Units that may be sold at most.
    pub(crate) const fn most(self) -> u64 {
        let held = self.held.certain.saturating_sub(self.released.most());
        (self.opening + self.restocked.most()).saturating_sub(self.cut.certain + held)
    }

    /// Fewest and most units that can be held back.
    pub(crate) const fn held_back(self) -> (u64, u64) {
        (self.held.certain.saturating_sub(self.released.most()), self.held.most().saturating_sub(self.released.certain))
    }

    /// Whether nobody can say of some change whether it happened.
    pub(crate) const fn is_in_doubt(self) -> bool {
        self.restocked.in_doubt + self.cut.in_doubt + self.held.in_doubt + self.released.in_doubt > 0
    }

    fn add(&mut self, change: &Change) {
        let moved = match change.function {
            Function::Restock => &mut self.restocked,
            Function::CutStock => &mut self.cut,
            Function::HoldStock => &mut self.held,
            Function::ReleaseStock => &mut self.released,
            _ => return,
        };
        let units = if change.done.is_some() { &mut moved.certain } else { &mut moved.in_doubt };
        *units += change.units;
    }
}

/// The supply of every item of the sale, and of any other that was changed.
pub(crate) fn supplies(scenario: &Scenario, changes: &[Change]) -> BTreeMap<ItemId, Supply> {
    let mut supplies: BTreeMap<ItemId, Supply> = BTreeMap::new();
    for sale in &scenario.items {
        supplies.entry(sale.item).or_default().opening += sale.opening;
    }
    for change in changes {
        supplies.entry(change.item).or_default().add(change);
    }
    supplies
}
