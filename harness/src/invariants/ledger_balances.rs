//! The balance of each item is the sum of its ledger: `current_stock = Σ IN − Σ OUT`, exactly what the operator put aside is put aside
//! (the order flow never changes it), and what open sales hold is covered.

use std::collections::BTreeMap;

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::story;
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "ledger_balances",
    sentence: "The balance of each item is the sum of its ledger rows, and covers the units of open sales.",
    required: true,
    needs: &[],
    uses: &[Part::Stores],
    examine,
};

/// Sums of the ledger rows of one item.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    added: i64,
    out: i64,
    open: i64,
}

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let (mut items, mut rows) = (0, 0);
    for view in case.stops() {
        let sums = sums(view);
        items += sums.len();
        rows += view.stop.snapshot.ledger.len();
        for (item, sums) in sums {
            for (drift, what) in breaches(case, view, item, sums) {
                violations.add_weighed(drift.unsigned_abs(), || {
                    story::of_item(case, item, drift, format!("item {item}: {what} {}", view.name()))
                });
            }
        }
    }
    Examination::new(format!("{items} balances against {rows} ledger rows"), violations.verdict(items))
}

/// Sums of every item that has a balance or a ledger row.
fn sums(view: StopView<'_>) -> BTreeMap<ItemId, Sums> {
    let mut sums: BTreeMap<ItemId, Sums> = view.stop.snapshot.inventory.iter().map(|row| (row.item, Sums::default())).collect();
    for row in &view.stop.snapshot.ledger {
        let sum = sums.entry(row.item).or_default();
        match (row.kind.as_str(), row.transaction_type.as_str()) {
            (_, "IN") => sum.added += row.quantity,
            (_, "OUT") => sum.out += row.quantity,
            ("SALE", "LOCK") => sum.open += row.quantity,
            _ => {}
        }
    }
    sums
}

/// What is put aside beside what the operator asked for. Without a whole history nobody knows what was asked.
fn put_aside(case: &Case<'_>, item: ItemId, locked: i64) -> Option<(i64, String)> {
    let supply = case.supplies.get(&item).copied().unwrap_or_default();
    let (least, most) = supply.held_back();
    let (least, most) = (least.cast_signed(), most.cast_signed());
    let whole = case.history_is_sound() && case.evidence.history.tail.is_some();
    if (least..=most).contains(&locked) || (!whole && locked >= 0) {
        return None;
    }
    let asked = if most == 0 { "nobody put units aside".to_owned() } else { format!("{least} to {most} units were put aside") };
    Some((locked, format!("locked_stock is {locked}, and {asked}")))
}

/// Broken rules of one item, each with the units that it is off by.
fn breaches(case: &Case<'_>, view: StopView<'_>, item: ItemId, sums: Sums) -> Vec<(i64, String)> {
    let Some(row) = view.items().get(&item).and_then(|rows| rows.inventory) else {
        return vec![(sums.added - sums.out, "it has ledger rows and no balance".to_owned())];
    };
    let (current, locked) = (row.current_stock, row.locked_stock);
    let due = sums.added - sums.out;
    let available = current - locked - sums.open;
    let mut breaches = Vec::new();
    if current != due {
        let what = format!("current_stock is {current}, the ledger sums to {due} ({} in, {} out)", sums.added, sums.out);
        breaches.push((current - due, what));
    }
    breaches.extend(put_aside(case, item, locked));
    if locked < 0 || locked > current {
        breaches.push((locked, format!("locked_stock is {locked} with a current_stock of {current}")));
    }
    if available < 0 {
        breaches.push((available, format!("open sales hold {} units, {} are there", sums.open, current - locked)));
    }
    breaches
}
