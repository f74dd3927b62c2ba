//! Selling on until every item is sold out sells exactly the supply: what was leaked is missing, what was invented is too many.
//!
//! Two numbers that are wrong in the same way pass an equality; they do not pass this.

use std::collections::HashMap;

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::holdings;
use super::story;
use super::verdict::Verdict;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, Outcome};
use crate::scenario::{ItemId, Phase};

pub(crate) const CLAIM: Claim = Claim {
    name: "drain_sells_exactly_supply",
    sentence: "Selling on until sold out leaves live orders of exactly the supply, and no stock in Redis.",
    required: true,
    needs: &[Part::History, Part::Supply],
    uses: &[Part::Stores, Part::Rest],
    examine,
};

/// How far the drain went with one item.
#[derive(Debug, Clone, Copy, Default)]
struct Drained {
    asked: usize,
    refused: usize,
}

fn examine(case: &Case<'_>) -> Examination {
    let looked_at = "the stop after the drain";
    let drained = drained(case);
    let Some(view) = case.rested().find(|view| view.stop.after == "drain") else {
        return Examination::unknown(looked_at, "no snapshot at rest after a drain");
    };
    if drained.is_empty() {
        return Examination::unknown(looked_at, "the drain did not run");
    }
    if case.supplies.values().any(|supply| supply.in_doubt > 0) {
        return Examination::unknown(looked_at, "nobody can say whether a restock happened");
    }
    if case.may_expire(crate::clock::Offset::ZERO, case.ended()) {
        return Examination::not_applicable("orders may have expired during the run");
    }
    judge(case, view, &drained)
}

fn drained(case: &Case<'_>) -> HashMap<ItemId, Drained> {
    let mut drained: HashMap<ItemId, Drained> = HashMap::new();
    let in_drain = |op: &&Operation| op.phase == Phase::Drain;
    for op in case.evidence.history.of(Function::CreateOrder).filter(in_drain) {
        for line in &op.items {
            let item = drained.entry(line.item).or_default();
            item.asked += 1;
            item.refused += usize::from(op.outcome == Outcome::Fail(FailCode::SoldOut));
        }
    }
    drained
}

fn judge(case: &Case<'_>, view: StopView<'_>, drained: &HashMap<ItemId, Drained>) -> Examination {
    let held = holdings::held(case, view);
    let mut violations = Violations::default();
    let mut unfinished = Vec::new();
    for (item, supply) in &case.supplies {
        let (supply, units) = (supply.certain(), held.get(item).copied().unwrap_or(0));
        let difference = units.cast_signed() - supply.cast_signed();
        let drained = drained.get(item).copied().unwrap_or_default();
        if difference < 0 && drained.asked > 0 && drained.refused == 0 {
            unfinished.push(item.to_string());
        } else if difference != 0 {
            let sign = if difference > 0 { "too many" } else { "missing" };
            let what = format!(
                "item {item}: {} units {sign}: live orders hold {units} of a supply of {supply} after the drain",
                difference.unsigned_abs()
            );
            violations.add_weighed(difference.unsigned_abs(), || story::of_item(case, *item, difference, what));
        } else if let Some(left) = stock_left(view, *item) {
            let what = format!("item {item}: sold out, and Redis still offers {left} units after the drain");
            violations.add_weighed(left.unsigned_abs(), || story::of_item(case, *item, left, what));
        }
    }
    let verdict = violations.verdict(case.supplies.len());
    let looked_at = format!("{} items after the drain", case.supplies.len());
    if unfinished.is_empty() || verdict.is_violated() {
        return Examination::new(looked_at, verdict);
    }
    Examination::new(looked_at, Verdict::unknown(format!("the drain did not come to an end for {}", unfinished.join(", "))))
}

/// Stock in Redis of an item that Redis admits, if it is not 0.
fn stock_left(view: StopView<'_>, item: ItemId) -> Option<i64> {
    let rows = view.items().get(&item).filter(|rows| rows.redis_admits())?;
    rows.redis?.stock_units().filter(|units| *units != 0)
}
