//! An exhaustive search for a legal order of a small history, and random histories to feed it: what the tiers are tested against.
//!
//! Every taking, refusal and giving back is a point with an interval. The search places points one after another; the time reached
//! is the latest start of the points placed. It visits each set of placed points once, so it is meant for some 16 points.

use std::collections::HashSet;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::{Counter, Decrease, Fate, Increase, ItemStock, Mark, NEVER, Refusal, Taking};
use crate::clock::Offset;
use crate::history::record::OpId;
use crate::invariants::index::OrderNumber;
use crate::scenario::ItemId;

const ITEM: ItemId = ItemId { store: 1, product: 1, sku: 1 };

#[derive(Debug, Clone, Copy)]
enum Step {
    Take(i64),
    Give(i64),
    Refuse(i64),
}

#[derive(Debug, Clone, Copy)]
struct Point {
    step: Step,
    from: Offset,
    until: Offset,
    /// Must be placed, if the point that it follows is.
    must: bool,
    follows: Option<usize>,
}

/// Whether any order of the operations is legal.
pub(crate) fn legal_order_exists(stock: &ItemStock) -> bool {
    search(stock.opening.cast_signed(), &points(stock, false))
}

/// Whether the order that the versions claim is possible: takings are in order of their versions.
pub(crate) fn claimed_order_is_possible(stock: &ItemStock) -> bool {
    search(stock.opening.cast_signed(), &points(stock, true))
}

fn points(stock: &ItemStock, in_sequence: bool) -> Vec<Point> {
    let mut points = Vec::new();
    let mut before = None;
    for taking in &stock.takings {
        let place = points.len();
        let must = matches!(taking.fate, Fate::Accepted | Fate::Witnessed);
        let units = taking.units.cast_signed();
        let follows = before.filter(|_| in_sequence);
        points.push(Point { step: Step::Take(units), from: taking.sent, until: taking.answered, must, follows });
        before = Some(place);
        let passing = taking.fate == Fate::Transient;
        if passing || taking.undone_from != NEVER {
            let from = if passing { Offset::ZERO } else { taking.undone_from };
            let must = taking.back_by != NEVER;
            points.push(Point { step: Step::Give(units), from, until: taking.back_by, must, follows: Some(place) });
        }
    }
    for increase in &stock.increases {
        let (step, must) = (Step::Give(increase.units.cast_signed()), increase.back_by != NEVER);
        points.push(Point { step, from: increase.sent, until: increase.back_by, must, follows: None });
    }
    for decrease in &stock.decreases {
        let (step, must) = (Step::Take(decrease.units.cast_signed()), decrease.is_certain());
        points.push(Point { step, from: decrease.sent, until: decrease.answered, must, follows: None });
    }
    for refusal in &stock.refusals {
        let step = Step::Refuse(refusal.units.cast_signed());
        points.push(Point { step, from: refusal.from, until: refusal.answered, must: true, follows: None });
    }
    points
}

fn search(opening: i64, points: &[Point]) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![(0_u64, opening, Offset::ZERO)];
    while let Some((placed, stock, now)) = open.pop() {
        if !seen.insert(placed) {
            continue;
        }
        let is_placed = |at: usize| placed >> at & 1 == 1;
        let follows_placed = |point: &Point| point.follows.is_none_or(is_placed);
        let is_done = |(at, point): (usize, &Point)| is_placed(at) || !point.must || !follows_placed(point);
        if points.iter().enumerate().all(is_done) {
            return true;
        }
        for (at, point) in points.iter().enumerate() {
            if !is_placed(at) && follows_placed(point) && point.until >= now {
                let next = match point.step {
                    Step::Take(units) => Some(stock - units).filter(|left| *left >= 0),
                    Step::Give(units) => Some(stock + units),
                    Step::Refuse(units) => Some(stock).filter(|left| *left < units),
                };
                open.extend(next.map(|stock| (placed | 1 << at, stock, now.max(point.from))));
            }
        }
    }
    false
}

/// What a random history may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) operations: u32,
    pub(crate) units_max: u64,
    pub(crate) undo: bool,
    pub(crate) transient: bool,
    pub(crate) restock: bool,
    /// Cuts and holds.
    pub(crate) cut: bool,
}

