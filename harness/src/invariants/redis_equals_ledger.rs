//! At rest, Redis offers exactly what the ledger has: same epoch, stock equal to its own copy, and stock equal to
//! `current_stock − locked_stock`.
//!
//! Asked of items that Redis admits (modes REDIS and STRICT). A counter that was never installed is a difference only if traffic
//! touched the item in its present epoch.

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::index::ItemRows;
use super::story;
use crate::scenario::ItemId;

pub(crate) const CLAIM: Claim = Claim {
    name: "redis_equals_ledger",
    sentence: "At rest, the stock in Redis is that of the ledger, in the ledger's epoch.",
    required: true,
    needs: &[],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

fn examine(case: &Case<'_>) -> Examination {
    let mut violations = Violations::default();
    let (mut admitted, mut others) = (0, 0);
    for view in case.rested() {
        for (item, rows) in view.items() {
            let lost_epoch = rows.epochs.is_empty() && rows.inventory.is_some();
            if !rows.redis_admits() && !lost_epoch {
                others += 1;
                continue;
            }
            admitted += 1;
            if let Some((drift, what)) = drift(view, *item, rows) {
                violations.add_weighed(drift.unsigned_abs(), || {
                    story::of_item(case, *item, drift, format!("item {item}: {what} {}", view.name()))
                });
            }
        }
    }
    if admitted == 0 && others > 0 {
        return Examination::not_applicable("Redis admits orders of no item");
    }
    Examination::new(format!("{admitted} counters against their balances"), violations.verdict(admitted))
}

/// The difference in units (positive: Redis promises too much) and its sentence.
fn drift(view: StopView<'_>, item: ItemId, rows: &ItemRows<'_>) -> Option<(i64, String)> {
    let Some(epoch) = rows.epoch() else { return Some((0, "it has a balance and no epoch".to_owned())) };
    if let Some(row) = rows.epochs.iter().find(|row| row.epoch != epoch) {
        return Some((0, format!("shard {} is in epoch {}, another in {epoch}", row.shard, row.epoch)));
    }
    let Some(inventory) = rows.inventory else { return Some((0, "it has an epoch and no balance".to_owned())) };
    let due = inventory.current_stock - inventory.locked_stock;
    let stock = rows.redis.and_then(|redis| redis.stock.as_deref());
    let meta_is_there = rows.redis.is_some_and(|redis| !redis.meta.is_empty());
    if stock.is_none() && !meta_is_there && !touched(view, item, epoch) {
        return None;
    }
    let Some(text) = stock else { return Some((-due, format!("the stock key is missing, the ledger has {due} units"))) };
    let Some(units) = rows.redis.and_then(|redis| redis.stock_units()) else {
        return Some((-due, format!("the stock key holds {text:?}, which is no number")));
    };
    let meta = |field: &str| rows.redis.and_then(|redis| redis.meta_number(field));
    if units != due {
        let drift = units - due;
        let sign = if drift > 0 { "too many" } else { "too few" };
        let what = format!("Redis offers {units} units, the ledger has {due}: {} {sign}", drift.unsigned_abs());
        return Some((drift, what));
    }
    if meta("avail") != Some(units) {
        return Some((0, format!("the stock key holds {units}, its copy in meta {:?}", meta("avail"))));
    }
    let same_epoch = meta("epoch").and_then(|number| u64::try_from(number).ok()) == Some(epoch);
    (!same_epoch).then(|| (0, format!("Redis is in epoch {:?}, the ledger in {epoch}", meta("epoch"))))
}

/// Whether a sale or a deduct record of this epoch shows that orders were admitted.
fn touched(view: StopView<'_>, item: ItemId, epoch: u64) -> bool {
    let prefix = format!("{epoch}:");
    let sold = view.stop.snapshot.ledger.iter().any(|row| row.item == item && row.kind == "SALE" && row.epoch == epoch);
    let recorded =
        |records: &std::collections::BTreeMap<String, String>| records.values().any(|record| record.starts_with(&prefix));
    sold || view.stop.snapshot.redis.get(&item).is_some_and(|redis| recorded(&redis.records))
}
