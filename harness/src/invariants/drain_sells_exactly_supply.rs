//! Selling on until every item is sold out sells exactly the supply: what was leaked is missing, what was invented is too many.
//!
//! Two numbers that are wrong in the same way pass an equality; they do not pass this.
//!
//! Only an item whose drain came to an end can miss units: at every api process the last answers were refusals as sold out, as many
//! and as far apart as [`REFUSALS_MIN`] and the staleness demand. One that fell silent, was throttled or was never asked still holds
//! its units, and says nothing. Units too many are too many however the drain ended.

use std::collections::HashMap;
use std::time::Duration;

use super::case::{Case, StopView};
use super::claim::{Claim, Examination, Part, Violations};
use super::holdings;
use super::story;
use super::verdict::Verdict;
use crate::clock::Offset;
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

/// Refusals in a row, at every process, that end the drain of an item. The second comes when no process can still answer from a
/// flag that was set before the first; the third allows for units that came back meanwhile.
const REFUSALS_MIN: u32 = 3;

/// The refusals as sold out with which the answers of one process for one item end so far, and when the newest counted one came.
#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    refusals: u32,
    newest: Offset,
}

fn examine(case: &Case<'_>) -> Examination {
    let looked_at = "the stop after the drain";
    let streaks = streaks(case);
    let Some(view) = case.rested().find(|view| view.stop.after == "drain") else {
        return Examination::unknown(looked_at, "no snapshot at rest after a drain");
    };
    if streaks.is_empty() {
        return Examination::unknown(looked_at, "the drain did not run");
    }
    if case.supplies.values().any(|supply| supply.is_in_doubt()) {
        return Examination::unknown(looked_at, "nobody can say whether a change of the stock happened");
    }
    match expired_meanwhile(case, view) {
        0 => judge(case, view, &streaks),
        // The run waited until nothing was left to expire, and paid what it sold.
        expired if case.evidence.scenario().waits_for_expiry() => {
            Examination::unknown(looked_at, format!("{expired} orders expired during the drain"))
        }
        expired => Examination::not_applicable(format!("{expired} orders expired during the drain")),
    }
}

/// Orders that have expired at the stop after the drain and had not at the one before.
fn expired_meanwhile(case: &Case<'_>, view: StopView<'_>) -> usize {
    let before = case.stops().find(|view| view.stop.after == "load");
    let is_expired = |view: StopView<'_>, order| view.order(order).is_some_and(|row| row.status == "EXPIRED");
    case.index.orders().filter(|order| is_expired(view, *order) && !before.is_some_and(|view| is_expired(view, *order))).count()
}

/// How the answers of each process for each item ended. A refusal only counts once no process can remember the one counted before.
fn streaks(case: &Case<'_>) -> HashMap<(ItemId, u16), Streak> {
    let staleness = Duration::from_millis(case.evidence.scenario().promises.staleness_ms);
    let mut streaks: HashMap<(ItemId, u16), Streak> = HashMap::new();
    let in_drain = |op: &&Operation| op.phase == Phase::Drain;
    for op in case.evidence.history.of(Function::CreateOrder).filter(in_drain) {
        for line in &op.items {
            let streak = streaks.entry((line.item, op.instance)).or_default();
            if op.outcome != Outcome::Fail(FailCode::SoldOut) {
                *streak = Streak::default();
            } else if streak.refusals == 0 || op.sent >= streak.newest.plus(staleness) {
                *streak = Streak { refusals: streak.refusals + 1, newest: op.answered.unwrap_or(op.sent) };
            }
        }
    }
    streaks
}

fn judge(case: &Case<'_>, view: StopView<'_>, streaks: &HashMap<(ItemId, u16), Streak>) -> Examination {
    let dry_at = |item: ItemId, instance: u16| streaks.get(&(item, instance)).is_some_and(|it| it.refusals >= REFUSALS_MIN);
    let is_finished = |item: ItemId| (0..case.evidence.scenario().processes.api).all(|instance| dry_at(item, instance));
    let held = holdings::held(case, view);
    let mut violations = Violations::default();
    let mut unfinished = Vec::new();
    for (item, supply) in &case.supplies {
        let (supply, units) = (supply.certain(), held.get(item).copied().unwrap_or(0));
        let difference = units.cast_signed() - supply.cast_signed();
        let finished = is_finished(*item);
        if difference > 0 || (difference < 0 && finished) {
            let sign = if difference > 0 { "too many" } else { "missing" };
            let what = format!(
                "item {item}: {} units {sign}: live orders hold {units} of a supply of {supply} after the drain",
                difference.unsigned_abs()
            );
            violations.add_weighed(difference.unsigned_abs(), || story::of_item(case, *item, difference, what));
        } else if let Some(left) = stock_left(view, *item).filter(|_| difference == 0) {
            let what = format!("item {item}: sold out, and Redis still offers {left} units after the drain");
            violations.add_weighed(left.unsigned_abs(), || story::of_item(case, *item, left, what));
        } else if !finished {
            unfinished.push(item.to_string());
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
