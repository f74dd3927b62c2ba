//! A component of recovery over time, seen in windows.
//!
//! In: a history. Out: five [`Series`], one for each [`Component`]: two from the orders themselves, by due time, three from readings that
//! were sampled. The drain is left out: it is another load.

use std::collections::BTreeMap;
use std::time::Duration;

use super::recovery::{Component, WINDOW};
use crate::clock::Offset;
use crate::history::operation::{History, Operation};
use crate::history::record::{FailCode, Function, Outcome, ShedCause};
use crate::scenario::Phase;

/// A reading says nothing about windows later than this.
const READING_LIVES: Duration = Duration::from_secs(3);

/// Names of the samples that a component is read from.
pub const BACKLOG_SAMPLE: &str = "outbox_new";
/// Units by which the stores differ, by item.
pub const DRIFT_SAMPLE: &str = "drift";
/// Age of the oldest lock, ms.
pub const OLDEST_LOCK_SAMPLE: &str = "oldest_lock_ms";

/// One component over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which.
    pub component: Component,
    /// End of the observation.
    pub ends: Offset,
    source: Source,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// Orders by due time: when, its response time in ms, whether it got an answer.
    Orders(Vec<(Offset, f64, bool)>),
    /// Readings by time.
    Readings(Vec<(Offset, f64)>),
}

/// Every component.
#[must_use]
pub fn all_series(history: &History) -> Vec<Series> {
    let orders = orders(history);
    let ends = orders.last().map_or(Offset::ZERO, |order| order.0);
    let of_orders = |component| Series { component, ends, source: Source::Orders(orders.clone()) };
    vec![
        of_orders(Component::Availability),
        of_orders(Component::P99Response),
        readings(history, Component::Backlog, BACKLOG_SAMPLE, f64::max),
        readings(history, Component::Drift, DRIFT_SAMPLE, |sum, value| sum + value.abs()),
        readings(history, Component::OldestLock, OLDEST_LOCK_SAMPLE, f64::max),
    ]
}

/// Every `create_order` of the load by due time, with arrivals that found no slot among them: nobody answered those.
fn orders(history: &History) -> Vec<(Offset, f64, bool)> {
    let sent = history.arrivals_of(Function::CreateOrder).filter(|op| op.phase != Phase::Drain).map(|op| {
        let waited = op.answered.map_or(f64::INFINITY, |answered| answered.since(op.due).as_secs_f64() * 1e3);
        (op.due, waited, is_answer(op))
    });
    let shed = history.sheds.iter().filter(|shed| shed.what.why == ShedCause::NoSlot && shed.what.f == Function::CreateOrder);
    let mut orders: Vec<_> = sent.chain(shed.map(|shed| (shed.what.due, f64::INFINITY, false))).collect();
    orders.sort_by_key(|order| order.0);
    orders
}

/// Whether the buyer got an answer about the order: sold out is one, a refusal by which the service only protects itself is none.
fn is_answer(op: &Operation) -> bool {
    let refused = |code| !matches!(code, FailCode::Throttled | FailCode::NotAdmitted | FailCode::NotSent);
    match op.outcome {
        Outcome::Ok => true,
        Outcome::Fail(code) => refused(code) && op.http.is_none_or(|status| status < 500),
        Outcome::Info(_) => false,
    }
}

/// Samples of one name; those of one instant, of several items, are put together.
fn readings(history: &History, component: Component, name: &str, together: fn(f64, f64) -> f64) -> Series {
    let mut values: BTreeMap<Offset, f64> = BTreeMap::new();
    for sample in history.samples.iter().filter(|sample| sample.what.name == name && sample.what.value.is_finite()) {
        let value = values.entry(sample.at).or_default();
        *value = together(*value, sample.what.value);
    }
    let values: Vec<_> = values.into_iter().collect();
    let ends = values.last().map_or(Offset::ZERO, |reading| reading.0.plus(WINDOW));
    Series { component, ends, source: Source::Readings(values) }
}

impl Series {
    /// Values of the windows from `from` on, to the end of the observation; `None` for a window in which nothing was seen.
    pub fn windows(&self, from: Offset) -> impl Iterator<Item = Option<f64>> + '_ {
        let starts = (0_u32..).map(move |index| from.plus(WINDOW * index));
        starts.take_while(|start| *start < self.ends).map(move |start| self.value(from, start, start.plus(WINDOW)))
    }

    /// What was seen between two instants: a value for each window that holds orders, or every reading.
    #[must_use]
    pub fn readings(&self, from: Offset, to: Offset) -> Vec<f64> {
        match &self.source {
            Source::Orders(_) => {
                let windows = to.since(from).as_nanos() / WINDOW.as_nanos();
                self.windows(from).take(usize::try_from(windows).unwrap_or(usize::MAX)).flatten().collect()
            }
            Source::Readings(values) => values.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, value)| *value).collect(),
        }
    }

    /// The value of the window from `start` to `end`. A reading holds until the next one; one from before `counted_from` shows the fault.
    fn value(&self, counted_from: Offset, start: Offset, end: Offset) -> Option<f64> {
        match &self.source {
            Source::Orders(orders) => {
                let place = |at: Offset| orders.partition_point(|order| order.0 < at);
                self.of_orders(&orders[place(start)..place(end)])
            }
            Source::Readings(values) => {
                let last = values[..values.partition_point(|reading| reading.0 < end)].last()?;
                (last.0 >= counted_from && start.since(last.0) <= READING_LIVES).then_some(last.1)
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of the orders of 100 ms")]
    fn of_orders(&self, orders: &[(Offset, f64, bool)]) -> Option<f64> {
        if orders.is_empty() {
            return None;
        }
        if self.component == Component::Availability {
            return Some(orders.iter().filter(|order| order.2).count() as f64 / orders.len() as f64);
        }
        let mut waited: Vec<f64> = orders.iter().map(|order| order.1).collect();
        waited.sort_by(f64::total_cmp);
        waited.get((waited.len() * 99).div_ceil(100) - 1).copied()
    }
}