/// A random history, legal or not.
pub(crate) fn draw(random: &mut ChaCha8Rng, draw: Draw) -> ItemStock {
    let mut stock = empty(random.random_range(0..=2 * draw.units_max));
    let quiesced = Offset(random.random_range(6..16));
    for number in 0..draw.operations {
        let sent = Offset(random.random_range(0..14));
        let answered = Offset(sent.0 + random.random_range(0..6));
        let units = random.random_range(1..=draw.units_max);
        let op = OpId(u64::from(number));
        match random.random_range(0..10) {
            0..4 => stock.takings.push(accepted(random, draw.undo, quiesced, Taking { sent, answered, ..taking(number, units) })),
            4 => stock.takings.push(Taking { fate: Fate::Doubt, sent, ..taking(number, units) }),
            5 if draw.transient => {
                let back_by = if answered <= quiesced && random.random_bool(0.5) { quiesced } else { NEVER };
                stock.takings.push(Taking { fate: Fate::Transient, sent, back_by, ..taking(number, units) });
            }
            6 if draw.restock => {
                let back_by = if random.random_bool(0.5) { answered } else { NEVER };
                stock.increases.push(Increase { units, sent, back_by });
            }
            7 if draw.cut => {
                let answered = if random.random_bool(0.7) { answered } else { NEVER };
                stock.decreases.push(Decrease { op, units, sent, answered });
            }
            _ => stock.refusals.push(Refusal { op, units, from: sent, answered, named: true }),
        }
    }
    stock
}

fn taking(number: u32, units: u64) -> Taking {
    let op = OpId(u64::from(number));
    let (order, fate, sent) = (OrderNumber(number), Fate::Accepted, Offset::ZERO);
    Taking { order, op, fate, units, sent, answered: NEVER, undone_from: NEVER, back_by: NEVER }
}

fn accepted(random: &mut ChaCha8Rng, undo: bool, quiesced: Offset, taking: Taking) -> Taking {
    if !undo || random.random_bool(0.5) {
        return taking;
    }
    let undone_from = Offset(random.random_range(taking.sent.0..18));
    let settled = taking.answered <= quiesced && undone_from <= quiesced && random.random_bool(0.5);
    Taking { undone_from, back_by: if settled { quiesced } else { NEVER }, ..taking }
}

fn empty(opening: u64) -> ItemStock {
    ItemStock { opening, ..ItemStock::new(ITEM) }
}

/// What a random legal execution of the counter may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Execution {
    pub(crate) steps: u32,
    /// Takings that are rolled back, which bumps the version and leaves no mark.
    pub(crate) rollbacks: bool,
    /// Marks that are lost, and replies that do not say what was left.
    pub(crate) hidden: bool,
}

/// Runs a counter step by step and records what clients would see of it.
pub(crate) fn execute(random: &mut ChaCha8Rng, execution: Execution) -> ItemStock {
    let opening = random.random_range(1..8_u64);
    let mut stock = empty(opening);
    let (mut left, mut version) = (opening.cast_signed(), 0);
    for number in 0..execution.steps {
        let instant = u64::from(number) * 3 + 10;
        let sent = Offset(instant - random.random_range(0..10));
        let answered = Offset(instant + random.random_range(0..10));
        let units = random.random_range(1..4_u64);
        if left < units.cast_signed() {
            stock.refusals.push(Refusal { op: OpId(u64::from(number)), units, from: sent, answered, named: true });
            continue;
        }
        version += 1;
        left -= units.cast_signed();
        let hides = |random: &mut ChaCha8Rng| execution.hidden && random.random_bool(0.2);
        let stock_after = Some(left).filter(|_| !hides(random));
        let order = OrderNumber(number);
        if !hides(random) {
            stock.marks.push(Mark { epoch: 1, version, order, units, stock_after, sent, answered });
            stock.takings.push(Taking { sent, answered, ..taking(number, units) });
        }
        if execution.rollbacks && random.random_bool(0.4) {
            version += 1;
            left += units.cast_signed();
        }
    }
    stock.counter = Some(Counter { epoch: 1, base: opening.cast_signed(), last_version: version });
    stock
}

/// An interval moved to the right by 5 × `by`, or to the left by 5 × (`by` − 6) if `by` is above 6.
pub(crate) fn moved(from: Offset, to: Offset, by: u64) -> (Offset, Offset) {
    let shift = |at: Offset| if by <= 6 { Offset(at.0 + 5 * by) } else { Offset(at.0.saturating_sub(5 * (by - 6))) };
    (shift(from), shift(to))
}
