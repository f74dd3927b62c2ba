//! Tier 2: replays the counter by the versions that replies, ledger and deduct records name.
//!
//! Every step of the counter bumps its version, so the versions order the takings. The replay carries the stock along, compares it
//! with what the replies say was left, and checks that the order fits the clients' clocks (`docs/verification.md` 7). A version that
//! nobody names (a rollback, an applied increase) leaves the stock open until the next reply that states it; a single one is known
//! from its two neighbours. Refusals carry no version: one is judged against all places in the sequence that its interval allows.
//!
//! A failed replay refutes the order that the service itself claims. Without a missing version it decides exactly. O(n log n).

use super::range_index::RangeMin;
use super::{Contradiction, Counter, Fate, ItemStock, Mark};
use crate::clock::Offset;

/// What a replay showed.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) contradictions: Vec<Contradiction>,
    /// Whether every version from the first to the last is known, so that the replay decides both ways.
    pub(crate) gapless: bool,
}

/// Replays the marks of an item; `None` if there are none.
pub(crate) fn replay(stock: &ItemStock) -> Option<Replay> {
    let mut found = Vec::new();
    let marks = in_order(&stock.marks, &mut found);
    let (first, last) = (marks.first()?, marks.last()?);
    let mut counter = Running::new(stock);
    // Smallest stock between two marks: before the first, between each pair, after the last.
    let mut lows = Vec::with_capacity(marks.len() + 1);
    for mark in &marks {
        lows.push(counter.step(mark, &mut found));
    }
    lows.push(counter.low_at_the_end());
    // A cut or hold, and what releases it, begins a new epoch with other units, which may hold no mark.
    let one_epoch =
        stock.decreases.is_empty() && first.epoch == last.epoch && stock.counter.is_none_or(|counter| counter.epoch == first.epoch);
    if one_epoch {
        found.extend(false_refusals(stock, &marks, &RangeMin::new(&lows)));
    }
    let accepted = stock.takings.iter().filter(|taking| matches!(taking.fate, Fate::Accepted | Fate::Witnessed)).count();
    let gapless = one_epoch && !counter.gap && counter.ends_known() && marks.len() >= accepted;
    Some(Replay { contradictions: found, gapless })
}

/// Marks by version, one for each; two orders on one version are a contradiction.
fn in_order(marks: &[Mark], found: &mut Vec<Contradiction>) -> Vec<Mark> {
    let mut sorted = marks.to_vec();
    sorted.sort_by_key(|mark| (mark.epoch, mark.version, mark.order));
    let mut kept: Vec<Mark> = Vec::with_capacity(sorted.len());
    for mark in sorted {
        match kept.last_mut().filter(|last| (last.epoch, last.version) == (mark.epoch, mark.version)) {
            Some(last) if last.order == mark.order => merge(last, &mark),
            Some(last) => {
                let orders = (last.order, mark.order);
                found.push(Contradiction::SharedVersion { epoch: mark.epoch, version: mark.version, orders });
            }
            None => kept.push(mark),
        }
    }
    kept
}

fn merge(mark: &mut Mark, other: &Mark) {
    mark.sent = mark.sent.min(other.sent);
    mark.answered = mark.answered.min(other.answered);
    mark.stock_after = mark.stock_after.or(other.stock_after);
}

/// The counter while it is replayed. Its stock is between `low` and `high`, which are equal where it is known.
struct Running {
    most: i64,
    counter: Option<Counter>,
    place: Option<(u64, u64)>,
    low: i64,
    high: i64,
    sent_by: Offset,
    gap: bool,
}

impl Running {
    fn new(stock: &ItemStock) -> Self {
        let most = stock.opening + stock.increases.iter().map(|increase| increase.units).sum::<u64>();
        let most = most.cast_signed();
        let base = stock.counter.map(|counter| counter.base);
        Self {
            most,
            counter: stock.counter,
            place: stock.counter.map(|counter| (counter.epoch, 0)),
            low: base.unwrap_or(0),
            high: base.unwrap_or(most),
            sent_by: Offset::ZERO,
            gap: false,
        }
    }

    /// Takes the step of `mark`; returns the smallest stock between the step before and this one.
    fn step(&mut self, mark: &Mark, found: &mut Vec<Contradiction>) -> i64 {
        let (epoch, version, order, units) = (mark.epoch, mark.version, mark.order, mark.units.cast_signed());
        let missing = self.missing_before(mark);
        let (reached_low, reached_high) = if missing == Some(0) { (self.low, self.high) } else { (0, self.most) };
        self.gap |= missing != Some(0);
        if mark.answered < self.sent_by {
            found.push(Contradiction::OutOfOrder { epoch, version, order });
        }
        self.sent_by = self.sent_by.max(mark.sent);
        let (least, most) = ((reached_low - units).max(0), reached_high - units);
        let stated = mark.stock_after.unwrap_or(most);
        if stated > most || stated < 0 || most < 0 {
            found.push(Contradiction::UnitsAppeared { epoch, version, order, most, found: stated });
        } else if stated < least {
            found.push(Contradiction::UnitsVanished { epoch, version, order, least, found: stated });
        }
        let before = mark.stock_after.map_or(reached_low, |left| left + units);
        let low_between = match missing {
            Some(0) => self.low,
            Some(1) => self.low.min(before),
            _ => 0,
        };
        (self.low, self.high) = mark.stock_after.map_or((least, most), |left| (left, left));
        self.place = Some((epoch, version));
        low_between
    }

