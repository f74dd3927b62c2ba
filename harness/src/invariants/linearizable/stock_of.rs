//! From operations, snapshots and their tokens to what is known of each item's stock.
//!
//! In: a [`Case`] with a sound history. Out: one [`ItemStock`] for each item that anybody asked for.
//!
//! Three rules decide what is safe to assume:
//!
//! - **Which refusals never held units.** A request that was never sent or was malformed, or one for a single item that does not
//!   exist; a cart takes its items one after another before it fails on an unknown one. One refused as sold out held none either, but only
//!   while one counter admitted: across a rebuild, or where the balance in MySQL guards too, an attempt can take units first and be
//!   refused later. Where every epoch of an item is one of the operator's cuts, holds and releases, only refusals beside these count as
//!   transient holds; where an epoch has another cause, or the mode is not `REDIS`, all do.
//! - **Who holds units twice.** After a rebuild an attempt can be admitted anew while Redis still has a lock or a record of its first
//!   token. So where an item saw more than one counter, every further token of an order is one more transient hold.
//! - **When units are back.** Only when a trusted stop after the load quiesced, and only of attempts whose fate everybody knows.
//! - **What a refusal can speak of.** A service may refuse from a flag in memory up to `staleness_ms` old. The flag was set by some
//!   request that looked at the counter between its own sent and answered; so the refusal speaks of instants from the earliest sent
//!   among the requests for the item that ended no more than the staleness before it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::{Counter, Decrease, Fate, Increase, ItemStock, Mark, NEVER, Refusal, Taking};
use crate::clock::Offset;
use crate::history::operation::Operation;
use crate::history::record::{FailCode, Function, Outcome};
use crate::invariants::case::{Case, Dealings, StopView};
use crate::invariants::index::OrderNumber;
use crate::invariants::supply::Change;
use crate::scenario::ItemId;
use crate::snapshot::{LockState, Rest};

/// By so long after the answer to a change every process uses the new counter.
const REPLACED_WITHIN: Duration = Duration::from_secs(1);

/// When the counter can have been replaced; `None` if nobody knows.
type Rebuilds<'r> = Option<&'r [(Offset, Offset)]>;

/// Everything known of the stock of each item.
pub(crate) fn stocks(case: &Case<'_>) -> Vec<ItemStock> {
    let mut building = Building::new(case);
    for order in case.index.orders() {
        building.add_order(order);
    }
    building.add_changes();
    building.add_stored_marks();
    building.add_second_tokens();
    building.date_refusals();
    building.items.into_values().map(|item| item.stock).collect()
}

struct Building<'c> {
    case: &'c Case<'c>,
    /// The stop after the load, if it quiesced: when nothing was left to do, and what stood then.
    settled: Option<StopView<'c>>,
    last: Option<StopView<'c>>,
    /// End of everything that could still take or give back units on its own.
    ended: Offset,
    items: BTreeMap<ItemId, Item>,
}

struct Item {
    stock: ItemStock,
    /// When the counter can have been replaced; `None` if nobody knows. A refusal as sold out at another time held nothing.
    rebuilds: Option<Vec<(Offset, Offset)>>,
    /// Sent and end of every request for the item: who can have set a flag, and when.
    requests: Vec<(Offset, Offset)>,
}

impl<'c> Building<'c> {
    fn new(case: &'c Case<'c>) -> Self {
        let settled = case.stops().find(|view| view.stop.after == "load" && view.stop.quiescence.rest == Rest::Quiesced);
        Self { case, settled, last: case.stops().last(), ended: case.ended(), items: BTreeMap::new() }
    }

    fn quiesced_at(&self) -> Option<Offset> {
        self.settled.map(|view| view.stop.quiescence.ended)
    }

