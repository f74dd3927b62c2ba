//! At most one counter of an item can produce sales at a time: within an epoch no token is used twice, and the rows of one epoch
//! all come before those of the next.
//!
//! The epoch row is share-locked while a ledger row is inserted, so the ids of rows show the order of epochs without a clock.

use std::collections::{BTreeMap, HashMap};

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::linearizable::stock_of::parse_token;
use super::story;
use super::verdict::Violation;
use crate::scenario::ItemId;
use crate::snapshot::LedgerRow;

pub(crate) const CLAIM: Claim = Claim {
    name: "one_epoch_commits",
    sentence: "No token admits two orders, and the ledger rows of one epoch all precede those of the next.",
    required: true,
    needs: &[],
    uses: &[Part::Stores],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let mut examined = 0;
    for view in case.stops() {
        let by_item = by_item(view);
        examined += by_item.values().map(Vec::len).sum::<usize>();
        for rows in by_item.values() {
            for (row, what) in shared_tokens(rows).into_iter().chain(late_rows(rows)) {
                let item = row.item;
                violations.add(|| Violation {
                    item: Some(item),
                    ..story::of_order(case, &row.order_id, format!("item {item}: {what} {}", view.name()))
                });
            }
        }
    }
    Examination::new(format!("{examined} ledger rows"), violations.verdict(examined))
}

fn by_item(view: StopView<'_>) -> BTreeMap<ItemId, Vec<&LedgerRow>> {
    let mut by_item: BTreeMap<ItemId, Vec<&LedgerRow>> = BTreeMap::new();
    for row in &view.stop.snapshot.ledger {
        by_item.entry(row.item).or_default().push(row);
    }
    by_item.values_mut().for_each(|rows| rows.sort_unstable_by_key(|row| row.id));
    by_item
}

fn shared_tokens<'r>(rows: &[&'r LedgerRow]) -> Vec<(&'r LedgerRow, String)> {
    let mut holders: HashMap<&str, &LedgerRow> = HashMap::new();
    let mut found = Vec::new();
    for row in rows.iter().copied().filter(|row| row.kind == "SALE" && !row.token.is_empty()) {
        let (order, token, epoch) = (&row.order_id, &row.token, row.epoch);
        if parse_token(token).is_none_or(|(of, _)| of != epoch) {
            found.push((row, format!("order {order} was committed in epoch {epoch} with token {token}")));
        }
        if let Some(first) = holders.insert(token, row) {
            found.push((row, format!("orders {} and {order} were both admitted by token {token}", first.order_id)));
        }
    }
    found
}

fn late_rows<'r>(rows: &[&'r LedgerRow]) -> Vec<(&'r LedgerRow, String)> {
    let mut newest = 0;
    let mut found = Vec::new();
    for row in rows.iter().copied() {
        if row.epoch < newest {
            let (order, id, epoch) = (&row.order_id, row.id, row.epoch);
            found.push((row, format!("ledger row {id} of order {order} is of epoch {epoch}, after a row of epoch {newest}")));
        }
        newest = newest.max(row.epoch);
    }
    found
}
