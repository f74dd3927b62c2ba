//! Units that live orders hold at a stop.
//!
//! In: a [`Case`] and one of its stops. Out: units by item. The ledger's SALE rows say how many; an order without any is counted by
//! what its client asked for, so that a lost ledger row hides no unit.

use std::collections::{BTreeMap, HashMap};

use super::case::{Case, StopView, merged};
use super::index::OrderNumber;
use crate::scenario::ItemId;

/// Units of each item that live orders hold.
pub(crate) fn held(case: &Case<'_>, view: StopView<'_>) -> HashMap<ItemId, u64> {
    let mut units = HashMap::new();
    for order in case.index.orders().filter(|order| is_live(view, *order)) {
        for (item, quantity) in lines(case, view, order) {
            *units.entry(item).or_insert(0) += quantity;
        }
    }
    units
}

/// Live orders of one item that were committed after its first `supply` units were gone, by ledger id.
pub(crate) fn beyond(case: &Case<'_>, view: StopView<'_>, item: ItemId, supply: u64) -> Vec<OrderNumber> {
    let mut holders: Vec<(u64, OrderNumber, u64)> = Vec::new();
    for order in case.index.orders().filter(|order| is_live(view, *order)) {
        let committed = view.sales(order).map(|row| row.id).min().unwrap_or(u64::MAX);
        holders.extend(lines(case, view, order).get(&item).map(|units| (committed, order, *units)));
    }
    holders.sort_unstable();
    let mut sold = 0;
    let over = holders.into_iter().filter(|(_, _, units)| {
        sold += units;
        sold > supply
    });
    over.map(|(_, order, _)| order).collect()
}

fn is_live(view: StopView<'_>, order: OrderNumber) -> bool {
    view.orders(order).any(crate::snapshot::OrderRow::is_live)
}

fn lines(case: &Case<'_>, view: StopView<'_>, order: OrderNumber) -> BTreeMap<ItemId, u64> {
    let mut lines = BTreeMap::new();
    for row in view.sales(order) {
        *lines.entry(row.item).or_insert(0) += u64::try_from(row.quantity).unwrap_or(0);
    }
    if lines.is_empty() { merged(case.dealings(order).asked()) } else { lines }
}