    fn item(&mut self, item: ItemId) -> &mut Item {
        let (case, last) = (self.case, self.last);
        match self.items.entry(item) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(new_item(case, last, item)),
        }
    }

    fn add_order(&mut self, order: OrderNumber) {
        let dealings = self.case.dealings(order);
        let mut asked: Vec<ItemId> = dealings.creates().flat_map(|op| op.items.iter().map(|line| line.item)).collect();
        asked.sort_unstable();
        asked.dedup();
        for item in asked {
            let rebuilds = self.item(item).rebuilds.clone();
            let taking = self.taking(order, dealings, item, rebuilds.as_deref());
            let requests: Vec<_> = dealings.creates().filter(|op| op.quantity_of(item) > 0).map(|op| self.span(op)).collect();
            let building = self.item(item);
            building.requests.extend(requests);
            building.stock.refusals.extend(dealings.creates().filter_map(|op| refusal(op, item)));
            building.stock.takings.extend(taking);
            if let Some(taking) = taking {
                building.stock.marks.extend(dealings.creates().flat_map(|op| told_marks(op, item, taking)));
            }
        }
    }

    /// When a request left, and by when it can have done no more.
    fn span(&self, op: &Operation) -> (Offset, Offset) {
        let answered = op.answered.unwrap_or(NEVER);
        let end = match self.quiesced_at() {
            _ if !op.is_info() => answered,
            Some(quiesced) if op.sent <= quiesced => quiesced,
            _ => NEVER,
        };
        (op.sent, end)
    }

    fn taking(&self, order: OrderNumber, dealings: Dealings<'_>, item: ItemId, rebuilds: Rebuilds<'_>) -> Option<Taking> {
        let holds = |op: &&Operation| op.quantity_of(item) > 0 && may_have_held(op, item, rebuilds);
        let accepted = dealings.accepted().filter(holds);
        let deciding = accepted.or_else(|| dealings.creates().find(|op| holds(op) && op.is_info()));
        let deciding = deciding.or_else(|| dealings.creates().find(holds))?;
        let in_doubt = dealings.creates().any(|op| op.is_info());
        let stands = self.case.stops().any(|view| view.order(order).is_some_and(crate::snapshot::OrderRow::is_live));
        let fate = match deciding.outcome {
            Outcome::Ok => Fate::Accepted,
            Outcome::Info(_) if stands => Fate::Witnessed,
            Outcome::Info(_) => Fate::Doubt,
            Outcome::Fail(_) => Fate::Transient,
        };
        let sent = dealings.creates().filter(holds).map(|op| op.sent).min()?;
        let answered = accepted.and_then(|op| op.answered).unwrap_or(NEVER);
        let units = dealings.creates().filter(holds).map(|op| op.quantity_of(item)).max()?;
        let units = accepted.map_or(units, |op| op.quantity_of(item));
        let undone_from = self.undone_from(dealings, fate, sent);
        let back_by = if in_doubt { NEVER } else { self.back_by(order, dealings, fate) };
        Some(Taking { order, op: deciding.id, fate, units, sent, answered, undone_from, back_by })
    }

    /// A cancel or refund may have its effect from when it was sent, an expiry from its time on unless the order was paid, and doubt may
    /// be undone by the service.
    fn undone_from(&self, dealings: Dealings<'_>, fate: Fate, sent: Offset) -> Offset {
        let asked = |function| dealings.possibly(function).map_or(NEVER, |op| op.sent);
        let may_expire = dealings.done(Function::PayOrder).is_none() && self.case.may_expire(sent, self.ended);
        let expired = if may_expire { self.case.expiry_of(sent) } else { NEVER };
        let resolved = if fate == Fate::Doubt { sent } else { NEVER };
        asked(Function::CancelOrder).min(asked(Function::RefundOrder)).min(expired).min(resolved)
    }

    fn back_by(&self, order: OrderNumber, dealings: Dealings<'_>, fate: Fate) -> Offset {
        let Some(view) = self.settled else { return NEVER };
        let ended = view.stop.quiescence.ended;
        let all_before = dealings.creates().all(|op| op.answered.is_some_and(|answered| answered <= ended));
        let given_back = match fate {
            Fate::Transient => true,
            Fate::Accepted => view.order(order).is_some_and(|row| !row.is_live()),
            Fate::Witnessed | Fate::Doubt => false,
        };
        if all_before && given_back { ended } else { NEVER }
    }

    fn add_changes(&mut self) {
        let quiesced = self.quiesced_at();
        for Change { function, op, item, units, sent, done } in self.case.changes.iter().copied() {
            let stock = &mut self.item(item).stock;
            if matches!(function, Function::CutStock | Function::HoldStock) {
                stock.decreases.push(Decrease { op, units, sent, answered: done.unwrap_or(NEVER) });
            } else {
                let there = quiesced.filter(|ended| done.is_some_and(|done| done <= *ended));
                stock.increases.push(Increase { units, sent, back_by: there.unwrap_or(NEVER) });
            }
        }
    }

    /// Tokens that ledger and deduct records know of: also of attempts in doubt, and of such as were rolled back.
    fn add_stored_marks(&mut self) {
        let Some(view) = self.last else { return };
        for building in self.items.values_mut() {
            let stock = &mut building.stock;
            for taking in &stock.takings {
                let sales = view.sales(taking.order).filter(|row| row.item == stock.item);
                stock.marks.extend(sales.filter_map(|row| mark(*taking, &row.token, row.quantity.try_into().ok()?)));
            }
            let records = view.stop.snapshot.redis.get(&stock.item).map(|redis| &redis.records);
            for (order_id, record) in records.into_iter().flatten() {
                // Takings were added by rising order number.
                let place = |order| stock.takings.binary_search_by_key(&order, |taking| taking.order).ok();
                let place = self.case.index.find(order_id).and_then(place);
                let (Some(place), Some((token, units))) = (place, record.split_once('|')) else { continue };
                // The record may be of an attempt that the acknowledged one did not build on: only its start is known.
                let taking = Taking { answered: NEVER, ..stock.takings[place] };
                stock.marks.extend(units.parse().ok().and_then(|units| mark(taking, token, units)));
            }
        }
    }

    /// Tokens that stores hold of an order beside the one that it was admitted by, or else beside the first.
    fn add_second_tokens(&mut self) {
        let unsteady =
            self.items.values().filter(|building| building.rebuilds.as_ref().is_none_or(|rebuilds| !rebuilds.is_empty()));
        let found: Vec<(ItemId, Vec<Taking>)> =
            unsteady.map(|building| (building.stock.item, self.second_tokens(&building.stock))).collect();
        for (item, takings) in found {
            self.item(item).stock.takings.extend(takings);
        }
    }

    fn second_tokens(&self, stock: &ItemStock) -> Vec<Taking> {
        let stored = self.stored_tokens(stock.item);
        let mut further = Vec::new();
        for taking in &stock.takings {
            let dealings = self.case.dealings(taking.order);
            let mut known = self.admitting_tokens(dealings, taking.order, stock.item);
            for &(token, units) in stored.get(&taking.order).into_iter().flatten() {
                if !known.is_empty() && !known.contains(&token) {
                    let in_doubt = dealings.creates().any(Operation::is_info);
                    let back_by = if in_doubt { NEVER } else { self.back_by(taking.order, dealings, Fate::Transient) };
                    let (fate, answered, undone_from) = (Fate::Transient, NEVER, NEVER);
                    further.push(Taking { fate, units, answered, undone_from, back_by, ..*taking });
                }
                known.push(token);
            }
        }
        further
    }

    /// Tokens and units of the locks and deduct records of an item, at any stop, by order.
    fn stored_tokens(&self, item: ItemId) -> BTreeMap<OrderNumber, Vec<(&'c str, u64)>> {
        let mut stored: BTreeMap<OrderNumber, Vec<(&'c str, u64)>> = BTreeMap::new();
        for redis in self.case.stops().filter_map(|view| view.stop.snapshot.redis.get(&item)) {
            let parts = |(order, record): (&'c String, &'c String)| {
                let (token, units) = record.split_once('|')?;
                Some((order.as_str(), token, units.parse().ok()?))
            };
            let locks = redis.locks.iter().filter_map(LockState::parts);
            for (order, token, units) in redis.records.iter().filter_map(parts).chain(locks) {
                let order = self.case.index.find(order);
                order.into_iter().for_each(|order| stored.entry(order).or_default().push((token, units)));
            }
        }
        stored
    }

    /// The token that replies and ledger name; it is empty where MySQL admitted.
    fn admitting_tokens(&self, dealings: Dealings<'c>, order: OrderNumber, item: ItemId) -> Vec<&'c str> {
        let replies = dealings.creates().filter(|op| op.is_ok()).flat_map(|op| &op.witness);
        let told = replies.filter(|told| told.item == item).map(|told| told.token.as_str());
        let sales = self.case.stops().flat_map(|view| view.sales(order)).filter(|row| row.item == item);
        told.chain(sales.map(|row| row.token.as_str())).collect()
    }

    fn date_refusals(&mut self) {
        let staleness = Duration::from_millis(self.case.evidence.scenario().promises.staleness_ms);
        if staleness.is_zero() {
            return;
        }
        for building in self.items.values_mut() {
            building.requests.sort_unstable_by_key(|(_, end)| *end);
            let mut earliest = NEVER;
            for (sent, _) in building.requests.iter_mut().rev() {
                earliest = earliest.min(*sent);
                *sent = earliest;
            }
            for refusal in &mut building.stock.refusals {
                let oldest = Offset(refusal.from.0.saturating_sub(u64::try_from(staleness.as_nanos()).unwrap_or(u64::MAX)));
                let place = building.requests.partition_point(|(_, end)| *end < oldest);
                let setter = building.requests.get(place).map_or(oldest, |(sent, _)| *sent);
                refusal.from = oldest.min(setter);
            }
        }
    }
}

fn new_item(case: &Case<'_>, last: Option<StopView<'_>>, item: ItemId) -> Item {
    let opening = case.supplies.get(&item).map_or(0, |supply| supply.opening);
    let counter = last.and_then(|view| counter(view, item));
    let stock = ItemStock { opening, counter, ..ItemStock::new(item) };
    Item { stock, rebuilds: rebuilds(case, item), requests: Vec::new() }
}

/// When the counter of an item can have been replaced, by all stops: beside the changes of the operator that made its epochs after the first.
/// `None` if another mode or cause had a part in them.
fn rebuilds(case: &Case<'_>, item: ItemId) -> Option<Vec<(Offset, Offset)>> {
    let mut newest = None;
    for view in case.stops() {
        let rows = view.items().get(&item).filter(|rows| rows.epochs.iter().all(|row| row.mode == "REDIS"))?;
        newest = newest.max(Some(rows.epoch()?));
    }
    let by_operator = case.changes.iter().filter(|change| change.item == item && change.function != Function::Restock);
    let beside = |change: &Change| Some((change.sent, change.done?.plus(REPLACED_WITHIN)));
    let intervals: Vec<_> = by_operator.map(beside).collect::<Option<_>>()?;
    (newest? == 1 + intervals.len() as u64).then_some(intervals)
}

fn counter(view: StopView<'_>, item: ItemId) -> Option<Counter> {
    let rows = view.items().get(&item)?;
    let newest = rows.epochs.iter().max_by_key(|row| row.epoch)?;
    let redis = rows.redis?;
    let same_epoch = redis.meta_number("epoch") == i64::try_from(newest.epoch).ok();
    let last_version = redis.meta_number("version").and_then(|version| u64::try_from(version).ok());
    last_version.filter(|_| same_epoch).map(|last_version| Counter { epoch: newest.epoch, base: newest.base, last_version })
}

/// Whether an attempt can have held units of `item`, if only for a moment.
fn may_have_held(op: &Operation, item: ItemId, rebuilds: Rebuilds<'_>) -> bool {
    let overlaps = |(from, until): &(Offset, Offset)| op.sent <= *until && op.answered.is_none_or(|answered| answered >= *from);
    let one_counter = || rebuilds.is_some_and(|rebuilds| !rebuilds.iter().any(overlaps));
    match op.outcome {
        Outcome::Ok | Outcome::Info(_) => true,
        Outcome::Fail(FailCode::NotSent | FailCode::Invalid) => false,
        Outcome::Fail(FailCode::UnknownSku) => !is_of_one_item(op),
        Outcome::Fail(FailCode::SoldOut) => {
            !one_counter() || !(op.short == Some(item) || (op.short.is_none() && is_of_one_item(op)))
        }
        Outcome::Fail(_) => true,
    }
}

fn is_of_one_item(op: &Operation) -> bool {
    op.items.iter().all(|line| line.item == op.items[0].item)
}

fn refusal(op: &Operation, item: ItemId) -> Option<Refusal> {
    let units = op.quantity_of(item);
    let speaks_of_it = op.short.is_none_or(|short| short == item);
    let is_refusal = op.outcome == Outcome::Fail(FailCode::SoldOut) && units > 0 && speaks_of_it;
    let named = op.short.is_some() || is_of_one_item(op);
    is_refusal.then(|| Refusal { op: op.id, units, from: op.sent, answered: op.answered.unwrap_or(NEVER), named })
}

fn told_marks(op: &Operation, item: ItemId, taking: Taking) -> impl Iterator<Item = Mark> {
    let told = op.witness.iter().filter(move |told| op.is_ok() && told.item == item);
    told.filter_map(move |told| {
        let taking = Taking { answered: op.answered.unwrap_or(NEVER), ..taking };
        Some(Mark { stock_after: told.stock_after, ..mark(taking, &told.token, u64::from(told.qty))? })
    })
}

fn mark(taking: Taking, token: &str, units: u64) -> Option<Mark> {
    let (epoch, version) = parse_token(token)?;
    let Taking { order, sent, answered, .. } = taking;
    Some(Mark { epoch, version, order, units, stock_after: None, sent, answered })
}

/// Epoch and version of a token `epoch:version`.
pub(crate) fn parse_token(token: &str) -> Option<(u64, u64)> {
    let (epoch, version) = token.split_once(':')?;
    Some((epoch.parse().ok()?, version.parse().ok()?))
}