    /// Versions between the last step and this one that nobody names; `None` across epochs.
    fn missing_before(&self, mark: &Mark) -> Option<u64> {
        let (epoch, version) = self.place?;
        (epoch == mark.epoch).then(|| mark.version.saturating_sub(version + 1))
    }

    fn ends_known(&self) -> bool {
        self.counter.is_some_and(|counter| self.place == Some((counter.epoch, counter.last_version)))
    }

    fn low_at_the_end(&self) -> i64 {
        if self.ends_known() { self.low } else { 0 }
    }
}

fn false_refusals(stock: &ItemStock, marks: &[Mark], lows: &RangeMin) -> Vec<Contradiction> {
    // Steps certainly taken before an instant end at the last mark answered before it; steps possibly taken by an instant end
    // before the first mark that was sent after it. Both are found through the running extreme in order of time.
    let mut answered: Vec<(Offset, usize)> = marks.iter().zip(1..).map(|(mark, place)| (mark.answered, place)).collect();
    answered.sort_unstable();
    let mut furthest = 0;
    for (_, place) in &mut answered {
        furthest = furthest.max(*place);
        *place = furthest;
    }
    let mut sent: Vec<(Offset, usize)> = marks.iter().zip(0..).map(|(mark, place)| (mark.sent, place)).collect();
    sent.sort_unstable();
    let mut nearest = marks.len();
    for (_, place) in sent.iter_mut().rev() {
        nearest = nearest.min(*place);
        *place = nearest;
    }
    let judge = |refusal: &super::Refusal| {
        let done = answered.partition_point(|(instant, _)| *instant < refusal.from);
        let first = done.checked_sub(1).map_or(0, |at| answered[at].1);
        let open = sent.partition_point(|(instant, _)| *instant <= refusal.answered);
        let last = sent.get(open).map_or(marks.len(), |(_, place)| *place);
        let free = if first <= last { lows.min(first, last) } else { 0 };
        (free >= refusal.units.cast_signed()).then_some(Contradiction::FalseRefusal { op: refusal.op, free })
    };
    stock.refusals.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use rand_chacha::ChaCha8Rng;

    use super::super::search::{self, Execution};
    use super::*;
    use crate::seed::Seed;

    fn finds(stock: &ItemStock) -> Vec<Contradiction> {
        replay(stock).map(|replay| replay.contradictions).unwrap_or_default()
    }

    fn executions(name: &str, execution: Execution, rounds: u32, mut judge: impl FnMut(ItemStock, &mut ChaCha8Rng)) {
        let mut random = Seed(5).stream(name);
        for _ in 0..rounds {
            let stock = search::execute(&mut random, execution);
            judge(stock, &mut random);
        }
    }

    #[test]
    fn no_legal_execution_is_rejected() {
        executions("plain", Execution { steps: 12, rollbacks: false, hidden: false }, 5_000, |stock, _| {
            assert_eq!(finds(&stock), [], "{stock:?}");
            assert!(replay(&stock).is_none_or(|replay| replay.gapless));
        });
    }

    #[test]
    fn no_legal_execution_with_rollbacks_and_lost_records_is_rejected() {
        executions("rollbacks", Execution { steps: 16, rollbacks: true, hidden: true }, 10_000, |stock, _| {
            assert_eq!(finds(&stock), [], "{stock:?}");
        });
    }

    #[test]
    fn a_changed_number_of_units_left_is_always_rejected_where_no_version_is_missing() {
        executions("left", Execution { steps: 8, rollbacks: false, hidden: false }, 3_000, |mut stock, random| {
            if stock.marks.is_empty() {
                return;
            }
            let at = random.random_range(0..stock.marks.len());
            let change = if random.random_bool(0.5) { 1 } else { -1 };
            stock.marks[at].stock_after = stock.marks[at].stock_after.map(|left| left + change);
            assert!(!finds(&stock).is_empty(), "{stock:?}");
        });
    }

    #[test]
    fn moved_intervals_are_rejected_exactly_if_the_claimed_order_is_impossible() {
        let mut verdicts = [0, 0];
        executions("moved", Execution { steps: 7, rollbacks: false, hidden: false }, 6_000, |mut stock, random| {
            let by = random.random_range(0..12);
            if random.random_bool(0.5) && !stock.marks.is_empty() {
                let at = random.random_range(0..stock.marks.len());
                let (sent, answered) = search::moved(stock.marks[at].sent, stock.marks[at].answered, by);
                (stock.marks[at].sent, stock.marks[at].answered) = (sent, answered);
                (stock.takings[at].sent, stock.takings[at].answered) = (sent, answered);
            } else if !stock.refusals.is_empty() {
                let at = random.random_range(0..stock.refusals.len());
                let refusal = &mut stock.refusals[at];
                (refusal.from, refusal.answered) = search::moved(refusal.from, refusal.answered, by);
            }
            if !stock.marks.is_empty() {
                let possible = search::claimed_order_is_possible(&stock);
                verdicts[usize::from(possible)] += 1;
                assert_eq!(finds(&stock).is_empty(), possible, "{stock:?}");
            }
        });
        assert!(verdicts.iter().all(|count| *count > 500), "{verdicts:?}");
    }

    #[test]
    fn two_orders_with_one_version_are_a_contradiction() {
        executions("shared", Execution { steps: 8, rollbacks: false, hidden: false }, 200, |mut stock, _| {
            if let [first, second, ..] = &mut stock.marks[..] {
                second.version = first.version;
                assert!(finds(&stock).iter().any(|found| matches!(found, Contradiction::SharedVersion { .. })));
            }
        });
    }
}
