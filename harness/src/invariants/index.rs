//! Which operations and rows belong to which order: built once, shared by every claim.
//!
//! In: [`Evidence`]. Out: an [`Index`] that numbers every order id and groups operations and rows by that number, and rows by
//! item. It judges nothing. O(n + m) time; about 60 bytes for each operation.

use std::collections::{BTreeMap, HashMap};

use super::evidence::Evidence;
use crate::scenario::ItemId;
use crate::snapshot::{EpochRow, InventoryRow, RedisItem, Stop};

/// Number of an order id within the evidence, dense from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderNumber(pub(crate) u32);

/// Stands for "no order": stock reads and restocks.
const NO_ORDER: u32 = u32::MAX;

/// Positions of elements by order: two flat arrays instead of one list for each order.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    starts: Vec<u32>,
    members: Vec<u32>,
}

impl Groups {
    /// Groups the elements whose order numbers are `of`, keeping their sequence within an order.
    fn new(orders: usize, of: &[u32]) -> Self {
        let mut starts = vec![0_u32; orders + 1];
        let grouped = || (0_u32..).zip(of).filter(|(_, number)| **number != NO_ORDER);
        for (_, number) in grouped() {
            starts[*number as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut members = vec![0; grouped().count()];
        for (element, number) in grouped() {
            let slot = &mut next[*number as usize];
            members[*slot as usize] = element;
            *slot += 1;
        }
        Self { starts, members }
    }

    /// Positions of the elements of one order.
    pub(crate) fn of(&self, order: OrderNumber) -> &[u32] {
        let at = order.0 as usize;
        &self.members[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// Rows of one stop, grouped.
#[derive(Debug)]
pub(crate) struct StopRows<'a> {
    pub(crate) orders: Groups,
    pub(crate) ledger: Groups,
    pub(crate) outbox: Groups,
    pub(crate) items: BTreeMap<ItemId, ItemRows<'a>>,
}

/// What one stop holds of one item.
#[derive(Debug, Default)]
pub(crate) struct ItemRows<'a> {
    pub(crate) inventory: Option<&'a InventoryRow>,
    pub(crate) epochs: Vec<&'a EpochRow>,
    pub(crate) redis: Option<&'a RedisItem>,
}

impl ItemRows<'_> {
    /// The newest epoch that MySQL names; `None` without an epoch row.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epochs.iter().map(|row| row.epoch).max()
    }

    /// Whether Redis admits orders of the item: mode `REDIS` or `STRICT`.
    pub(crate) fn redis_admits(&self) -> bool {
        self.epochs.iter().any(|row| matches!(row.mode.as_str(), "REDIS" | "STRICT"))
    }
}

/// Order ids and their numbers.
#[derive(Debug, Default)]
struct Names<'a> {
    numbers: HashMap<&'a str, u32>,
    names: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> u32 {
        if name.is_empty() {
            return NO_ORDER;
        }
        let next = u32::try_from(self.names.len()).unwrap_or(NO_ORDER);
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.names.push(name);
        }
        number
    }
}

/// Everything by order and by item.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    names: Names<'a>,
    pub(crate) operations: Groups,
    /// One for each stop of the evidence, in the same sequence.
    pub(crate) stops: Vec<StopRows<'a>>,
}

impl<'a> Index<'a> {
    /// Groups all operations and rows.
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let mut names = Names::default();
        let operations: Vec<u32> = evidence.history.operations.iter().map(|op| names.number(&op.order)).collect();
        let numbered: Vec<[Vec<u32>; 3]> = evidence.stops.iter().map(|stop| number_rows(&mut names, stop)).collect();
        let orders = names.names.len();
        let group = |of: &[u32]| Groups::new(orders, of);
        let stops = evidence.stops.iter().zip(&numbered).map(|(stop, [by_order, ledger, outbox])| StopRows {
            orders: group(by_order),
            ledger: group(ledger),
            outbox: group(outbox),
            items: rows_by_item(stop),
        });
        let stops = stops.collect();
        Self { operations: group(&operations), stops, names }
    }

    /// Every order id of the evidence.
    pub(crate) fn orders(&self) -> impl Iterator<Item = OrderNumber> + use<> {
        (0..u32::try_from(self.names.names.len()).unwrap_or(NO_ORDER)).map(OrderNumber)
    }

    /// The number of an order id, if operations or rows name it.
    pub(crate) fn find(&self, order_id: &str) -> Option<OrderNumber> {
        self.names.numbers.get(order_id).copied().map(OrderNumber)
    }

    /// The order id.
    pub(crate) fn name(&self, order: OrderNumber) -> &'a str {
        self.names.names[order.0 as usize]
    }
}

fn number_rows<'a>(names: &mut Names<'a>, stop: &'a Stop) -> [Vec<u32>; 3] {
    let snapshot = &stop.snapshot;
    [
        snapshot.orders.iter().map(|row| names.number(&row.order_id)).collect(),
        snapshot.ledger.iter().map(|row| names.number(&row.order_id)).collect(),
        snapshot.outbox.iter().map(|row| names.number(&row.order_id)).collect(),
    ]
}

fn rows_by_item(stop: &Stop) -> BTreeMap<ItemId, ItemRows<'_>> {
    let mut items: BTreeMap<ItemId, ItemRows<'_>> = BTreeMap::new();
    for row in &stop.snapshot.inventory {
        items.entry(row.item).or_default().inventory = Some(row);
    }
    for row in &stop.snapshot.epochs {
        items.entry(row.item).or_default().epochs.push(row);
    }
    for (item, redis) in &stop.snapshot.redis {
        items.entry(*item).or_default().redis = Some(redis);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_every_element_of_an_order_in_sequence() {
        let groups = Groups::new(3, &[1, NO_ORDER, 0, 1, 1]);
        assert_eq!(groups.of(OrderNumber(0)), [2]);
        assert_eq!(groups.of(OrderNumber(1)), [0, 3, 4]);
        assert!(groups.of(OrderNumber(2)).is_empty());
    }
}
